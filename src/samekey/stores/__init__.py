"""Where records live."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from samekey.stores._contract import AsyncStore, Portable, Store
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
    "Portable",
    "RedisStore",
    "SQLiteStore",
    "Store",
    "open_store",
]

_LATE: Final = {"AsyncRedisStore": "redis", "RedisStore": "redis"}
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
