"""The database for the threads of a process.

Writers of one process share commits: each puts its job into a queue and waits for the mutex; who gets it commits
everything that is queued. A lone caller finds only its own job and pays for nothing else.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from threading import get_ident
from typing import Any, TypeVar

from samekey.errors import StoreUnavailableError
from samekey.stores._connection import Connection
from samekey.stores._database import MAX_SHARED, Database
from samekey.stores._errors import NOTHING_SENT
from samekey.stores._jobs import Job
from samekey.stores._locks import threads_inside

T = TypeVar("T")


class Engine(Database):
    """Runs transactions for callers who may wait."""

    def _reset(self) -> None:
        super()._reset()
        self._queue: deque[Job[Any]] = deque()
        self._inside = threads_inside(self.files.lock)

    def secret(self, given: bytes | None, *, keep: bool = False) -> bytes:
        """Opens the store and returns its secret, see `Store.secret`."""
        return self._once(lambda: super(Engine, self).secret(given, keep=keep))

    def ensure_open(self) -> None:
        """Opens the store if it is not open."""
        self._once(super().ensure_open)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Runs statements that change nothing."""
        return self._once(lambda: super(Engine, self).read(work))

    # What ends a use does nothing for a signal handler that has interrupted this very store, as handlers of SIGTERM do: what
    # was interrupted goes on, and the end of the process closes it.

    def empty_log(self) -> None:
        """Copies the log back and cuts it to nothing, with what was erased from the rows."""
        if get_ident() not in self._inside:
            self._once(super().empty_log)

    def close(self) -> None:
        """Empties the log and lets go of everything; a later verb opens it again."""
        if get_ident() not in self._inside:
            self._once(super().close)

    def _once(self, call: Callable[[], T], so: str = NOTHING_SENT) -> T:
        """Does something for the calling thread, unless it is inside already: then it is a signal handler's."""
        me = get_ident()
        if me in self._inside:
            raise StoreUnavailableError(
                f"the store {self.files.shown} is in use by the very code that a signal handler has interrupted, {so}; have "
                "the handler note what is to be done, and do it afterwards."
            )
        try:
            self._inside.add(me)
            return call()
        finally:
            try:
                self._inside.discard(me)
            finally:
                self._inside.discard(me)  # once more, for a Ctrl-C just before the first one

    def write(
        self,
        work: Callable[[Connection], T],
        *,
        full: bool,
        so: str = NOTHING_SENT,
        at_once: Callable[[Connection], T | None] | None = None,
        take_back: Callable[[Connection], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> T:
        """Runs statements in a transaction of their own or one that is shared; returns after its commit.

        Args:
            work: may be run twice, if the first run's transaction was rolled back.
            full: whether the commit must survive a power loss.
            so: what a failure means for the caller, for the message.
            at_once: see `Plan`.
            take_back: see `Plan`.
            meanwhile: see `Plan`.
        """
        job = Job(work, so, full=full, at_once=at_once, take_back=take_back, meanwhile=meanwhile)
        self._once(partial(self._submit, job), so)
        if job.error is not None:
            raise job.error
        return job.answer  # type: ignore[return-value] # done without an error means answered

    def _submit(self, job: Job[Any]) -> None:
        self._queue.append(job)
        try:
            with self._mutex:
                if not job.done:
                    self._transact([job])
        except BaseException:
            self._withdraw(job)
            raise

    def _withdraw(self, job: Job[Any]) -> None:
        """After this nobody will run the job: it is not queued, and no leader has it."""
        with self._mutex:
            job.done = True

    def _join(self, jobs: list[Job[Any]]) -> None:
        queue = self._queue
        while queue and len(jobs) < MAX_SHARED:
            job = queue.popleft()
            if job is not jobs[0] and not job.done:
                jobs.append(job)
