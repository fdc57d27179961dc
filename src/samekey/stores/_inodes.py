"""Which file stands behind a path. For the log that is asked before each claim, so without asking for the file's times.

Linux 6.13 and later notes on a file that somebody has asked for its times, and writes the next change of it with a time of
its own, so that the asker can tell; for the log of a store that meant an inode more to write before each sync, a fourth of
what a durable commit took. `os.stat` always asks for them; `statx` can be asked for the inode alone.
"""

import os
import sys
from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import Final

Inode = tuple[int, ...]
"""Names a file by numbers; to be compared with those of the same way to ask."""

_HERE: Final = -100
"""AT_FDCWD: a path is relative to the current directory."""
_INODE: Final = 0x100
"""STATX_INO: nothing else is asked for."""
_SIZE: Final = 256
_FIELDS: Final = Struct("=32xQ96xII")
"""Of `struct statx`, which is the same on every machine: the inode, and the two parts of the device (statx(2))."""


def inode_of(path: str) -> Inode | None:
    """Device and inode, or None if nothing is there."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def asker(path: str) -> Callable[[], Inode | None]:
    """A function that says which file is there now, and asks for no times of it where the system can do that.

    It belongs to one thread at a time.
    """
    statx = _statx()
    if statx is None:
        return lambda: inode_of(path)
    import ctypes

    found, unpack = bytearray(_SIZE), _FIELDS.unpack_from
    room = ctypes.c_char.from_buffer(found)
    # Made once: made of Python's own values on each call they would take as long as the call.
    arguments = (
        ctypes.c_int(_HERE),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.c_int(0),
        ctypes.c_uint(_INODE),
        ctypes.byref(room),
    )

    def ask() -> Inode | None:
        # Why it failed tells `os.stat`: there is nothing, the path is to blame, or a sandbox that forbids it.
        return unpack(found) if statx(*arguments) == 0 else inode_of(path)

    return ask


@cache
def _statx() -> Callable[..., int] | None:
    """The function of the C library, if it has one."""
    if sys.platform != "linux":
        return None
    import ctypes  # here, for it takes longer than most of what a store imports

    try:
        statx: Callable[..., int] = ctypes.CDLL(None).statx
    except (AttributeError, OSError):
        return None
    return statx
