"""The few things a store needs from a SQLite library, so that tests can bring another one (apsw)."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

BUSY_TIMEOUT_MS: Final = 5_000
"""How long to wait for programs that do not queue at our lock file, a backup for instance."""


class Cursor(Protocol):
    """What a statement brought."""

    @property
    def rowcount(self) -> int:
        """Rows that the statement changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """The remaining rows."""


class Connection(Protocol):
    """An open database; it raises `sqlite3.Error` with `sqlite_errorname`."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Runs one statement."""

    def close(self) -> None:
        """Closes it."""


Connect = Callable[[str], Connection]
"""Opens a `file:` URI."""


def connect(uri: str) -> Connection:
    """Opens a database with the standard library, in autocommit mode."""
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,  # BEGIN is ours alone
        check_same_thread=False,  # one mutex guards it
        cached_statements=64,  # more than there are texts
    )


def read_write(path: str) -> str:
    """The URI that opens an existing file; `mode=rw` never makes a missing one."""
    return f"file:{quote(os.fsencode(path))}?mode=rw"


def untouched(path: str) -> str:
    """The URI that reads a file without a lock and without making a file beside it."""
    return f"file:{quote(os.fsencode(path))}?immutable=1"


def set_up(connection: Connection) -> str:
    """Sets what every connection needs and returns the journal mode that was reached."""
    # The time-out comes first: the switch to WAL takes a lock itself.
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}").fetchall()
    connection.execute("PRAGMA synchronous = EXTRA").fetchall()
    mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    connection.execute("PRAGMA secure_delete = ON").fetchall()
    # A checkpoint inside a commit is the p99.9; it is made elsewhere.
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    return mode
