"""What waits for a database: writes of threads, writes of tasks, and whatever else a task has done apart."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from samekey.stores import _loops
from samekey.stores._connection import Connection
from samekey.stores._plans import Plan

T = TypeVar("T")


class Job(Generic[T]):
    """A write that waits for its commit.

    Attributes:
        work: what to run in a transaction.
        at_once, take_back, meanwhile: see `Plan`.
    """

    __slots__ = ("answer", "at_once", "done", "error", "full", "meanwhile", "so", "take_back", "work")

    def __init__(
        self,
        work: Callable[[Connection], T],
        so: str,
        *,
        full: bool,
        at_once: Callable[[Connection], T | None] | None = None,
        take_back: Callable[[Connection], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        self.work = work
        self.at_once = at_once
        self.take_back = take_back
        self.meanwhile = meanwhile
        self.full = full
        self.so = so
        self.done = False
        self.answer: T | None = None
        self.error: Exception | None = None


class Errand(Job[T]):
    """A job that a task waits for.

    Attributes:
        apart: whether it may take long, so that it is done by the worker as a whole.
        left: whether the task has left; then `undo` is called when it is over.
    """

    __slots__ = ("apart", "left", "undo", "waker")

    def __init__(self, plan: Plan[T], *, apart: bool) -> None:
        # What it finds is an answer too.
        super().__init__(plan.work, plan.so, full=plan.full, take_back=plan.take_back)  # type: ignore[arg-type]
        self.apart = apart
        self.undo = plan.undo
        self.left = False
        self.waker: _loops.Waker | None = None


class Call:
    """Anything else that a task waits for."""

    __slots__ = ("answer", "call", "error", "waker")

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.answer: Any = None
        self.error: Exception | None = None
        self.waker: _loops.Waker | None = None

    def run(self) -> None:
        """Does it."""
        try:
            self.answer = self.call()
        except Exception as error:  # noqa: BLE001 - it belongs to the task that waits, which gets it
            self.error = error


class Flight:
    """What the worker is handed, and whose it is: an interruption while it is handed over leaves it to one of the two.

    Attributes:
        handed: it was handed over, or just will be.
        counted: it counts as one of the flights.
        begun: the worker has it.
        off: it was taken back before the worker had it.
    """

    __slots__ = ("begun", "counted", "handed", "off")

    def __init__(self) -> None:
        self.handed = self.counted = self.begun = self.off = False

    @property
    def ours(self) -> bool:
        """Whether it is not, or not any more, the worker's."""
        return self.off or not self.handed
