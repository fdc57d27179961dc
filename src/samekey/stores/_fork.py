"""What a forked child must forget: locks, descriptors and connections belong to the parent."""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that holds what a child must not use."""

    def after_fork(self) -> None:
        """Lets go, in the child, without touching what the parent uses."""


_forkables: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def forget_in_child(thing: Forkable) -> None:
    """Has `thing.after_fork()` called in every forked child, for as long as the thing lives."""
    _forkables.add(thing)


def _in_child() -> None:
    for thing in list(_forkables):
        thing.after_fork()


os.register_at_fork(after_in_child=_in_child)
