"""What a test puts in the machine's place: a store of its own, a clock that it moves, and no waiting."""

from __future__ import annotations

import contextlib
import os
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from samekey._drivers.runtime import boot_clock
from samekey._testmode import TESTMODE

if TYPE_CHECKING:
    from collections.abc import Iterator

_STORE_VARIABLE: Final = "SAMEKEY_STORE"  # programs that the test starts read it


class ManualClock:
    """A clock that a test moves. Waits before a further attempt move it, and take no time.

    Put it in place with `set_testing(clock=...)`. Give it to a `FlakyServer` too, as `clock=clock.time`: an API whose
    clock differs by more than two minutes closes the window.

    Args:
        start: its first time; default: now. It needs a time zone.
        ticking: whether it also goes by itself, as the machine's clock does.

    Attributes:
        waits: the waits that took no time, in seconds, in their order.

    Raises:
        ValueError: `start` has no time zone.
    """

    def __init__(self, start: datetime | None = None, *, ticking: bool = False) -> None:
        if start is not None and start.tzinfo is None:
            msg = "start= has no time zone; give one, such as datetime.UTC"
            raise ValueError(msg)
        self.waits: list[float] = []
        self._lock = threading.Lock()
        self._wall = (start or datetime.now(UTC)).astimezone(UTC)
        self._boot = self._since = boot_clock()
        self._ticking = ticking
        self._moved = 0.0

    def __repr__(self) -> str:
        return f"<ManualClock {self.wall():%Y-%m-%d %H:%M:%S}Z{' ticking' if self._ticking else ''}>"

    def advance(self, by: timedelta | float) -> None:
        """Move it forward.

        Args:
            by: a span, or seconds.

        Raises:
            ValueError: it would go backwards.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else float(by)
        if seconds < 0:
            msg = f"a clock does not go back by {-seconds:g} s"
            raise ValueError(msg)
        with self._lock:
            self._moved += seconds

    def skip(self, seconds: float) -> None:
        """A wait: it moves the clock, is noted in `waits`, and takes no time."""
        self.advance(seconds)
        self.waits.append(seconds)

    def wall(self) -> datetime:
        """The time it shows, UTC."""
        return self._wall + timedelta(seconds=self._elapsed())

    def time(self) -> float:
        """The time it shows, in seconds since the epoch, as `time.time` tells it."""
        return self.wall().timestamp()

    def boot_time(self) -> float:
        """Seconds since boot."""
        return self._boot + self._elapsed()

    def state(self) -> tuple[str, float, bool]:
        """What a clock is made of that goes on from here, in another process: see `following`."""
        return self.wall().isoformat(), self.boot_time(), self._ticking

    @classmethod
    def following(cls, state: tuple[str, float, bool]) -> Self:
        """A clock that goes on from a state."""
        wall, boot, ticking = state
        clock = cls(datetime.fromisoformat(wall), ticking=ticking)
        clock._boot = boot
        return clock

    def _elapsed(self) -> float:
        ticked = boot_clock() - self._since if self._ticking else 0.0
        return self._moved + ticked


@contextlib.contextmanager
def set_testing(
    *,
    store: str | os.PathLike[str] | None = None,
    clock: ManualClock | None = None,
    attempts: int | None = None,
) -> Iterator[None]:
    """Let every client of this process work under test conditions, those too that a script builds for itself.

    It counts for clients that were built before, except for their store. What is left out stays as it is, so that one
    may stand inside another. Not for use by several threads at once.

    Args:
        store: the SQLite file that every client takes that is given no store object: in place of the default, of
            `SAMEKEY_STORE` and of a path or URL. Programs that are started meanwhile take it as their default.
        clock: in place of the machine's clocks. No wait before a further attempt takes time.
        attempts: most sends in one run, where the policy allows more.

    Raises:
        ValueError: `attempts` is not positive.
    """
    if attempts is not None and attempts < 1:
        msg = f"attempts={attempts} would send nothing; give 1 or more"
        raise ValueError(msg)
    before = (TESTMODE.store, TESTMODE.clock, TESTMODE.attempts, os.environ.get(_STORE_VARIABLE))
    if store is not None:
        TESTMODE.store = os.environ[_STORE_VARIABLE] = os.fspath(store)
    TESTMODE.clock = clock or TESTMODE.clock
    TESTMODE.attempts = attempts or TESTMODE.attempts
    try:
        yield
    finally:
        TESTMODE.store, TESTMODE.clock, TESTMODE.attempts, variable = before
        if variable is not None:
            os.environ[_STORE_VARIABLE] = variable
        elif store is not None:
            os.environ.pop(_STORE_VARIABLE, None)
