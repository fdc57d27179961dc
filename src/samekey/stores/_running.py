"""The tasks of this process that work on an action now (R5b)."""

import threading
from time import monotonic

from samekey._core.model import Record
from samekey.stores import _loops
from samekey.stores._fork import forget_in_child

Task = tuple[str, int, int]
"""Identity, generation, fence."""


class Running:
    """Which claims of this process still have a task behind them, and the rows as those tasks wrote them."""

    def __init__(self) -> None:
        self.after_fork()
        forget_in_child(self)

    def after_fork(self) -> None:
        """A child has none of its parent's tasks."""
        self._tasks: dict[Task, Record] = {}
        self._waiting = 0
        self._asleep: dict[Task, set[_loops.Waker]] = {}
        # Always taken itself, never through the condition: Ctrl-C cannot come between this lock and its `with`.
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)

    def begin(self, record: Record) -> None:
        """Says that a task works under the record's fence."""
        with self._lock:
            self._tasks[record.identity, record.generation, record.fence] = record

    def row(self, task: Task) -> Record | None:
        """The row as the task wrote it, or None if no such task runs."""
        return self._tasks.get(task)

    def __len__(self) -> int:
        """How many tasks run."""
        return len(self._tasks)

    def __contains__(self, task: Task) -> bool:
        """Whether the task runs."""
        return task in self._tasks

    def end(self, task: Task) -> None:
        """Says that the task does not run any more; wakes those who wait."""
        if task in self._tasks:
            self._end(task, None)

    def withdraw(self, task: Task, nonce: str) -> None:
        """The same of a claim or a take-over that failed. If another one holds the action as this task, that goes on."""
        if task in self._tasks:
            self._end(task, nonce)

    def _end(self, task: Task, nonce: str | None) -> None:
        with self._lock:
            row = self._tasks.get(task)
            if row is None or nonce not in (None, row.claim_nonce):
                return
            del self._tasks[task]
            asleep = self._asleep.pop(task, ())
            if self._waiting:
                self._ended.notify_all()
        for waker in asleep:
            waker.wake()

    def wait(self, task: Task, seconds: float) -> None:
        """Returns when the task has ended, at the latest after `seconds`."""
        until = monotonic() + seconds
        with self._lock:
            self._waiting += 1
            try:
                while task in self._tasks and (left := until - monotonic()) > 0:
                    self._ended.wait(min(left, threading.TIMEOUT_MAX))
            finally:
                self._waiting -= 1

    async def sleep(self, task: Task, seconds: float) -> None:
        """The same for a task of an event loop: no thread waits for it, whoever ends the task wakes it."""
        waker = _loops.current().waker()
        with self._lock:
            if task not in self._tasks:
                return
            self._asleep.setdefault(task, set()).add(waker)
        try:
            await waker.sleep(seconds)
        finally:
            with self._lock:
                asleep = self._asleep.get(task)
                if asleep is not None:
                    asleep.discard(waker)
                    if not asleep:
                        del self._asleep[task]
