"""The commits of a store for tasks that wait for a disk: which they are, and who has to wait with them.

A commit that claims and settlements share is synced for the claims. Where that takes long, the settlements are told as
soon as it is made: SQLite commits without a sync, and the store syncs the log, which together is what a commit at FULL
is (`_log`). The tasks that have settled go on meanwhile; where the disk is fast, to wake them apart costs more than it
brings.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from samekey.errors import StoreUnavailableError
from samekey.stores._connection import Connection
from samekey.stores._database import Database
from samekey.stores._jobs import Errand
from samekey.stores._locks import UNDER_WAY

LONG: Final = 0.0015
"""Seconds that a commit takes from which on it is worth while."""

LAST: Final = 16
"""Of so many commits the shortest tells how long the disk takes: the others have waited for the interpreter too."""

_NO_MARK: Final = UNDER_WAY
"""Stands for the mark of a last commit that there was not: whatever comes next may sync."""


class AsyncCommits(Database):
    """Commits what an event loop has written."""

    def _reset(self) -> None:
        super()._reset()
        self._mark = _NO_MARK
        self._times: deque[float] = deque(maxlen=LAST)
        self._takes_long = False

    def _open_locked(self) -> bytes:
        secret = super()._open_locked()
        self._mark = _NO_MARK
        return secret

    def _mark_now(self) -> bytes:
        """To be read when all is written: the transaction may have begun a second time."""
        try:
            return self._lock.mark()
        except OSError:
            return UNDER_WAY  # so the worker commits

    def _may_sync(self, mark: bytes) -> bool:
        """Whether a commit at NORMAL syncs all the same: after a checkpoint, the head of the log."""
        return mark != self._mark or mark == UNDER_WAY

    def _is_synced_apart(self, jobs: list[Errand[Any]]) -> bool:
        """Whether some of them need not wait for the sync of the others, and what waits can be taken back."""
        return (
            self._takes_long
            and any(not job.full for job in jobs)
            and all(job.take_back is not None for job in jobs if job.full)
            and self._own_sync.is_ready(self._log_inode)
        )

    def _stuck(self, error: Exception, so: str, *, uncertain: bool = False) -> StoreUnavailableError:
        what = str(error) or type(error).__name__
        return StoreUnavailableError(f"the store {self.files.shown} cannot go on ({what}), {so}.", uncertain=uncertain)

    def _not_done(self, connection: Connection, jobs: list[Errand[Any]], error: Exception) -> None:
        """Nobody knows how far it came: none of them is acknowledged, and what may be there is taken back."""
        self._unsynced = True
        for job in jobs:
            if job.error is None:
                job.error = self._stuck(error, job.so, uncertain=True)
                job.error.__cause__ = error
        self._take_back += [job.take_back for job in jobs if job.take_back is not None]
        if not connection.in_transaction:  # which will be rolled back
            with suppress(Exception):
                self._take_it_back(connection)

    def _commit_and_sync(
        self,
        connection: Connection,
        jobs: list[Errand[Any]],
        mark: bytes,
        told: Callable[[Sequence[Errand[Any]]], None] | None,
    ) -> None:
        """Commits. In the worker's thread.

        Args:
            connection: in a transaction.
            jobs: what is in it; those that were told are taken out.
            mark: the mark under which it was written.
            told: what tells those that need not wait for the sync; None if SQLite syncs.
        """
        begun = monotonic()
        try:
            self._commit(connection, list(jobs))
            self._mark = mark
            if told is not None and not self._unsynced:
                claims = [job for job in jobs if job.full]
                told([job for job in jobs if not job.full])
                jobs[:] = claims
                self._sync_apart(connection, list(claims))
        except Exception as error:  # noqa: BLE001 - no memory, for one; each of them is told
            self._not_done(connection, jobs, error)
        self._times.append(monotonic() - begun)
        self._takes_long = min(self._times) >= LONG
