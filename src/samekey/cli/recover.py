"""`samekey recover`: finishes what dead processes have left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from samekey.cli.exits import Exit, sentences
from samekey.cli.factory import ClientOption, load_client
from samekey.cli.options import JsonOption
from samekey.cli.render import COLOURS, SHORT_KEY, as_json, console, count, put, record_fields, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samekey._core.model import Record
    from samekey.client_base import Recovery

SendOption = Annotated[
    bool, typer.Option("--send", help="Do it. Without this, only show what would be sent; nothing is.")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many, the oldest first.")
]


def recover(
    client: ClientOption, send: SendOption = False, limit: LimitOption = None, json: JsonOption = False
) -> None:
    """Send the recorded requests of dead processes again, each under its key, while the API remembers it.

    The client's module brings the credentials, the store and the contracts. What was never sent is not sent now.
    """
    with sentences(), load_client(client) as opened:
        recovery = opened.recover(limit=limit) if send else opened.recoverable(limit=limit)
    if json:
        done, left = ([record_fields(record) for record in part] for part in (recovery.settled, recovery.left))
        print(as_json({"sent": send, "settled" if send else "would_send": done, "left": left}))
    else:
        _print(recovery, send=send)
    if send and recovery.left:
        raise typer.Exit(Exit.OPEN)


def _print(recovery: Recovery, *, send: bool) -> None:
    out = console()
    first = "settled" if send else "would be sent"
    rows = [(first, record) for record in recovery.settled] + [("left", record) for record in recovery.left]
    if not rows:
        out.print("Nothing was left behind by dead processes at this client's origin and actor.")
        return
    put(out, _table(rows))
    out.print()
    if send:
        told = f"{count(len(recovery.settled), 'action')} settled, {len(recovery.left)} left (samekey review)."
    else:
        told = f"{count(len(recovery.settled), 'action')} would be sent again, {len(recovery.left)} left: add --send."
    put(out, Text(told, style="dim"))


def _table(rows: Sequence[tuple[str, Record]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title in ("key", "", "action", "status", "reference"):
        table.add_column(
            title, overflow="fold", no_wrap=title in {"key", "", "status"}, ratio=1 if title == "action" else None
        )
    for what, record in rows:
        status = Text(record.status.value, style=COLOURS[record.status])
        reference = Text(safe(record.response_reference or ""))
        table.add_row(record.idempotency_key[:SHORT_KEY], what, Text(safe(record.label)), status, reference)
    return table
