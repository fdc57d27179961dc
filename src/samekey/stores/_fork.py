"""What a forked child must forget, and what must be quiet while a fork happens.

Locks, descriptors and connections belong to the parent. And SQLite has locks of its own: were another thread inside it
at the moment of the fork, the child would find them locked for ever. It also keeps a list of what its process has locked,
which a child inherits although the locks are not its own. So nothing is open in SQLite while a process forks.
"""

import os
import threading
import weakref
from collections.abc import Sequence
from typing import Final, Protocol

PATIENCE: Final = 5.0
"""Seconds that a fork waits for a verb; longer only if the forking thread itself is inside one (a signal handler)."""


class Forkable(Protocol):
    """Something that holds what a child must not use."""

    def after_fork(self) -> None:
        """Lets go, in the child, without touching what the parent uses."""


class Quietable(Protocol):
    """Something whose threads must not be inside SQLite during a fork."""

    def fork_locks(self) -> Sequence[threading.Lock]:
        """The locks that they hold while they are."""

    def before_fork(self) -> None:
        """Closes what a child must not inherit; the locks are held, and the next use opens it again."""


_forkables: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
_quietables: "weakref.WeakSet[Quietable]" = weakref.WeakSet()
_local = threading.local()


def forget_in_child(thing: Forkable) -> None:
    """Has `thing.after_fork()` called in every forked child, for as long as the thing lives."""
    _forkables.add(thing)


def quiet_at_fork(thing: Quietable) -> None:
    """Has `thing.fork_locks()` held during every fork, with nothing left open, for as long as the thing lives."""
    _quietables.add(thing)


def _before() -> None:
    _local.held = held = []
    for thing in list(_quietables):
        locks = thing.fork_locks()
        had = [lock for lock in locks if lock.acquire(timeout=PATIENCE)]
        held += had
        if len(had) == len(locks):
            thing.before_fork()


def _in_parent() -> None:
    for lock in _local.__dict__.pop("held", ()):
        lock.release()


def _in_child() -> None:
    _local.__dict__.clear()
    for thing in list(_forkables):
        thing.after_fork()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
