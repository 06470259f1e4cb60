"""The SQLite store: `SQLiteStore` is the store; `Operations` and `transaction` are its synchronous core."""

from ergon_runtime.stores.sqlite.operations import Operations
from ergon_runtime.stores.sqlite.store import SQLiteOptions, SQLiteStore
from ergon_runtime.stores.sqlite.transaction import transaction

__all__ = ["Operations", "SQLiteOptions", "SQLiteStore", "transaction"]
