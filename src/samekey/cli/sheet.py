"""What `samekey show` prints: facts, the timeline, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from samekey._core.model import later
from samekey._core.resolve import AGAIN
from samekey._core.states import Status
from samekey._core.window import last_resend
from samekey._core.words import REASONS
from samekey.cli.render import COLOURS, SHORT_KEY, put, safe, size, span, stamp
from samekey.cli.timeline import WORDS, answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from samekey._core.model import Record
    from samekey.cli.timeline import Line


def sheet(out: Console, record: Record, lines: Sequence[Line], *, alive: bool | None, hint: str = "") -> None:
    """Prints one action, and at the end what to do next, with a hint about it."""
    title = Text(safe(record.label), style="bold")
    title.append("  ").append(record.status.value, style=COLOURS[record.status])
    put(out, title)
    out.print()
    put(out, _grid([(name, value) for name, value in facts(record, alive=alive) if value]))
    out.print()
    out.print(Text("Timeline (UTC)", style="bold"))
    out.print()
    put(out, _events(lines))
    out.print()
    then = f": samekey resolve {record.idempotency_key[:SHORT_KEY]}"
    told = advice(record, alive=bool(alive), then=then)
    put(out, Text(f"{told}.{hint}" if hint and told.endswith(then) else told))


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
        what = WORDS.get(line.what, line.what.replace("_", " "))
        table.add_row(stamp(line.at), Text(safe(what)), Text(safe(line.detail), style="dim"))
    return table


def facts(record: Record, *, alive: bool | None) -> Iterator[tuple[str, str]]:
    """What is known of an action, as name and value, empty where there is nothing to say. Never what was sent."""
    yield "key", record.idempotency_key
    yield "reference", record.response_reference or ""
    yield "answer", answer(record)
    yield "request", f"{record.method} {record.url}".strip()
    yield "request kept", "" if record.settled else _kept(record.frozen_request)
    yield "profile", _profile(record)
    yield "attempts", str(record.attempts)
    yield "last problem", record.error_summary or ""
    yield "needs review", _reason(record)
    yield "held by", _holder(record, alive=alive)
    yield "version", record.version
    yield "generation", str(record.generation) if record.generation > 1 else ""
    yield "actor", record.actor_id
    yield "correlation", record.correlation_id or ""
    yield "last seen", f"{stamp(record.last_seen_at)} UTC"
    yield "kept until", f"{record.expires_at:%Y-%m-%d %H:%M} UTC" if record.expires_at else ""


def _kept(payload: bytes | None) -> str:
    return "no" if payload is None else f"{size(len(payload))} until it is settled"


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


def advice(record: Record, *, alive: bool, then: str) -> str:
    """What to do next; `then` is how to decide, where a person has to."""
    if record.purged:
        return "Its record has been purged: what is left prevents a duplicate for ever, and nothing is sent for it."
    if record.status is Status.REJECTED and record.reason in AGAIN:
        return "The next run sends it again, under a new key."
    host = safe(urlsplit(record.origin).hostname or record.origin)
    again = f"Run the script again{_before(record)}: the same key will tell."
    return {
        Status.PENDING: "Nothing was done. Run the script again whenever you like.",
        Status.IN_FLIGHT: "It is being sent now." if alive else f"It may have happened. {again}",
        Status.SUCCEEDED: "It is done. A rerun gets the stored result, and nothing is sent.",
        Status.REJECTED: f"{host} refused it and nothing happened. Correct the data and run the script again.",
        Status.UNKNOWN: f"It may have happened. {again}",
        Status.NEEDS_REVIEW: f"It may have happened, and it is not sent again. Look at {host}, whether it "
        f"did, then{then}",
        Status.ABANDONED: "A person closed it; it is not sent again.",
    }[record.status]


def _before(record: Record) -> str:
    """Until when a resend is possible, as the rules count it: less the time that a request may be late."""
    until = last_resend(record)
    return "" if until is None else f" before {until:%Y-%m-%d %H:%M} UTC"
