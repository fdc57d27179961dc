"""What `samekey show` prints: facts, the timeline, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from samekey._core.model import later
from samekey._core.states import Status
from samekey._core.words import REASONS
from samekey.cli.render import COLOURS, put, safe, size, span, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from rich.console import Console

    from samekey._core.model import Event, Record

_ENDS: Final = {
    Status.SUCCEEDED: "succeeded",
    Status.REJECTED: "rejected",
    Status.ABANDONED: "abandoned",
}


_WORDS: Final = {
    "retry": "sent again",
    "recovery": "taken over",
    "replay": "asked again",
    "blocked": "not sent again",
    "look_up": "looked up",
}
"""Kinds of events that are told in other words."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline."""

    at: datetime
    what: str
    detail: str


def timeline(record: Record, events: Sequence[Event]) -> list[Line]:
    """The happy path, which the record tells, and the events, in their order."""
    lines = [Line(record.created_at, "created", "the key is on disk, nothing is sent yet")]
    if record.first_sent_at is not None:
        lines.append(Line(record.first_sent_at, "first_sent", f"{record.method} {record.url}"))
    lines += [Line(event.at, event.kind, event.detail) for event in events]
    if record.completed_at is not None:
        what = _ENDS.get(record.status, record.status.value)
        lines.append(Line(record.completed_at, what, _answer(record)))
    return sorted(lines, key=lambda line: line.at)


def sheet(out: Console, record: Record, lines: Sequence[Line], *, alive: bool | None) -> None:
    """Prints one action."""
    title = Text(safe(record.label), style="bold")
    title.append("  ").append(record.status.value, style=COLOURS[record.status])
    put(out, title)
    out.print()
    put(out, _grid([(name, value) for name, value in _facts(record, alive=alive) if value]))
    out.print()
    out.print(Text("Timeline (UTC)", style="bold"))
    out.print()
    put(out, _events(lines))
    out.print()
    put(out, Text(_advice(record, alive=bool(alive))))


def _grid(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(safe(value)))
    return table


def _events(lines: Sequence[Line]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        what = _WORDS.get(line.what, line.what.replace("_", " "))
        table.add_row(stamp(line.at), Text(safe(what)), Text(safe(line.detail), style="dim"))
    return table


def _facts(record: Record, *, alive: bool | None) -> Iterator[tuple[str, str]]:
    yield "key", record.idempotency_key
    yield "reference", record.response_reference or ""
    yield "answer", _answer(record)
    yield "request", f"{record.method} {record.url}"
    yield "request kept", "" if record.settled else _kept(record.frozen_request, until="until it is settled")
    yield "profile", _profile(record)
    yield "attempts", str(record.attempts)
    yield "last problem", record.error_summary or ""
    yield "needs review", _reason(record)
    yield "held by", _holder(record, alive=alive)
    yield "generation", str(record.generation) if record.generation > 1 else ""
    yield "actor", record.actor_id
    yield "correlation", record.correlation_id or ""
    yield "last seen", f"{stamp(record.last_seen_at)} UTC"
    yield "kept until", f"{record.expires_at:%Y-%m-%d %H:%M} UTC" if record.expires_at else ""


def _answer(record: Record) -> str:
    if record.response_status is None:
        return ""
    return f"HTTP {record.response_status}, body {_kept(record.response_body)}"


def _kept(payload: bytes | None, until: str = "") -> str:
    if payload is None:
        return "no" if until else "not kept"
    return f"{size(len(payload))} {until}" if until else f"kept ({size(len(payload))})"


def _profile(record: Record) -> str:
    if record.window_seconds is None:
        return record.provider
    window = f"{record.provider}, remembers a key for {span(record.window_seconds)}"
    if record.first_sent_at is None or record.settled:
        return window
    return f"{window}, until {later(record.first_sent_at, record.window_seconds):%Y-%m-%d %H:%M} UTC"


def _reason(record: Record) -> str:
    if record.status is not Status.NEEDS_REVIEW or not record.reason:
        return ""
    return REASONS.get(record.reason, record.reason)


def _holder(record: Record, *, alive: bool | None) -> str:
    if alive is None or record.holder is None:
        return ""
    parts = record.holder.split(".")
    process = f"process {parts[1]}" if len(parts) > 1 and parts[1].isdecimal() else "a process"
    return f"{process}, {'which is at work' if alive else 'which has ended'}"


def _advice(record: Record, *, alive: bool) -> str:
    host = safe(urlsplit(record.origin).hostname or record.origin)
    again = f"Run the script again{_before(record)}: the same key will tell."
    return {
        Status.PENDING: "Nothing was done. Run the script again whenever you like.",
        Status.IN_FLIGHT: "It is being sent now." if alive else f"It may have happened. {again}",
        Status.SUCCEEDED: "It is done. A rerun gets the stored result, and nothing is sent.",
        Status.REJECTED: f"{host} refused it and nothing happened. Correct the data and run the script again.",
        Status.UNKNOWN: f"It may have happened. {again}",
        Status.NEEDS_REVIEW: f"It may have happened, and it is not sent again. Look at {host}, whether it did.",
        Status.ABANDONED: "A person closed it; it is not sent again.",
    }[record.status]


def _before(record: Record) -> str:
    """Until when a resend is possible, as the rules count it: less the time that a request may be late."""
    if record.first_sent_at is None or record.window_seconds is None:
        return ""
    until = later(record.first_sent_at, record.window_seconds) - timedelta(seconds=record.max_delay_seconds)
    return f" before {until:%Y-%m-%d %H:%M} UTC"
