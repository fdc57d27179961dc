"""The database for the threads of a process.

Writers of one process share commits: each puts its job into a queue and waits for the mutex; who gets it commits
everything that is queued. A lone caller finds only its own job and pays for nothing else.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from samekey.stores._connection import Connection
from samekey.stores._database import MAX_SHARED, Database, Job
from samekey.stores._errors import NOTHING_SENT

T = TypeVar("T")


class Engine(Database):
    """Runs transactions for callers who may wait."""

    def _reset(self) -> None:
        super()._reset()
        self._queue: deque[Job[Any]] = deque()

    def write(self, work: Callable[[Connection], T], *, full: bool, so: str = NOTHING_SENT) -> T:
        """Runs statements in a transaction of their own or one that is shared; returns after its commit.

        Args:
            work: may be run twice, if the first run's transaction was rolled back.
            full: whether the commit must survive a power loss.
            so: what a failure means for the caller, for the message.
        """
        job = Job(work, so, full=full)
        self._queue.append(job)
        try:
            with self._mutex:
                if not job.done:
                    self._transact([job])
        except BaseException:
            self._withdraw(job)
            raise
        if job.error is not None:
            raise job.error
        return job.answer  # type: ignore[return-value] # done without an error means answered

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
