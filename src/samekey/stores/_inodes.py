"""Which file stands behind a path: asked before each claim, so without asking for the file's times.

Linux 6.13 and later notes on a file that somebody has asked for its times, and writes the next change of it with a time of
its own, so that the asker can tell; for the log of a store that meant an inode more to write before each sync, a fourth of
what a durable commit took. `os.stat` always asks for them; `statx` can be asked for the inode alone.
"""

import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import Final

Inode = tuple[int, int]
"""Device and inode: two numbers that together name a file."""

_HERE: Final = -100
"""AT_FDCWD: a path is relative to the current directory."""
_INODE: Final = 0x100
"""STATX_INO: nothing else is asked for."""
_SIZE: Final = 256
_FIELDS: Final = Struct("=32xQ96xII")
"""Of `struct statx`, which is the same on every machine: the inode, and the two parts of the device (statx(2))."""

_NOTHING_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


def inode_of(path: str) -> Inode | None:
    """Device and inode, or None if nothing is there."""
    statx = _statx()
    return _by_stat(path) if statx is None else statx(path)


def _by_stat(path: str) -> Inode | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


@cache
def _statx() -> Callable[[str], Inode | None] | None:
    """The way over `statx`, where the C library has it."""
    if sys.platform != "linux":
        return None
    import ctypes  # here, for it takes longer than most of what a store imports

    try:
        call = ctypes.CDLL(None, use_errno=True).statx
    except (AttributeError, OSError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)
    buffer, last_error, unpack = ctypes.create_string_buffer, ctypes.get_errno, _FIELDS.unpack_from

    def ask(path: str) -> Inode | None:
        found = buffer(_SIZE)
        if call(_HERE, os.fsencode(path), 0, _INODE, found) == 0:
            inode, major, minor = unpack(found)
            return os.makedev(major, minor), inode
        # Some sandboxes forbid it; what the path itself is to blame for, `os.stat` tells.
        return None if last_error() in _NOTHING_THERE else _by_stat(path)

    return ask
