"""Stores: where flows, their journals and their mail are kept. `contract.py` says what every store does."""

from __future__ import annotations

from ergon_runtime.stores.contract import Store as Store
from ergon_runtime.stores.contract import StoreIdentity as StoreIdentity
from ergon_runtime.stores.url import open_store as open_store
from ergon_runtime.stores.url import parse as parse_address
