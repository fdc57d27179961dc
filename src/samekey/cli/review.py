"""`samekey review`: what automation must not settle, or has not settled yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from samekey._core.states import Status
from samekey._core.window import last_resend
from samekey._core.words import REASONS
from samekey.cli.exits import Exit, leave
from samekey.cli.finding import is_alive
from samekey.cli.list_ import OperationOption
from samekey.cli.options import JsonOption, StoreOption, existing_store, same_store
from samekey.cli.render import SHORT_KEY, as_json, console, count, iso, put, safe, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from samekey._core.model import Record
    from samekey.stores import Store

OPEN: Final = frozenset({Status.NEEDS_REVIEW, Status.UNKNOWN, Status.IN_FLIGHT})
RERUN: Final = "rerun"
"""Stands for a reason where a rerun of the script can still tell."""

CheckOption = Annotated[
    bool, typer.Option("--check", help=f"Exit with {Exit.OPEN.value} if there is anything, for a scheduled job.")
]
WebOption = Annotated[
    bool,
    typer.Option("--web", help="Show and settle them on a page of this machine, until Ctrl-C. Needs samekey[ui]."),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        metavar="N",
        min=1,
        max=65535,
        help="With --web: the page's port; else a free one.",
        show_default=False,
    ),
]
OpenOption = Annotated[bool, typer.Option("--open", help="With --web: open a browser too.")]

UI_EXTRA: Final = 'the page needs more packages; run pip install "samekey[ui]".'
_UI_PACKAGES: Final = frozenset({"jinja2", "markupsafe", "starlette", "uvicorn", "anyio", "h11"})


@dataclass(frozen=True, slots=True)
class Group:
    """Actions that one look at one place can settle, oldest first."""

    operation: str
    origin: str
    reason: str
    records: Sequence[Record]


def review(
    store: StoreOption = None,
    operation: OperationOption = None,
    check: CheckOption = False,
    json: JsonOption = False,
    web: WebOption = False,
    port: PortOption = None,
    browser: OpenOption = False,
) -> None:
    """Show what may have happened and is not settled: by operation, destination and reason, oldest first."""
    if web:
        _serve(store, operation, check=check, json=json, port=port, browser=browser)
        return
    if port is not None or browser:
        leave(Exit.USAGE, "--port and --open are for the page; add --web.")
    with existing_store(store) as opened:
        records = unsettled(opened, operation)
        location = opened.location
    now = datetime.now(UTC)
    groups = grouped(records, now)
    if json:
        print(as_json({"store": location, "total": len(records), "groups": [_fields(group, now) for group in groups]}))
    else:
        _print(console(), groups, location, now, same_store(store))
    if check and records:
        raise typer.Exit(Exit.OPEN)


def _serve(
    store: str | None, operation: str | None, *, check: bool, json: bool, port: int | None, browser: bool
) -> None:
    if check or json:
        leave(Exit.USAGE, "--web shows a page; leave out --check and --json.")
    try:
        from samekey.cli.web.serve import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _UI_PACKAGES:
            raise
        leave(Exit.USAGE, UI_EXTRA)
    with existing_store(store) as opened:
        serve(opened, operation=operation, port=port, browser=browser)


def unsettled(store: Store, operation: str | None = None) -> list[Record]:
    """Actions that may have happened and that nobody is working on, oldest first. Costs as much as there are."""
    found = store.find(statuses=OPEN, operation_name=operation)
    left = [record for record in found if not (record.status is Status.IN_FLIGHT and is_alive(store, record))]
    return sorted(left, key=lambda record: record.created_at)


def grouped(records: Sequence[Record], now: datetime) -> list[Group]:
    """The groups: first what a person has to settle, then what a rerun can; in each the oldest first."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.operation_name, record.origin, reason_of(record, now)), []).append(record)
    made = [Group(*names, members) for names, members in groups.items()]
    return sorted(made, key=lambda group: (group.reason == RERUN, group.records[0].created_at))


def reason_of(record: Record, now: datetime) -> str:
    """Why it is open, in one word of the reasons table, or `rerun`."""
    if record.status is Status.NEEDS_REVIEW or record.reason:
        return record.reason or ""
    until = last_resend(record)
    if until is None:
        return "window_unknown"
    return RERUN if now < until else "window_closed"


def left_of(record: Record, now: datetime) -> float | None:
    """Seconds in which its key may still be sent again, never below 0; None if nobody knows."""
    until = last_resend(record)
    return None if until is None else max(0.0, (until - now).total_seconds())


def _fields(group: Group, now: datetime) -> dict[str, Any]:
    return {
        "operation": group.operation,
        "origin": group.origin,
        "reason": group.reason,
        "actions": [
            {
                "idempotency_key": record.idempotency_key,
                "version": record.version,
                "status": record.status.value,
                "scope": dict(record.scope),
                "attempts": record.attempts,
                "first_sent_at": iso(record.first_sent_at) if record.first_sent_at else None,
                "created_at": iso(record.created_at),
                "seconds_left": left_of(record, now),
                "error_summary": record.error_summary,
            }
            for record in group.records
        ],
    }


def _print(out: Console, groups: Sequence[Group], location: str, now: datetime, again: str) -> None:
    if not groups:
        out.print(f"Nothing to review in {safe(location)}: no action is left in doubt.", soft_wrap=True)
        return
    for group in groups:
        put(out, Text(_title(group), style="bold"))
        put(out, _table(group, now))
        out.print()
    put(out, Text(_summary(groups) + again, style="dim"))


def _title(group: Group) -> str:
    host = urlsplit(group.origin).hostname or group.origin
    why = "a rerun can tell" if group.reason == RERUN else REASONS.get(group.reason, group.reason)
    return f"{safe(group.operation)} at {safe(host)}: {safe(why)}"


def _table(group: Group, now: datetime) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("key", no_wrap=True)
    table.add_column("scope", overflow="fold", ratio=1)
    table.add_column("sent", justify="right", no_wrap=True)
    table.add_column("last problem", overflow="fold", max_width=24)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("left", justify="right", no_wrap=True)
    for record in group.records:
        left = left_of(record, now)
        table.add_row(
            record.idempotency_key[:SHORT_KEY],
            Text(safe(record.label.removeprefix(record.operation_name)[1:-1])),
            f"{record.attempts}x",
            Text(safe(record.error_summary or "")),
            span((now - (record.first_sent_at or record.created_at)).total_seconds()),
            "-" if left is None else span(left) if left else "over",
        )
    return table


def _summary(groups: Sequence[Group]) -> str:
    rerun = sum(len(group.records) for group in groups if group.reason == RERUN)
    person = sum(len(group.records) for group in groups) - rerun
    told = [f"{count(person, 'action')} for a person: samekey show KEY, then samekey resolve KEY"] if person else []
    told += [f"{count(rerun, 'action')} for the script: run it again within the time left"] if rerun else []
    return f"{'. '.join(told)}."
