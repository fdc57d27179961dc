"""The lock file at which the writers of all processes queue.

SQLite's own busy handler sleeps and tries again, so that under load one process takes everything; a blocking file lock
is first come, first served.
"""

import fcntl
import os

from samekey.stores._files import open_private


class FileLock:
    """An exclusive lock between processes. Threads of one process need a lock of their own around it.

    Each object has a descriptor of its own: `flock` belongs to the open file, so two objects exclude each other even in
    one process. Not to be used over a fork: see `abandon`.

    Attributes:
        held: whether it is held, or was just asked for.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None
        self.held: bool = False

    def acquire(self) -> None:
        """Waits for the lock; Ctrl-C ends the wait."""
        if self._descriptor is None:
            self._descriptor = open_private(self._path, os.O_CREAT | os.O_RDWR)
        self.held = True  # before it is, so that no interruption leaves it held unseen
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def release(self) -> None:
        """Lets the next one in; harmless if the lock is not held."""
        if self.held and self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.held = False

    def close(self) -> None:
        """Releases it and gives the descriptor back."""
        self.held = False
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    # In a forked child the descriptor is the parent's: closing it there leaves the parent's lock alone, and keeps the
    # child from holding it when the parent is killed. LOCK_UN would take it away from the parent.
    abandon = close
