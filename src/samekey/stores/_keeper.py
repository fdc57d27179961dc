"""The thread that copies the write-ahead log back and empties it, away from the callers.

What was erased from a row is still in the log until the log is emptied; and a checkpoint inside a commit is what makes
the slowest commits slow.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

DELAY: Final = 2.5
"""Seconds from a settlement to the end of the erased bytes; design.md promises "some seconds"."""
MANY_PAGES: Final = 1_000
"""Pages of log after which it is not worth waiting: SQLite's own default."""
PATIENCE: Final = 2.0
"""Seconds to wait for the thread's last checkpoint."""
IDLE_ROUNDS: Final = 8
"""Rounds of `DELAY` without work after which the thread ends."""

_log = logging.getLogger("samekey")


class Keeper:
    """Runs `work` soon after something was noted, at most once per `DELAY` unless there is much.

    The thread starts with the first note that asks for it, ends when there is nothing to do, and never keeps the
    process alive.
    """

    def __init__(self, work: Callable[[], bool], rest: Callable[[], None]) -> None:
        self._work = work  # True if all is done, False to be asked again
        self._rest = rest  # gives back what work needed
        self.after_fork()

    def after_fork(self) -> None:
        """Threads do not survive a fork; the next note starts a new one."""
        self._pages = 0
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False

    def note(self, pages: int, *, erased: bool) -> None:
        """Says that so many pages were written, some of them over what must go."""
        self._pages += pages
        if self._pages >= MANY_PAGES or (erased and self._thread is None):
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
                thread.start()
                self._thread = thread
        if self._pages >= MANY_PAGES:
            self._wake.set()

    def _run(self) -> None:
        idle = 0
        while True:
            self._wake.wait(DELAY)
            self._wake.clear()
            idle = 0 if self._pages else idle + 1
            if self._pages and not self._stopped:
                self._once()
            elif (idle >= IDLE_ROUNDS or self._stopped) and self._may_end():
                return

    def _once(self) -> None:
        self._pages = 0
        try:
            done = self._work()
        except Exception:  # noqa: BLE001 - the store's own verbs will meet it and tell the caller
            _log.debug("the store's log could not be emptied", exc_info=True)
            done = False
        if not done:
            self._pages += 1

    def _may_end(self) -> bool:
        with self._guard:
            # In this order: a note that still sees the thread has counted its pages before we look at them.
            thread, self._thread = self._thread, None
            if self._pages and not self._stopped:
                self._thread = thread
                return False
            self._rest()
            return True
