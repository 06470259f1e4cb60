"""The memory store: `MemoryStore` is the store, `MemoryState` its synchronous core."""

from ergon_runtime.stores.memory.state import MemoryState
from ergon_runtime.stores.memory.store import MemoryStore

__all__ = ["MemoryState", "MemoryStore"]
