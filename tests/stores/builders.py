"""Short ways to the values that stores are asked with: those of the public suite, and one that only our tests need."""

from __future__ import annotations

import os

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
    "done",
    "everything",
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
