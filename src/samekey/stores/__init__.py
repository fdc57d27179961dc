"""Where records live."""

from samekey.stores._contract import AsyncStore, Store
from samekey.stores._open import open_async_store, open_store
from samekey.stores._vault import Keys
from samekey.stores.async_memory import AsyncMemoryStore
from samekey.stores.async_sqlite import AsyncSQLiteStore
from samekey.stores.encrypted import EncryptedAsyncStore, EncryptedStore, encrypted
from samekey.stores.memory import MemoryStore
from samekey.stores.sqlite import SQLiteStore

__all__ = [
    "AsyncMemoryStore",
    "AsyncSQLiteStore",
    "AsyncStore",
    "EncryptedAsyncStore",
    "EncryptedStore",
    "Keys",
    "MemoryStore",
    "SQLiteStore",
    "Store",
    "encrypted",
    "open_async_store",
    "open_store",
]
