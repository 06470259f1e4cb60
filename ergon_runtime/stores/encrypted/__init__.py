"""Encrypted stores: a store of any kind whose payloads pass a cipher. `store.py` needs the `cryptography` library."""

from __future__ import annotations

from ergon_runtime.stores.encrypted.keys import Keys as Keys
from ergon_runtime.stores.encrypted.keys import read_keys as read_keys
