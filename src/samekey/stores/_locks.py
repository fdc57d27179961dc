"""The lock file at which the writers of all processes queue.

SQLite's own busy handler sleeps and tries again, so that under load one process takes everything; a blocking file lock
is first come, first served.
"""

import fcntl
import os
from contextlib import suppress
from typing import Final

from samekey.stores._files import open_private

UNDER_WAY: Final = bytes(16)
"""The mark while a checkpoint runs beside the writers, or after one that was killed there."""


_inside: Final[dict[tuple[int, str], set[int]]] = {}


def threads_inside(path: str) -> set[int]:
    """The threads of this process that are inside a database, whatever object they came by; it is named by its lock file.

    A signal handler interrupts a thread there, and would wait for that thread, which waits for it.
    """
    return _inside.setdefault((os.getpid(), path), set())


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
        descriptor = self._opened()
        self.held = True  # before it is, so that no interruption leaves it held unseen
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def attempt(self) -> bool:
        """Takes the lock if it is free now."""
        descriptor = self._opened()
        self.held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.held = False
        return self.held

    def _opened(self) -> int:
        if self._descriptor is None:
            self._descriptor = open_private(self._path, os.O_CREAT | os.O_RDWR)
        return self._descriptor

    def release(self) -> None:
        """Lets the next one in; harmless if the lock is not held."""
        if self.held and self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.held = False

    # The mark tells when the log was copied back: the commit after that begins the log anew, and for that SQLite syncs its
    # head, at whatever level. Who must not wait for a disk compares the mark with the one of his last commit.

    def mark(self) -> bytes:
        """What the last checkpoint of any process has left; to be read while the lock is held."""
        return os.pread(self._opened(), len(UNDER_WAY), 0)

    def leave_mark(self, mark: bytes | None = None) -> None:
        """Says that a checkpoint is made now, under the lock, or with `UNDER_WAY` that one begins without it."""
        with suppress(OSError):  # a full disk: emptying the log is more important than to tell of it
            os.pwrite(self._opened(), mark or os.urandom(len(UNDER_WAY)), 0)

    def close(self) -> None:
        """Releases it and gives the descriptor back."""
        self.held = False
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    # In a forked child the descriptor is the parent's: closing it there leaves the parent's lock alone, and keeps the
    # child from holding it when the parent is killed. LOCK_UN would take it away from the parent.
    abandon = close
