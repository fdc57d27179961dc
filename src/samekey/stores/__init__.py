"""Where records live."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from samekey.stores._contract import AsyncStore, Store
from samekey.stores._open import open_store
from samekey.stores.async_memory import AsyncMemoryStore
from samekey.stores.memory import MemoryStore
from samekey.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from samekey.stores.redis import AsyncRedisStore, RedisStore

__all__ = [
    "AsyncMemoryStore",
    "AsyncRedisStore",
    "AsyncStore",
    "MemoryStore",
    "RedisStore",
    "SQLiteStore",
    "Store",
    "open_store",
]

# Imported when they are asked for: what they need costs time, and may not be installed.
_LATE: Final = {
    "AsyncRedisStore": "samekey.stores.redis",
    "RedisStore": "samekey.stores.redis",
}


def __getattr__(name: str) -> Any:
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
