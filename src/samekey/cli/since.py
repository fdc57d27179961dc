"""The time from which on things count, as people write it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from samekey.cli.exits import Exit, leave

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Only what happened since: 30min, 24h, 7d, 4w, or a date or time (UTC unless it says otherwise).",
        show_default=False,
    ),
]

_UNITS: Final = {"min": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO: Final = re.compile(r"(\d{1,6}) ?(min|h|d|w)")


def since_of(text: str | None, now: datetime) -> datetime | None:
    """The time that is meant; ends the command if nobody can tell."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        try:
            return now - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        leave(Exit.USAGE, f"--since {text!r} is no time; write 30min, 24h, 7d, 4w, 2026-11-24 or 2026-11-24T05:10.")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
