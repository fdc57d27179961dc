"""One open SQLite database and its transactions, in which several callers' jobs may share a commit.

What it takes to come to a transaction without waiting where one must not is the business of the engines: for threads
(`_engine`) and for event loops (`_async_engine`).
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from samekey.errors import StoreError, StoreUnavailableError
from samekey.stores import _sql
from samekey.stores._connection import Connect, Connection
from samekey.stores._creation import is_bound, open_database, refuse_foreign, settle_secret
from samekey.stores._emptying import BUSY_MS, Emptier
from samekey.stores._errors import NOTHING_SENT, from_os, from_sqlite, is_of_the_disk
from samekey.stores._files import Files, make_directory, refuse_unfit
from samekey.stores._fork import forget_in_child, quiet_at_fork
from samekey.stores._inodes import Inode, asker, inode_of
from samekey.stores._jobs import Job
from samekey.stores._keeper import Keeper
from samekey.stores._locks import FileLock
from samekey.stores._log import OwnSync
from samekey.stores._sharing import run_all

T = TypeVar("T")

MAX_SHARED: Final = 256
"""Jobs in one commit; more would only lengthen the time to the first answer."""

_LAST_PATIENCE: Final = 2.0
"""Seconds to wait at the end of the process for a verb of another thread."""

# Connections that a child inherited from the middle of a transaction, by the database's inode. They are the parent's:
# never used, never closed, so never collected.
_inherited: Final[dict[Inode | None, list[Connection]]] = {}


class Database:
    """The database, its locks and its log. What begins with an underscore is called by who holds `_mutex`.

    Whatever interrupts a transaction, at whatever line: it is rolled back and its locks are free.
    """

    def __init__(self, files: Files, connect: Connect) -> None:
        self.files = files
        self._files_now = asker(files.database), asker(files.log), asker(files.index)
        self._connect = connect
        self._connection: Connection | None = None
        self._given: bytes | None = None
        self._asked = self._keep = False
        self._lock = FileLock(files.lock)
        self._own_sync = OwnSync(files.log)
        self.emptier = Emptier(files, connect, lambda: (self._inode, self._log_inode))
        self.keeper = Keeper(self.emptier.empty, self.emptier.rest)
        self._reset()
        forget_in_child(self)
        quiet_at_fork(self)

    def _reset(self) -> None:
        self._mutex = threading.Lock()
        self._level = ""
        self._inode: Inode | None = None
        self._log_inode: Inode | None = None
        self._files_opened: tuple[Inode | None, ...] = ()
        self._unsynced = False
        self._take_back: list[Callable[[Connection], None]] = []
        # What a transaction has read it may have written itself: they are forgotten after one that was not committed.
        self.scope_names: dict[str, tuple[str, ...]] = {}
        self._open_ended = False

    def fork_locks(self) -> tuple[threading.Lock, ...]:
        """What threads hold while they are inside SQLite."""
        return self._mutex, self.emptier.mutex

    def before_fork(self) -> None:
        """Closes the connections, so that SQLite in the child does not take the parent's locks for its own."""
        with suppress(sqlite3.Error):
            self._drop()
        self.emptier.drop()

    def after_fork(self) -> None:
        """Leaves the parent what is the parent's; the next verb opens anew."""
        left = [connection for connection in (self._connection, self.emptier.connection) if connection is not None]
        if left:
            _inherited.setdefault(self._inode, []).extend(left)
        self._connection = None
        self._own_sync.close()
        self._lock.abandon()
        self.emptier.after_fork()
        self.keeper.after_fork()
        self._reset()

    # --- opening and closing ---------------------------------------------------------------------------------

    def secret(self, given: bytes | None, *, keep: bool = False) -> bytes:
        """Opens the store and returns its secret, see `Store.secret`."""
        with self._mutex:
            self._given, self._asked, self._keep = given, True, keep
            return self._open() if self._connection is None else self._locked_out(self._check_secret)

    def ensure_open(self) -> None:
        """Opens the store if it is not open."""
        with self._mutex:
            self._ready()

    def _ready(self) -> Connection:
        if self._connection is None:
            self._open()
        assert self._connection is not None
        return self._connection

    def _open(self) -> bytes:
        if _inherited and inode_of(self.files.database) in _inherited:
            raise StoreUnavailableError(
                f"the store {self.files.shown} cannot be opened in this process, which was forked in the middle of a "
                f"write, {NOTHING_SENT}; fork while no action is under way, or start the process with spawn."
            )
        try:
            refuse_unfit(self.files)
            refuse_foreign(self.files, self._connect)
            make_directory(self.files.directory)
        except sqlite3.Error as error:
            raise from_sqlite(error, self.files.shown) from error
        except OSError as error:
            raise from_os(error, self.files.shown) from error
        return self._locked_out(self._open_locked)

    def _locked_out(self, work: Callable[[], T], so: str = NOTHING_SENT) -> T:
        """Does something while no other process writes."""
        try:
            try:
                try:
                    self._lock.acquire()
                    return work()
                finally:
                    self._lock.release()
            finally:
                self._lock.release()  # once more, for a Ctrl-C just before the first one
        except sqlite3.Error as error:
            raise from_sqlite(error, self.files.shown, so=so) from error
        except OSError as error:
            raise from_os(error, self.files.shown) from error

    def _check_secret(self) -> bytes:
        connection = self._ready()
        connection.execute("PRAGMA synchronous = EXTRA").fetchall()
        self._level = "EXTRA"
        return settle_secret(connection, self.files, self._given, keep=self._keep)

    def _open_locked(self) -> bytes:
        connection = open_database(self.files, self._connect)
        try:
            # Who only looks need not know the secret.
            needed = self._asked or not is_bound(connection)
            secret = settle_secret(connection, self.files, self._given, keep=self._keep) if needed else b""
            self._inode = inode_of(self.files.database)
            # SQLite has opened them by now, and nobody takes them away while we hold the lock.
            self._log_inode = inode_of(self.files.log)
            self._files_opened = tuple([now() for now in self._files_now])
            self._level = "EXTRA"
            self._connection = connection
        except BaseException:
            connection.close()
            self._connection = None
            raise
        return secret

    def _drop(self) -> None:
        self.scope_names.clear()
        self._own_sync.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Empties the log and lets go of everything; a later verb opens it again."""
        self.keeper.stop()
        with self._mutex:
            self._close_locked()

    def close_at_last(self) -> None:
        """The same when the store is collected or the process ends, unless a verb is stuck just then.

        Nobody is waited for at the lock file: a collection may come in the middle of another transaction of this very
        thread, and whoever is there empties the log in the end.
        """
        if self._mutex.acquire(timeout=_LAST_PATIENCE):
            try:
                with suppress(StoreError, OSError, sqlite3.Error):
                    if self._connection is not None and self._lock.attempt():
                        self._lock.release()  # to the keeper, for its last look
                        self.keeper.stop()
                        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}").fetchall()
                        if self._lock.attempt():
                            self._empty_and_drop()
            finally:
                self._drop()
                self._lock.close()
                self._mutex.release()

    def _close_locked(self) -> None:
        try:
            # Every acknowledged commit is in the log; if it cannot be emptied now, whoever opens it next does it.
            if self._connection is not None:
                with suppress(StoreError):
                    self._locked_out(self._empty_and_drop)
        finally:
            self._lock.close()  # which one that could not be opened has too

    def _empty_and_drop(self) -> None:
        try:
            if self._connection is not None and inode_of(self.files.database) == self._inode:
                with suppress(sqlite3.Error):
                    self._take_it_back(self._connection)
                self._cut_log(self._connection)
        finally:
            self._drop()

    # --- transactions ----------------------------------------------------------------------------------------

    def read(self, work: Callable[[Connection], T]) -> T:
        """Runs statements that change nothing."""
        with self._mutex:
            connection = self._ready()
            try:
                return work(connection)
            except sqlite3.Error as error:
                raise from_sqlite(error, self.files.shown) from error

    def _transact(self, jobs: list[Job[Any]]) -> None:
        """Performs jobs in one transaction. An exception is about all of them, an error in a job about that one."""
        try:
            try:
                self._perform(jobs)
            finally:
                self._conclude()
        finally:
            connection = self._connection
            if self._lock.held or (connection is not None and connection.in_transaction):
                self._conclude()  # once more, for a Ctrl-C in the first one

    def _perform(self, jobs: list[Job[Any]]) -> None:
        connection = self._connection or self._ready()
        try:
            self._lock.acquire()
        except OSError as error:
            raise from_os(error, self.files.shown) from error
        self._join(jobs)
        try:
            full = jobs[0].full if len(jobs) == 1 else any(job.full for job in jobs)
            self._get_ready(connection, full=full, so=jobs[0].so)
            if len(jobs) == 1 and self._do_at_once(connection, jobs[0]):
                return
            self._begin(connection, full=full)
        except sqlite3.Error as error:
            raise from_sqlite(error, self.files.shown, so=jobs[0].so) from error
        if self._run_all(connection, jobs):
            self._commit(connection, jobs)
        for job in jobs:
            job.done = True

    def _join(self, jobs: list[Job[Any]]) -> None:
        """Adds the jobs of others to a transaction that is about to begin."""

    def _get_ready(self, connection: Connection, *, full: bool, so: str = NOTHING_SENT) -> None:
        """Whatever must be before a transaction begins."""
        if full:
            self._check_place(so)
        if self._unsynced:
            self._sync_again(connection)
        if self._open_ended:
            self.scope_names.clear()
            self._open_ended = False

    def _begin(self, connection: Connection, *, full: bool) -> None:
        self._set_level(connection, full=full)
        self._open_ended = True
        connection.execute("BEGIN IMMEDIATE")

    def _set_level(self, connection: Connection, *, full: bool) -> None:
        level = "FULL" if full else "NORMAL"
        if self._level != level:  # inside a transaction it would be too late
            self._level = ""
            connection.execute("PRAGMA synchronous = FULL" if full else "PRAGMA synchronous = NORMAL").fetchall()
            self._level = level

    def _do_at_once(self, connection: Connection, job: Job[Any]) -> bool:
        """Does the usual case of a lone job, without a BEGIN and a COMMIT around its one statement."""
        if job.at_once is None or connection.in_transaction:
            return False
        apart = job.full and job.take_back is not None and self._own_sync.is_ready(self._log_inode)
        self._set_level(connection, full=job.full and not apart)
        try:
            job.answer = job.at_once(connection)
        except sqlite3.Error as error:
            self._not_committed(error, [job], uncertain=is_of_the_disk(error))
        if apart and job.answer is not None:
            if job.meanwhile is not None:
                self._own_sync.start()
                job.meanwhile()
            self._sync_apart(connection, [job])
        job.done = job.answer is not None or job.error is not None
        return job.done

    def _sync_apart(self, connection: Connection, jobs: list[Job[Any]]) -> None:
        """Syncs what they have committed without a sync."""
        try:
            self._own_sync.sync()
        except OSError as error:
            for job in jobs:
                if job.error is None:
                    job.error = from_os(error, self.files.shown, so=job.so, uncertain=True)
                    job.error.__cause__ = error
            # Their callers are told that nothing was sent: nobody is to find them and send them (R12).
            self._unsynced = True
            self._take_back += [job.take_back for job in jobs if job.take_back is not None]
            self._own_sync.close()
            with suppress(sqlite3.Error):
                self._take_it_back(connection)

    def _take_it_back(self, connection: Connection) -> None:
        while self._take_back:
            self._take_back[-1](connection)
            self._take_back.pop()

    def _check_place(self, so: str) -> None:
        """Database, log and index are still the files that were opened: SQLite writes into deleted ones too."""
        database, log, index = self._files_now
        try:
            in_place = (database(), log(), index()) == self._files_opened
        except OSError as error:
            raise from_os(error, self.files.shown, so=so) from error
        if not in_place:
            raise StoreUnavailableError(
                f"the store {self.files.shown} was deleted or replaced while it was in use, {so}; put the file back and "
                "start the program again."
            )

    def _sync_again(self, connection: Connection) -> None:
        """After a sync that failed: Linux takes what it covered for written, and no later sync of the log writes it.

        A checkpoint copies it into the database, which is another file, and syncs that.
        """
        self._level = ""
        connection.execute("PRAGMA synchronous = EXTRA").fetchall()
        self._take_it_back(connection)
        self._lock.leave_mark()
        if connection.execute(_sql.TRUNCATE).fetchone()[0]:
            raise StoreUnavailableError(
                f"the store {self.files.shown} had a disk error and is being read, so it cannot be put right now, "
                f"{NOTHING_SENT}; run it again in a moment."
            )
        self._unsynced = False

    def _run_all(self, connection: Connection, jobs: list[Job[Any]]) -> bool:
        """Runs the jobs: one that fails takes no other with it. Returns whether to commit."""
        return run_all(connection, jobs, self.files.shown, self.scope_names.clear)

    def _commit(self, connection: Connection, jobs: list[Job[Any]]) -> None:
        try:
            connection.execute("COMMIT")
            self._open_ended = False
        except sqlite3.Error as error:
            self._not_committed(error, jobs)

    def _not_committed(self, error: sqlite3.Error, jobs: list[Job[Any]], *, uncertain: bool = True) -> None:
        """It failed; if that is uncertain, it may be on the disk all the same."""
        self._unsynced = self._unsynced or uncertain
        for job in jobs:
            if job.error is None:
                job.error = from_sqlite(error, self.files.shown, so=job.so, uncertain=uncertain)
                job.error.__cause__ = error

    def _conclude(self) -> None:
        connection = self._connection
        try:
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop()  # what it left is rolled back when the file is opened next
        finally:
            if self._lock.held:
                self._lock.release()

    # --- emptying the log ------------------------------------------------------------------------------------

    def empty_log(self) -> None:
        """Copies the log back and cuts it to nothing, with what was erased from the rows."""
        with self._mutex:
            connection = self._ready()
            self._locked_out(lambda: self._cut_log(connection), "so what was erased is still in its log")

    def _cut_log(self, connection: Connection) -> None:
        self._lock.leave_mark()
        if connection.execute(_sql.TRUNCATE).fetchone()[0]:
            connection.execute(_sql.TOUCH).fetchall()  # why, `_emptying` says
