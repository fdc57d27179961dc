"""Short ways to the values that stores are asked with: those of the public suite, and one that only our tests need."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import suppress

from samekey.stores import SQLiteStore
from samekey.testing._contract.builders import (
    ANSWER,
    BODY,
    T0,
    at,
    claimed,
    done,
    record,
    renewal,
    resolution,
    seen,
    settlement,
    stored,
)

__all__ = [
    "ANSWER",
    "BODY",
    "T0",
    "at",
    "claimed",
    "descriptors",
    "done",
    "everything",
    "leaves_no_descriptor",
    "record",
    "renewal",
    "resolution",
    "seen",
    "settlement",
    "stored",
]


def everything(folder: str | os.PathLike[str]) -> dict[str, bytes]:
    """Every file below a folder with its bytes. Only for stores that this process does not have open."""
    found: dict[str, bytes] = {}
    for base, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(base, name), "rb") as file:
                found[os.path.relpath(os.path.join(base, name), folder)] = file.read()
    return found


def descriptors() -> set[str]:
    """What this process has open, once nothing is left of what nobody refers to."""
    gc.collect()
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
    return found


def descriptors_of_log(store: SQLiteStore) -> list[str]:
    """What this process has open of a store's log. Others' may be left of tests that interrupt at any line."""
    log = f"{os.path.realpath(store.location)}-wal"
    return [name for name in descriptors() if log in name]


def leaves_no_descriptor(use: Callable[[int], None]) -> None:
    """Asserts it of something that is done several times, in places of its own; what it makes once in a process may stay."""
    use(0)
    before = descriptors()
    for number in range(1, 6):
        use(number)
    assert sorted(descriptors() - before) == []
