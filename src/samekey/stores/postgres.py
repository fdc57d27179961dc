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
    conninfo, schema, flags = _read(url)
    return PostgresStore(conninfo, schema=schema, **flags)


def async_from_url(url: str) -> AsyncPostgresStore:
    """The store for event loops of a URL; see `from_url`."""
    conninfo, schema, flags = _read(url)
    return AsyncPostgresStore(conninfo, schema=schema, **flags)


def _read(url: str) -> tuple[str, str, dict[str, Any]]:
    conninfo, own = split_url(url)
    return conninfo, own.get("schema", "samekey"), {name: _flag(name, own[name]) for name in own if name != "schema"}


def _flag(name: str, text: str) -> bool:
    if text not in {"0", "1"}:
        raise UsageError(f"{name}={text!r} in the address of the store is neither 0 nor 1.")
    return text == "1"


__all__ = ["AsyncPostgresStore", "PostgresStore", "async_from_url", "from_url"]

del _psycopg, _pool
