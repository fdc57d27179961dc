"""What tests put in the machine's place, for the whole process; empty outside of tests. `samekey.testing` fills it."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol


class PretendedClock(Protocol):
    """Stands for the machine's clocks. It may be asked from any thread."""

    def wall(self) -> datetime:
        """The wall clock, UTC."""

    def boot_time(self) -> float:
        """Seconds since boot."""

    def skip(self, seconds: float) -> None:
        """A wait of so many seconds, which takes no time."""


class Testmode:
    """What is pretended.

    Attributes:
        store: the path that every client takes which is given no store object.
        clock: in place of the machine's clocks.
        attempts: most sends in one run, where the policy allows more.
        at: told each boundary between two steps of an action, by name.
    """

    __slots__ = ("at", "attempts", "clock", "store")

    def __init__(self) -> None:
        self.store: str | None = None
        self.clock: PretendedClock | None = None
        self.attempts: int | None = None
        self.at: Callable[[str], None] | None = None


TESTMODE: Final = Testmode()
"""The process's own; read at each use, so that it counts for clients that were built before."""
