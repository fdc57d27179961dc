"""One store for many machines, in PostgreSQL."""

from samekey.errors import UsageError

try:
    import psycopg as _psycopg
    import psycopg_pool as _pool
except ImportError as _missing:
    raise UsageError('a store in PostgreSQL needs psycopg; run pip install "samekey[postgres]".') from _missing

from samekey.stores._postgres_async import AsyncPostgresStore
from samekey.stores._postgres_sync import PostgresStore

__all__ = ["AsyncPostgresStore", "PostgresStore"]

del _psycopg, _pool
