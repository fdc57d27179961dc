"""What the drivers of one process share: clocks, retry budgets, and settlements that are still to be written."""

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Final, Protocol

from samekey._core.model import Moment
from samekey._core.policy import Bucket
from samekey._core.verbs import Settlement
from samekey._testmode import TESTMODE

MAX_UNRECORDED: Final = 1000
"""Settlements kept in memory for another try; beyond that the oldest are left to the next run, which asks the API."""


class Clocks(Protocol):
    """Reads time."""

    def now(self) -> Moment:
        """The clocks, and the luck of the moment."""

    def wall(self) -> datetime:
        """The wall clock alone, UTC."""


class Clock(Clocks, Protocol):
    """Reads time and passes it. Replace it in tests."""

    def sleep(self, seconds: float) -> None:
        """Waits; Ctrl-C ends it."""


class AsyncClock(Clocks, Protocol):
    """Reads time, and passes it without blocking the event loop. Replace it in tests."""

    async def sleep(self, seconds: float) -> None:
        """Waits; a cancellation ends it."""


@cache
def boot_id() -> str | None:
    """Names this boot of this machine; None where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

boot_clock: Final[Callable[[], float]] = partial(time.clock_gettime, _BOOT_CLOCK)
"""The machine's seconds since boot."""


class SystemClocks:
    """The machine's clocks, or what a test put in their place."""

    def now(self) -> Moment:
        """The clocks, and the luck of the moment."""
        pretended = TESTMODE.clock
        if pretended is None:
            return Moment(datetime.now(UTC), boot_id(), boot_clock(), random.random())  # noqa: S311 - jitter
        return Moment(pretended.wall(), boot_id(), pretended.boot_time(), random.random())  # noqa: S311 - jitter

    def wall(self) -> datetime:
        """The wall clock alone, UTC."""
        return datetime.now(UTC) if TESTMODE.clock is None else TESTMODE.clock.wall()


class SystemClock(SystemClocks):
    """The machine's clocks, for threads."""

    def sleep(self, seconds: float) -> None:
        """Waits; Ctrl-C ends it."""
        if TESTMODE.clock is not None and seconds:
            TESTMODE.clock.skip(seconds)
        elif seconds:
            time.sleep(seconds)


class AsyncSystemClock(SystemClocks):
    """The machine's clocks, for event loops."""

    async def sleep(self, seconds: float) -> None:
        """Waits; a cancellation ends it."""
        if TESTMODE.clock is not None and seconds:
            TESTMODE.clock.skip(seconds)
        elif seconds:
            from anyio import sleep

            await sleep(seconds)


@dataclass(frozen=True, slots=True)
class Budget:
    """The retry budget of one origin."""

    among: "Budgets"
    bucket: Bucket

    def deposit(self) -> None:
        """Counts a first attempt."""
        with self.among.lock:
            self.bucket.deposit()

    def withdraw(self, boot_time: float) -> bool:
        """Takes one retry; False if none is left."""
        with self.among.lock:
            return self.bucket.withdraw(boot_time)


class Budgets:
    """Retry budgets by origin, shared by all clients of the process that ask for the same rates."""

    def __init__(self) -> None:
        self.after_fork()
        self._budgets: dict[tuple[str, float, float], Budget] = {}

    def after_fork(self) -> None:
        """A child may find the lock held by a thread that it does not have."""
        self.lock = threading.Lock()

    def budget(self, origin: str, ratio: float, per_second: float) -> Budget:
        """The budget of one origin."""
        name = (origin, ratio, per_second)
        return self._budgets.get(name) or self._new(name)

    def _new(self, name: tuple[str, float, float]) -> Budget:
        _, ratio, per_second = name
        bucket = Bucket(ratio, per_second, per_second * Bucket.BURST_SECONDS, 0.0)
        return self._budgets.setdefault(name, Budget(self, bucket))


BUDGETS: Final = Budgets()
"""The process's retry budgets."""

os.register_at_fork(after_in_child=BUDGETS.after_fork)


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

    @contextmanager
    def taken(self) -> Iterator[Iterator[Settlement]]:
        """Takes all of them; what fails again is to be added again, and what was not come to at the end is by itself."""
        with self.lock:
            taken, self.settlements = self.settlements, []
        waiting = deque(taken)
        try:
            yield _each(waiting)
        finally:
            if waiting:
                with self.lock:
                    self.settlements[:0] = waiting


def _each(waiting: deque[Settlement]) -> Iterator[Settlement]:
    """Each in turn, taken off when the next one is asked for."""
    while waiting:
        yield waiting[0]
        waiting.popleft()
