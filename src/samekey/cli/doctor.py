"""`samekey doctor`: whether the store is well."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from samekey._core.states import UNSETTLED, Status
from samekey.cli.exits import Exit
from samekey.cli.finding import is_alive
from samekey.cli.options import JsonOption, StoreOption, existing_store
from samekey.cli.render import as_json, console, put, safe, span
from samekey.errors import StoreError

if TYPE_CHECKING:
    from samekey.stores import Store
    from samekey.stores._doctor import Check


def doctor(store: StoreOption = None, json: JsonOption = False) -> None:
    """Look at the store's health, permissions, disk, clock, schema, and at what is left open. Repairs nothing."""
    with existing_store(store) as opened:
        now = datetime.now(UTC)
        examine = getattr(opened, "examine", None)  # a store of one's own may have none
        found: list[Check] = examine(now) if examine is not None else []
        checks = [(check.name, check.well, check.told) for check in found]
        try:
            checks.append(("open actions", True, _open(opened, now)))
        except StoreError as error:
            checks.append(("open actions", False, str(error)))
        location = opened.location
    well = all(fine for _, fine, _ in checks)
    if json:
        listed: list[dict[str, Any]] = [{"check": name, "ok": fine, "detail": told} for name, fine, told in checks]
        print(as_json({"store": location, "ok": well, "checks": listed}))
    else:
        out = console()
        put(out, _table(checks))
        out.print()
        told = "is well" if well else "is not well: see what is marked with !"
        out.print(f"{safe(location)} {told}.", soft_wrap=True)
    if not well:
        raise typer.Exit(Exit.FAILED)


def _open(store: Store, now: datetime) -> str:
    records = store.find(statuses=UNSETTLED)
    if not records:
        return "none"
    counts = {status: sum(record.status is status for record in records) for status in Status}
    told = ", ".join(f"{number} {status.value}" for status, number in counts.items() if number)
    left = sum(record.status is Status.IN_FLIGHT and not is_alive(store, record) for record in records)
    ended = f", of which {left} by processes that have ended" if left else ""
    oldest = min(record.created_at for record in records)
    return f"{told}{ended}; the oldest is {span((now - oldest).total_seconds())} old (samekey review)"


def _table(checks: list[tuple[str, bool, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, well, told in checks:
        table.add_row(Text("ok" if well else "!", style="green" if well else "bold red"), name, Text(safe(told)))
    return table
