"""The end of the write-ahead log, and what is left behind it of the time before the log was begun anew.

A log that is begun anew keeps its length: its frames are written over one by one, and those behind them still hold what
was erased since. They are no part of the log any more: each frame carries the salts of the head that it was written
under (https://www.sqlite.org/fileformat2.html#the_write_ahead_log), and SQLite syncs a new head before it writes a frame
under it. So they can be cut off, while nobody writes; `PRAGMA journal_size_limit` has SQLite do the same.
"""

import os
from bisect import bisect_left
from typing import Final

from samekey.stores._inodes import Inode

_HEAD: Final = 32
"""Bytes before the first frame."""
_FRAME_HEAD: Final = 24
"""Bytes of a frame before its page."""
_MAGIC: Final = (0x377F0682, 0x377F0683)


def cut_rest(path: str, inode: Inode | None) -> None:
    """Cuts a log behind its last frame. To be called in a write transaction, so that nobody makes it longer.

    Args:
        path: where it is. Unlike the database, it carries no locks of SQLite's that closing it would drop.
        inode: the file that is meant, as `inode_of` names it; another one is left alone.

    Raises:
        OSError: it could not be read or cut.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) != inode:
            return
        end = _end(descriptor, found.st_size)
        if end < found.st_size:
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
