"""What went wrong with PostgreSQL, in one sentence each; no password gets into one."""

from typing import Final

import psycopg
from psycopg import errors
from psycopg_pool import PoolTimeout, TooManyRequests

from samekey.errors import StoreError, StoreFormatError, StoreUnavailableError
from samekey.stores._errors import NOTHING_SENT

KEEP: Final = "do not drop its tables: they are what prevents duplicates"

AGAIN: Final = (errors.SerializationFailure, errors.DeadlockDetected)
"""The server has undone the transaction itself, and asks to be asked again."""

_FOREIGN: Final = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.InvalidSchemaName,
    errors.DatatypeMismatch,
    errors.NotNullViolation,
    errors.DataCorrupted,
    errors.IndexCorrupted,
)
_WAYS_OUT: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (
        PoolTimeout,
        "had no connection to give in time",
        "see whether the server is up, or give the store a larger pool=",
    ),
    (TooManyRequests, "has too many waiting for a connection", "give the store a larger pool="),
    (errors.InvalidPassword, "does not let this user in", "check user and password, and run it again"),
    (
        errors.InvalidAuthorizationSpecification,
        "does not let this user in",
        "check user and password, and run it again",
    ),
    (errors.InvalidCatalogName, "has no such database", "create it, or name another one, and run it again"),
    (
        errors.InsufficientPrivilege,
        "does not permit it",
        "have the owner of the schema grant usage and its tables, and run it again",
    ),
    (
        errors.ReadOnlySqlTransaction,
        "is a standby, or read-only",
        "name the primary (several hosts with target_session_attrs=read-write find it), and run it again",
    ),
    (errors.DiskFull, "cannot be written (disk full)", "free space on the server and run it again"),
    (errors.TooManyConnections, "has no connection left", "raise its max_connections, or run it again later"),
    (errors.QueryCanceled, "took too long", "see what holds it up, and run it again"),
    (errors.LockNotAvailable, "has been locked for too long", "see what holds it up, and run it again"),
)


def translated(
    error: psycopg.Error, location: str, *, so: str = NOTHING_SENT, uncertain: bool = False, secret: str | None = None
) -> StoreError:
    """What psycopg raised, as the exception of a store.

    Args:
        error: what it raised.
        location: the store, for people.
        so: what that means for the caller.
        uncertain: whether what was asked may have happened all the same.
        secret: the password, should the server repeat it.
    """
    _forget_connections(error)
    why = told(error, secret)
    if isinstance(error, errors.UniqueViolation):
        return key_of_another(location, so)
    if isinstance(error, _FOREIGN):
        return StoreFormatError(
            f"the store {location} is damaged, or not one of samekey's ({why}), {so}; restore it from a backup, and {KEEP}."
        )
    for kind, what, then in _WAYS_OUT:
        if isinstance(error, kind):
            return StoreUnavailableError(f"the store {location} {what} ({why}), {so}; {then}.", uncertain=uncertain)
    return StoreUnavailableError(
        f"the store {location} cannot be used ({why}), {so}; see whether the server is up, and run it again.",
        uncertain=uncertain,
    )


def _forget_connections(error: BaseException) -> None:
    """Takes the failed connection from an error and from what led to it: psycopg keeps it there, with its password."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            waiting += [link.__cause__, link.__context__]
            if isinstance(link, psycopg.Error):
                link._pgconn = None  # noqa: SLF001 - `pgconn` is a property over it; psycopg's own pickles lack it too


def key_of_another(location: str, so: str = NOTHING_SENT) -> StoreFormatError:
    """Two actions with one key: somebody else has written."""
    return StoreFormatError(
        f"the store {location} has this key under another action, {so}; find out who else writes to it, and {KEEP}."
    )


def told(error: BaseException, secret: str | None) -> str:
    """The first line of what the server or the library said."""
    text = getattr(getattr(error, "diag", None), "message_primary", None) or str(error).strip() or type(error).__name__
    line: str = text.splitlines()[0].rstrip(".")
    return line.replace(secret, "…") if secret else line
