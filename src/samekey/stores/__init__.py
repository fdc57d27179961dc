"""Where records live."""

from samekey.stores._contract import AsyncStore, Store
from samekey.stores._open import open_async_store, open_store
from samekey.stores.async_memory import AsyncMemoryStore
from samekey.stores.async_sqlite import AsyncSQLiteStore
from samekey.stores.memory import MemoryStore
from samekey.stores.sqlite import SQLiteStore

__all__ = [
    "AsyncMemoryStore",
    "AsyncSQLiteStore",
    "AsyncStore",
    "MemoryStore",
    "SQLiteStore",
    "Store",
    "open_async_store",
    "open_store",
]
