"""What the drivers of one process share: clocks, retry budgets, and settlements that are still to be written."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from samekey._core.model import Moment
from samekey._core.policy import Bucket
from samekey._core.verbs import Settlement

MAX_UNRECORDED: Final = 1000
"""Settlements kept in memory for another try; beyond that the oldest are left to the next run, which asks the API."""


class Clock(Protocol):
    """Reads time and passes it. Replace it in tests."""

    def now(self) -> Moment:
        """The clocks, and the luck of the moment."""

    def wall(self) -> datetime:
        """The wall clock alone, UTC."""

    def sleep(self, seconds: float) -> None:
        """Waits; Ctrl-C ends it."""


@cache
def boot_id() -> str | None:
    """Names this boot of this machine; None where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Moment:
        """The clocks, and the luck of the moment."""
        return Moment(datetime.now(UTC), boot_id(), time.clock_gettime(_BOOT_CLOCK), random.random())  # noqa: S311 - jitter

    def wall(self) -> datetime:
        """The wall clock alone, UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Waits; Ctrl-C ends it."""
        time.sleep(seconds)


class Budgets:
    """Retry budgets by origin, shared by all clients of the process that ask for the same rates."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, float, float], Bucket] = {}

    def bucket(self, origin: str, ratio: float, per_second: float) -> "Budget":
        """The budget of one origin."""
        return Budget(self, (origin, ratio, per_second))

    def apply(self, name: tuple[str, float, float], action: Callable[[Bucket], bool | None]) -> bool:
        """Does something to a bucket, alone."""
        with self._lock:
            bucket = self._buckets.get(name)
            if bucket is None:
                _, ratio, per_second = name
                bucket = self._buckets[name] = Bucket(ratio, per_second, per_second * Bucket.BURST_SECONDS, 0.0)
            return bool(action(bucket))


@dataclass(frozen=True, slots=True)
class Budget:
    """The retry budget of one origin."""

    budgets: Budgets
    name: tuple[str, float, float]

    def deposit(self) -> None:
        """Counts a first attempt."""
        self.budgets.apply(self.name, Bucket.deposit)

    def withdraw(self, boot_time: float) -> bool:
        """Takes one retry; False if none is left."""
        return self.budgets.apply(self.name, lambda bucket: bucket.withdraw(boot_time))


BUDGETS: Final = Budgets()
"""The process's retry budgets."""


@dataclass(slots=True)
class Unfinished:
    """What a client still owes its store.

    Attributes:
        settlements: settlements that could not be written; tried again at the next store call and at close.
        unsent: nonces of claims whose commit reported an error: nothing was sent under them.
    """

    settlements: list[Settlement] = field(default_factory=list)
    unsent: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, settlement: Settlement) -> None:
        """Keeps a settlement for another try."""
        with self.lock:
            self.settlements.append(settlement)
            del self.settlements[:-MAX_UNRECORDED]

    def take(self) -> list[Settlement]:
        """Takes all of them; what fails again is added again."""
        with self.lock:
            taken, self.settlements = self.settlements, []
        return taken
