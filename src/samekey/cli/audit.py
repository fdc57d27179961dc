"""`samekey audit`: real duplicates, as far as the store can know of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from samekey._core.tally import objects
from samekey.cli.exits import Exit
from samekey.cli.list_ import OperationOption
from samekey.cli.options import JsonOption, StoreOption, existing_store
from samekey.cli.render import SHORT_KEY, as_json, console, put, safe
from samekey.cli.since import SinceOption, since_of
from samekey.cli.stats import count_of, fields, ratio
from samekey.stores._tally import tally
from samekey.telemetry.signals import stats_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samekey._core.tally import Effect
    from samekey.telemetry.signals import Stats

TWO_REFERENCES: Final = "two references for one action"
TWO_ACTIONS: Final = "one reference for two actions"
BOTH: Final = "references and actions that share each other"


def audit(
    store: StoreOption = None, since: SinceOption = None, operation: OperationOption = None, json: JsonOption = False
) -> None:
    """Look for real duplicates: two references for one action, or one reference for two actions."""
    now = datetime.now(UTC)
    begin = since_of(since, now)
    with existing_store(store) as opened:
        counted = tally(opened, since=begin, operation_name=operation)
        location = opened.location
    whole = stats_of(counted, at=now, since=begin, operation=operation)
    found = objects(counted.clashes)
    if json:
        told = {name: fields(whole)[name] for name in ("writes", "objects", "writes_per_object", "unchecked_writes")}
        print(as_json({"store": location, **told, "duplicates": [_fields(group) for group in found]}))
    else:
        _print(found, whole, location)
    if found:
        raise typer.Exit(Exit.FAILED)


def kind_of(group: Sequence[Effect]) -> str:
    """What is wrong about writes that should have been one."""
    if len({effect.identity for effect in group}) == 1:
        return TWO_REFERENCES
    return TWO_ACTIONS if len({effect.reference for effect in group}) == 1 else BOTH


def _fields(group: Sequence[Effect]) -> dict[str, Any]:
    return {
        "kind": kind_of(group),
        "operation": group[0].operation_name,
        "origin": group[0].origin,
        "writes": [
            {"idempotency_key": each.idempotency_key, "identity": each.identity, "reference": each.reference}
            for each in group
        ],
    }


def _print(found: Sequence[Sequence[Effect]], stats: Stats, location: str) -> None:
    out = console()
    if not found:
        out.print(_clean(stats, location), soft_wrap=True)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("duplicate", overflow="fold", ratio=1)
    table.add_column("operation", overflow="fold")
    table.add_column("key", no_wrap=True)
    table.add_column("reference", overflow="fold", max_width=24)
    for group in found:
        for number, each in enumerate(group):
            table.add_row(
                "" if number else kind_of(group),
                Text("" if number else safe(each.operation_name)),
                each.idempotency_key[:SHORT_KEY],
                Text(safe(each.reference)),
            )
    put(out, table)
    out.print()
    told = (
        f"{stats.writes:,} writes for {count_of(stats.objects, 'business object')}: {ratio(stats.writes_per_object)}, "
    )
    put(out, Text(f"{told}and it must be 1.00. Look at each (samekey show KEY), and undo at the API what is too much."))


def _clean(stats: Stats, location: str) -> str:
    rest = f" {count_of(stats.unchecked_writes, 'write')} named none of their own." if stats.unchecked_writes else ""
    if not stats.writes:
        return f"No write in {safe(location)} names an object, so there is nothing to compare; give operations reference=.{rest}"
    return f"No duplicates in {safe(location)}: {stats.writes:,} writes for as many business objects.{rest}"
