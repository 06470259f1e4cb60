"""Stores: where flows, their journals and their mail are kept. `contract.py` says what every store does."""

from __future__ import annotations

from ergon_runtime.stores.contract import Store, StoreIdentity
from ergon_runtime.stores.encrypted import Keys, read_keys
from ergon_runtime.stores.url import Address, open_store, parse

__all__ = ["Address", "Keys", "Store", "StoreIdentity", "open_store", "parse", "read_keys"]
