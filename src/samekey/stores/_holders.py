"""Who works on what: one locked file per process, which the kernel unlocks when the process ends, however it ends.

A holder's name is `boot.pid.start.random.host`: the first 16 digits of the boot id, the process id, the time at which
the name was taken (seconds since 1970), randomness, and the host's name for people. Where not all users of a store see the
same directory of locks, `boot-place` stands for `boot`: two containers share a boot, but not a directory, and of a
holder of another place only its lease can tell.
"""

import fcntl
import os
import re
import secrets
import socket
import threading
import time
import weakref
from contextlib import suppress
from typing import Final

from samekey.stores._boot import boot_id
from samekey.stores._files import Files, make_directory, open_private
from samekey.stores._fork import forget_in_child
from samekey.stores._running import Running

NO_BOOT: Final = "-"
"""Stands for the boot id where the system does not tell."""


class Holder:
    """This process, as the other users of one store see it, for as long as some store object here refers to it."""

    def __init__(self, directory: str, place: str = "") -> None:
        self.directory = directory
        self.running = Running()
        self._origin = _boot_part() if not place else f"{_boot_part()}-{place}"
        self.name, descriptor = _take(directory, self._origin)
        self._end = weakref.finalize(self, _end, os.path.join(directory, self.name), descriptor, os.getpid())
        # At the end of the process the kernel unlocks it, and not before: other threads may still be sending.
        self._end.atexit = False

    def let_go(self) -> None:
        """Closes the descriptor: in a forked child it is the parent's, and would keep the parent alive for others."""
        self._end()

    def is_alive(self, name: str) -> bool:
        """Whether another process may still be at work. True also if only its lease can tell: on another boot."""
        if not self._is_near(name):
            return True
        if "/" in name:
            return False
        return not _is_free(os.path.join(self.directory, name))

    def is_running(self, name: str) -> bool:
        """Whether another process is known to be at work: one of this boot, whose file is locked."""
        return self._is_near(name) and self.is_alive(name)

    def _is_near(self, name: str) -> bool:
        """Whether another process would have its file where this one looks."""
        return _boot_part() != NO_BOOT and name.startswith(f"{self._origin}.")

    def sweep(self) -> None:
        """Removes the files that killed processes have left."""
        with suppress(OSError):
            for name in os.listdir(self.directory):
                if name != self.name:
                    _is_free(os.path.join(self.directory, name))


class _Registry:
    """The holders of this process, one per store: two store objects on one file are one process to others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: weakref.WeakValueDictionary[str, Holder] = weakref.WeakValueDictionary()
        forget_in_child(self)

    def of(self, files: Files) -> Holder:
        """The holder for a store, made on first use."""
        return self.at(files.holders)

    def at(self, directory: str, place: str = "") -> Holder:
        """The holder whose lock is in a directory, made on first use; `place` is for one that not all users see."""
        with self._lock:
            holder = self._holders.get(directory)
            if holder is None:
                make_directory(directory)
                holder = Holder(directory, place)
                self._holders[directory] = holder
                holder.sweep()
            return holder

    def after_fork(self) -> None:
        """A child is another process, so it takes names of its own."""
        self._lock = threading.Lock()
        for holder in list(self._holders.values()):
            holder.let_go()
        self._holders = weakref.WeakValueDictionary()


holders: Final = _Registry()


def _boot_part() -> str:
    return (boot_id() or NO_BOOT)[:16]


def fresh_name(origin: str) -> str:
    """A name that no other process has."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64]
    return f"{origin}.{os.getpid()}.{int(time.time())}.{secrets.token_hex(8)}.{host}"


def _take(directory: str, origin: str) -> tuple[str, int]:
    """A fresh name and the descriptor whose lock stands for this process."""
    while True:
        name = fresh_name(origin)
        path = os.path.join(directory, name)
        descriptor = open_private(path, os.O_CREAT | os.O_EXCL | os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Somebody who swept before our lock has removed the file: then nobody would find us.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return name, descriptor
        os.close(descriptor)


def _end(path: str, descriptor: int, process: int) -> None:
    if os.getpid() == process:  # a forked child has the parent's, whose file stays
        with suppress(OSError):
            os.unlink(path)
    os.close(descriptor)


def _is_free(path: str) -> bool:
    """Whether nobody holds the file any more; it is removed then."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # nothing is proven, so the lease decides
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        with suppress(OSError):
            # Exclusively: so that nobody who has just made the file loses it unseen.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        return True
    finally:
        os.close(descriptor)
