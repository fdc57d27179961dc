"""The thread that copies the write-ahead log back and empties it, away from the callers.

What was erased from a row is still in the log until the log is cut to nothing; and a checkpoint inside a commit is what
makes the slowest commits slow. Cutting has a price of its own: the commits that make the file longer again wait about
twice as long for the disk as those that write over what is there. So it is cut when the store is quiet; while there is
work it is only begun anew, over what it holds. Every few seconds what is left behind its end is cut off too: then all is
gone that it held when that was done the time before.

Each emptying holds up the writers for a moment, and a busy event loop for longer: its thread and this one take the
interpreter from each other at every call. So it is not done before the log is long. How long it is, is not known here but
guessed by what was written: rows that share a commit share pages, and other processes write too. Each emptying tells how
good the guess was.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from time import monotonic
from typing import Final

DELAY: Final = 2.5
"""Seconds between two looks: without a write in between, what was erased goes from the files."""
LONGEST: Final = 4.0
"""Seconds after which the rest of the log is cut off also while there are writes; what was erased goes with the second
time."""
MANY_PAGES: Final = 1_000
"""Pages of log after which it is not worth waiting: SQLite's own default."""
FARTHEST: Final = 8
"""By how much the guess may be wrong, this way or that way, before it is not believed to be so."""
PATIENCE: Final = 2.0
"""Seconds to wait for the thread's last checkpoint."""
IDLE_ROUNDS: Final = 8
"""Rounds of `DELAY` without work after which the thread ends."""

_log = logging.getLogger("samekey")


class Extent(Enum):
    """How far to empty the log, after it was copied back."""

    ANEW = "anew"
    """The next commit begins it anew, over what it held."""
    REST = "rest"
    """And what is behind its end, from before it was last begun anew, is cut off."""
    CUT = "cut"
    """It is cut to nothing."""


class Keeper:
    """Has the log emptied soon after something was noted.

    The thread starts with the first note that asks for it, ends when there is nothing to do, and never keeps the
    process alive.
    """

    def __init__(self, work: Callable[[Extent], int | None], rest: Callable[[], None]) -> None:
        self._work = work  # how many pages the log had; None to be asked again
        self._rest = rest  # gives back what work needed
        self.after_fork()

    def after_fork(self) -> None:
        """Threads do not survive a fork; the next note starts a new one."""
        self._pages = 0
        self._many = float(MANY_PAGES)
        self._failed = False
        self._seen = 0
        self._begun: float | None = None
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False

    def note(self, pages: int, *, erased: bool) -> None:
        """Says that so many pages were written, some of them over what must go."""
        self._pages += pages
        if self._pages >= self._many or (erased and self._thread is None):
            self._ensure()

    def stop(self) -> None:
        """Ends the thread if it runs, and waits for it."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._stopped = True
            self._wake.set()
            thread.join(PATIENCE)

    def _ensure(self) -> None:
        with self._guard:
            self._stopped = False
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="samekey-store", daemon=True)
                # The system may give no thread: what was written stands all the same, and the next note asks again.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
        if self._pages >= self._many:
            self._wake.set()

    def _run(self) -> None:
        idle = 0
        while True:
            self._wake.wait(DELAY)
            self._wake.clear()
            idle = 0 if self._owes() else idle + 1
            if self._owes() and not self._stopped:
                self._look()
            elif (idle >= IDLE_ROUNDS or self._stopped) and self._may_end():
                return

    def _owes(self) -> bool:
        """Whether the log has anything in it."""
        return self._pages > 0 or self._begun is not None

    def _look(self) -> None:
        """Does what is due now, if anything."""
        pages, now = self._pages, monotonic()
        since = self._begun = now if self._begun is None else self._begun
        if pages == self._seen:
            if self._once(Extent.CUT):
                self._begun = None
        elif now - since >= LONGEST:
            if self._once(Extent.REST):
                self._begun = now
        elif pages >= self._many:
            self._once(Extent.ANEW)
        self._seen = self._pages

    def _once(self, extent: Extent) -> bool:
        noted, self._pages = self._pages, 0
        failed, self._failed = self._failed, True
        try:
            had = self._work(extent)
        except Exception:  # noqa: BLE001 - the store's own verbs will meet it and tell the caller
            _log.debug("the store's log could not be emptied", exc_info=True, extra={"event": "log_not_emptied"})
            return False
        if had is None:
            return False
        self._failed = False
        if noted >= self._many and had > 0 and not failed:  # enough to judge by, and all of it
            self._many = min(max(noted * MANY_PAGES / had, MANY_PAGES / FARTHEST), MANY_PAGES * FARTHEST)
        return True

    def _may_end(self) -> bool:
        with self._guard:
            # In this order: a note that still sees the thread has counted its pages before we look at them.
            thread, self._thread = self._thread, None
            if self._owes() and not self._stopped:
                self._thread = thread
                return False
            self._rest()
            return True
