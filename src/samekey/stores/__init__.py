"""Where records live."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from samekey.stores._contract import AsyncStore, Portable, Store
from samekey.stores._open import open_async_store, open_store
from samekey.stores._vault import Keys
from samekey.stores.async_memory import AsyncMemoryStore
from samekey.stores.async_sqlite import AsyncSQLiteStore
from samekey.stores.encrypted import EncryptedAsyncStore, EncryptedStore, encrypted
from samekey.stores.memory import MemoryStore
from samekey.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from samekey.stores.postgres import AsyncPostgresStore, PostgresStore
    from samekey.stores.redis import AsyncRedisStore, RedisStore

__all__ = [
    "AsyncMemoryStore",
    "AsyncPostgresStore",
    "AsyncRedisStore",
    "AsyncSQLiteStore",
    "AsyncStore",
    "EncryptedAsyncStore",
    "EncryptedStore",
    "Keys",
    "MemoryStore",
    "Portable",
    "PostgresStore",
    "RedisStore",
    "SQLiteStore",
    "Store",
    "encrypted",
    "open_async_store",
    "open_store",
]

_LATE: Final = {
    "AsyncPostgresStore": "postgres",
    "AsyncRedisStore": "redis",
    "PostgresStore": "postgres",
    "RedisStore": "redis",
}
"""Stores that need an extra, by module: who does not use them does not pay for their imports."""


def __getattr__(name: str) -> Any:
    """Imports the optional stores when they are first asked for.

    Raises:
        UsageError: the extra is not installed; the message names it.
    """
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
