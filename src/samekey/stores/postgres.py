"""One store for many machines, in PostgreSQL."""

from typing import Any

from samekey.errors import UsageError

try:
    import psycopg as _psycopg
    import psycopg_pool as _pool
except ImportError as _missing:
    raise UsageError('a store in PostgreSQL needs psycopg; run pip install "samekey[postgres]".') from _missing

from samekey.stores._postgres_address import split_url
from samekey.stores._postgres_async import AsyncPostgresStore
from samekey.stores._postgres_sync import PostgresStore


def from_url(url: str) -> PostgresStore:
    """The store of a URL, as `store=` and `SAMEKEY_STORE` take it.

    Args:
        url: `postgresql://user@host/database`, with libpq's options and, of our own, `schema=`, `prepare=0` and `listen=0`.

    Raises:
        UsageError: it is none, or an option has a wrong value.
    """
    conninfo, options = _options(url)
    return PostgresStore(conninfo, **options)


def async_from_url(url: str) -> AsyncPostgresStore:
    """The same for event loops. Raises as `from_url`."""
    conninfo, options = _options(url)
    return AsyncPostgresStore(conninfo, **options)


def _options(url: str) -> tuple[str, dict[str, Any]]:
    conninfo, own = split_url(url)
    flags: dict[str, Any] = {name: _flag(name, own[name]) for name in ("prepare", "listen") if name in own}
    return conninfo, {"schema": own.get("schema", "samekey"), **flags}


def _flag(name: str, text: str) -> bool:
    if text not in {"0", "1"}:
        raise UsageError(f"{name}={text!r} in the address of the store is neither 0 nor 1.")
    return text == "1"


__all__ = ["AsyncPostgresStore", "PostgresStore", "async_from_url", "from_url"]

del _psycopg, _pool
