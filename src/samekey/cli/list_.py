"""`samekey list`: the actions in the store."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from samekey._core.states import Status
from samekey.cli.options import JsonOption, StoreOption, existing_store, same_store
from samekey.cli.render import COLOURS, SHORT_KEY, as_json, console, count, put, record_fields, safe, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samekey._core.model import Record

StatusOption = Annotated[
    list[Status] | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help=f"Only these: {', '.join(Status)}. May be given several times.",
        show_default=False,
    ),
]
OperationOption = Annotated[
    str | None, typer.Option("--operation", metavar="NAME", help="Only this operation.", show_default=False)
]
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")]


def list_actions(
    store: StoreOption = None,
    status: StatusOption = None,
    operation: OperationOption = None,
    limit: LimitOption = 50,
    json: JsonOption = False,
) -> None:
    """Show the actions in the store, newest first."""
    with existing_store(store) as opened:
        records = opened.find(statuses=status or None, operation_name=operation, newest_first=True, limit=limit + 1)
        location = opened.location
    shown, more = records[:limit], len(records) > limit
    if json:
        document = {"store": location, "actions": [record_fields(record) for record in shown], "more": more}
        print(as_json(document))
        return
    out = console(rows=True)
    if not shown:
        out.print(_nothing(location, filtered=bool(status or operation)), soft_wrap=True)
        return
    put(out, _table(shown, datetime.now(UTC)))
    out.print()
    put(out, Text(_summary(shown, more=more) + same_store(store), style="dim"))


def _nothing(location: str, *, filtered: bool) -> str:
    if filtered:
        return f"No action in {safe(location)} matches; leave out --status and --operation to see all."
    return f"No actions yet in {safe(location)}; a samekey.Client that writes adds one per action."


def _table(records: Sequence[Record], now: datetime) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("key", no_wrap=True)
    table.add_column("action", overflow="fold", ratio=1)
    table.add_column("status", no_wrap=True)
    table.add_column("attempts", justify="right", no_wrap=True)
    table.add_column("reference", overflow="fold", max_width=16)
    table.add_column("seen", justify="right", no_wrap=True)
    for record in records:
        table.add_row(
            record.idempotency_key[:SHORT_KEY],
            Text(safe(record.label)),
            Text(record.status.value, style=COLOURS[record.status]),
            str(record.attempts),
            Text(safe(record.response_reference or "")),
            span((now - record.last_seen_at).total_seconds()),
        )
    return table


def _summary(records: Sequence[Record], *, more: bool) -> str:
    found = Counter(record.status for record in records)
    parts = ", ".join(f"{found[status]} {status.value}" for status in Status if found[status])
    if more:
        return f"The newest {count(len(records), 'action')}: {parts}. There are more: --limit shows them."
    return f"{count(len(records), 'action')}: {parts}. See one with: samekey show KEY."
