"""The write-ahead log as a file: syncing it apart from a commit, and what is left behind its end of the time before.

At `synchronous = FULL` SQLite ends a commit with a sync of the log; at NORMAL it leaves that out, and nothing else
(sqlite3WalFrames in its source). So a commit at NORMAL and a sync of the log afterwards are as durable, and spare the
two statements that change the level and change it back. Only that others see the commit before it is on the disk.

A log that is begun anew keeps its length: its frames are written over one by one, and those behind them still hold what
was erased since. They are no part of the log any more: each frame carries the salts of the head that it was written
under (https://www.sqlite.org/fileformat2.html#the_write_ahead_log), and SQLite syncs a new head before it writes a frame
under it. So they can be cut off, while nobody writes; `PRAGMA journal_size_limit` has SQLite do the same.
"""

import os
import sys
from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from typing import Final

from samekey.stores._errors import leave_to_its_handler
from samekey.stores._inodes import Inode

_HEAD: Final = 32
"""Bytes before the first frame."""
_FRAME_HEAD: Final = 24
"""Bytes of a frame before its page."""
_MAGIC: Final = (0x377F0682, 0x377F0683)

_FROM_START: Final = 0
_TO_END: Final = 0
_WRITE: Final = 2
"""SYNC_FILE_RANGE_WRITE: what is not on its way to the disk yet is handed to it."""


def open_log(path: str, inode: Inode | None) -> int | None:
    """A descriptor of a log, to be synced and cut. Unlike the database, it carries no locks that closing it would drop.

    Args:
        path: where it is.
        inode: the file that is meant, as `inode_of` names it. If another one is there: None.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    found = os.fstat(descriptor)
    if (found.st_dev, found.st_ino) == inode:
        return descriptor
    os.close(descriptor)
    return None


class OwnSync:
    """The log, as its store syncs it itself. One thread at a time.

    Args:
        path: where it is.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    def is_ready(self, inode: Inode | None) -> bool:
        """Opens the log if need be; if it cannot be, SQLite has to sync it.

        Args:
            inode: the file that is meant.
        """
        if self._descriptor is None:
            try:
                self._descriptor = open_log(self._path, inode)
            except OSError as error:
                leave_to_its_handler(error)
        return self._descriptor is not None

    def start(self) -> None:
        """Has the system begin to write what was committed, so that the sync, which is needed all the same, waits for less.

        To be called when it is ready, and only if there is something to do until the sync: else it is in vain.
        """
        start = _start_writing()
        if start is not None:
            start(self._descriptor, _FROM_START, _TO_END, _WRITE)

    def sync(self) -> None:
        """Returns when all that was committed survives a power loss. To be called when it is ready.

        Raises:
            OSError: the disk has failed, or a signal handler has raised it.
        """
        assert self._descriptor is not None
        if hasattr(os, "fdatasync"):
            os.fdatasync(self._descriptor)
        else:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Gives the descriptor back; it is opened again when it is needed."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            try:
                os.close(descriptor)
            except OSError as error:
                leave_to_its_handler(error)


@cache
def _start_writing() -> Callable[[int | None, int, int, int], int] | None:
    """The function of the C library, if it has one: sync_file_range(2). It promises nothing, and what fails it fails the sync."""
    if sys.platform != "linux":
        return None
    import ctypes  # here, for it takes longer than most of what a store imports

    try:
        start = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError):
        return None
    start.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    found: Callable[[int | None, int, int, int], int] = start
    return found


def cut_rest(path: str, inode: Inode | None) -> None:
    """Cuts a log behind its last frame. To be called in a write transaction, so that nobody makes it longer.

    Args:
        path: where it is.
        inode: the file that is meant; another one is left alone.

    Raises:
        OSError: it could not be read or cut.
    """
    descriptor = open_log(path, inode)
    if descriptor is None:
        return
    try:
        size = os.fstat(descriptor).st_size
        end = _end(descriptor, size)
        if end < size:
            os.fsync(descriptor)  # the head too, if it is of a program that syncs nothing
            os.ftruncate(descriptor, end)
    finally:
        os.close(descriptor)


def _end(descriptor: int, size: int) -> int:
    """Where the frames of the present head end."""
    head = os.pread(descriptor, _HEAD, 0)
    if len(head) < _HEAD or int.from_bytes(head[:4], "big") not in _MAGIC:
        return size  # it was never written, or is none that we know
    salts = head[16:24]
    step = _FRAME_HEAD + int.from_bytes(head[8:12], "big")

    def is_old(number: int) -> bool:
        return os.pread(descriptor, len(salts), _HEAD + number * step + 8) != salts

    # They are written one behind the other, so the present ones come first.
    return _HEAD + step * bisect_left(range((size - _HEAD) // step), True, key=is_old)
