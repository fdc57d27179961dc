"""Records as people and programs read them. Nothing here prints."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from samekey._core.model import Record
from samekey._core.states import Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from rich.console import RenderableType

PIPE_COLUMNS: Final = 500
"""Characters of a line that nobody reads on a screen: what `grep` and `cut` see of a row must not be half of it."""

SHORT_KEY: Final = 8
"""Characters of a key that people are shown; enough to name an action on the command line."""

COLOURS: Final = {
    Status.PENDING: "cyan",
    Status.IN_FLIGHT: "cyan",
    Status.SUCCEEDED: "green",
    Status.REJECTED: "red",
    Status.UNKNOWN: "yellow",
    Status.NEEDS_REVIEW: "bold yellow",
    Status.ABANDONED: "dim",
}

_PAYLOADS: Final = ("frozen_request", "response_body")
"""What a request or an answer says stays in the store; only its size is told."""

_INTERNAL: Final = frozenset({"claim_nonce", "guarded"})

_UNITS: Final = (("d", 86400, 2 * 86400), ("h", 3600, 3600), ("min", 60, 60))
"""Unit, its seconds, and from how many seconds on it is used: a window of 24 h is not one of 1 d."""


def console(*, error: bool = False, rows: bool = False) -> Console:
    """A console that prints what it is given: no markup, no guesses about numbers; `rows` are one line each in a pipe."""
    made = Console(stderr=error, markup=False, emoji=False, highlight=False)
    if rows and not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPE_COLUMNS
    return made


def put(out: Console, thing: RenderableType) -> None:
    """Prints without the blanks with which tables fill their lines."""
    with out.capture() as captured:
        out.print(thing)
    out.file.write("\n".join(line.rstrip() for line in captured.get().split("\n")))


def safe(text: str) -> str:
    """Text from outside, without what would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def span(seconds: float) -> str:
    """A length of time in its largest whole unit: `3 min`."""
    for unit, length, least in _UNITS:
        if seconds >= least:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def size(count: int) -> str:
    """A number of bytes."""
    return "1 byte" if count == 1 else f"{count:,} bytes"


def count(number: int, thing: str) -> str:
    """`1 action`, `2 actions`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def stamp(moment: datetime) -> str:
    """A UTC time to the millisecond, as people read it."""
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def as_json(value: Any) -> str:
    """One JSON document; ASCII only, so that any terminal and any locale can take it."""
    return json.dumps(value, indent=2)


def record_fields(record: Record) -> dict[str, Any]:
    """A record for JSON: all its fields, with sizes in place of payloads."""
    names = [field.name for field in fields(Record) if field.name not in _INTERNAL]
    return {name: _plain(name, getattr(record, name)) for name in names}


def _plain(name: str, value: Any) -> Any:
    if name in _PAYLOADS:
        return {"kept": value is not None, "bytes": len(value or b"")}
    if name == "response_headers":
        return [list(pair) for pair in value]
    if hasattr(value, "isoformat"):
        return iso(value)
    if isinstance(value, Status):
        return value.value
    if hasattr(value, "items"):
        return _copy(value)
    return list(value) if isinstance(value, tuple) else value


def _copy(mapping: Mapping[str, str]) -> dict[str, str]:
    return dict(mapping.items())


def iso(moment: datetime) -> str:
    """A UTC time for programs."""
    return moment.isoformat().replace("+00:00", "Z")
