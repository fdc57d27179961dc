"""Emptying the log beside the writers, on a connection of its own.

Until 3.51.3 SQLite has a fault (https://www.sqlite.org/wal.html#walresetbug): a checkpoint that begins when the log has
been copied back to its end, and is overtaken by a writer who begins the log anew, copies what belongs elsewhere over the
database. Who holds our lock file is overtaken by none of our writers; but most of the copying is done without it. So
only one process at a time empties the log, and it writes a page before it lets the writers in: then there is something to
copy, and nobody begins the log anew before it is copied. (A checkpoint that cuts the log leaves none to copy.)
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from samekey.stores import _sql
from samekey.stores._connection import Connect, Connection, read_write
from samekey.stores._files import Files
from samekey.stores._inodes import Inode, inode_of
from samekey.stores._keeper import Extent
from samekey.stores._locks import UNDER_WAY, FileLock
from samekey.stores._log import cut_rest

BUSY_MS: Final = 100
"""How long emptying the log waits for readers, while writers wait for it."""


class Emptier:
    """Empties the log of one database, while others write.

    Attributes:
        mutex: is held by whoever is in here, and at a fork.
        lock: the writers' lock file.
        connection: of its own, while it is at work.
    """

    def __init__(self, files: Files, connect: Connect, opened: Callable[[], tuple[Inode | None, Inode | None]]) -> None:
        self._files = files
        self._connect = connect
        self._opened = opened  # which files the store has open: the database, and its log
        self._alone = FileLock(files.keeper)
        self.lock = FileLock(files.lock)
        self.after_fork()

    def after_fork(self) -> None:
        """What was opened before the fork is the parent's."""
        self.mutex = threading.Lock()
        self.connection: Connection | None = None
        self._alone.abandon()
        self.lock.abandon()

    def empty(self, extent: Extent) -> int | None:
        """Copies the log back, and empties it.

        Returns:
            How many pages it had; None if it is not done, ask again in a while.
        """
        if inode_of(self._files.database) != self._opened()[0]:
            return 0
        with self.mutex:
            try:
                return self._empty(self.connection or self._open(), extent) if self._alone.attempt() else None
            finally:
                self._alone.release()
                connection = self.connection
                if connection is not None and connection.in_transaction:  # it holds up every writer
                    self.drop()

    def _open(self) -> Connection:
        connection = self.connection = self._connect(read_write(self._files.database))
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}").fetchall()
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        # The page that it touches need not be on the disk while the writers wait for it; what is copied is synced.
        connection.execute("PRAGMA synchronous = NORMAL").fetchall()
        return connection

    def _empty(self, connection: Connection, extent: Extent) -> int | None:
        try:
            self.lock.acquire()
            connection.execute(_sql.TOUCH).fetchall()
        finally:
            self.lock.release()
        self.lock.leave_mark(UNDER_WAY)
        pages: int = connection.execute(_sql.PASSIVE).fetchone()[1]  # most of the work, while writers go on
        try:
            self.lock.acquire()
            self.lock.leave_mark()
            whole = extent is not Extent.REST or self._cut_rest(connection)
            busy: int = connection.execute(_sql.TRUNCATE if extent is Extent.CUT else _sql.RESTART).fetchone()[0]
        finally:
            self.lock.release()
        return pages if whole and busy == 0 else None

    def _cut_rest(self, connection: Connection) -> bool:
        connection.execute("BEGIN IMMEDIATE")  # who does not know the lock file writes nothing now either
        try:
            cut_rest(self._files.log, self._opened()[1])
        except OSError:  # no descriptor, no room: it can wait, but not the rest of the work
            return False
        finally:
            connection.execute("ROLLBACK")
        return True

    def rest(self) -> None:
        """Lets go of everything until it is needed again."""
        with self.mutex:
            self.drop()
            self._alone.close()
            self.lock.close()

    def drop(self) -> None:
        """Closes the connection."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
