"""The Redis store. `address.py` imports nothing heavy; `store.py` is the store."""
