"""Where records live."""

from samekey.stores._contract import AsyncStore, Store
from samekey.stores._open import open_store
from samekey.stores.async_memory import AsyncMemoryStore
from samekey.stores.memory import MemoryStore
from samekey.stores.sqlite import SQLiteStore

__all__ = ["AsyncMemoryStore", "AsyncStore", "MemoryStore", "SQLiteStore", "Store", "open_store"]
