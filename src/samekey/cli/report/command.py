"""`samekey report --html FILE`: one page that needs nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from samekey import measure
from samekey._core.states import Status
from samekey.cli.list_ import OperationOption
from samekey.cli.options import JsonOption, StoreOption, existing_store
from samekey.cli.render import as_json, console, safe
from samekey.cli.report.page import Report, page
from samekey.cli.report.stretches import DAY, HOUR, timeline, wants_hours
from samekey.cli.since import SinceOption, since_of
from samekey.cli.writing import write
from samekey.stores._tally import tally
from samekey.telemetry.signals import operations_of, stats_of

HtmlOption = Annotated[
    str, typer.Option("--html", metavar="FILE", help="Where to put the page; a file of that name is replaced.")
]

MOST_OPEN: Final = 12
"""Open unknowns that are shown one by one."""


def report(
    html: HtmlOption,
    store: StoreOption = None,
    since: SinceOption = None,
    operation: OperationOption = None,
    json: JsonOption = False,
) -> None:
    """Write the signals as one HTML page with charts, to look at, to print and to hand on. It has no scope and no key."""
    now = datetime.now(UTC)
    begin = since_of(since, now)
    with existing_store(store) as opened:
        counted = tally(opened, since=begin, operation_name=operation, stretch_seconds=DAY)
        hours = wants_hours(counted, now)
        if hours:
            counted = tally(opened, since=begin, operation_name=operation, stretch_seconds=HOUR)
        unknown = opened.find(statuses=[Status.UNKNOWN], operation_name=operation, limit=MOST_OPEN)
        latency, location = measure.latency(opened), opened.location
    whole = stats_of(counted, at=now, since=begin, operation=operation, store_latency=latency)
    each = [stats_of(counted, at=now, since=begin, operation=name) for name in operations_of(counted)]
    made = Report(location, whole, each, timeline(counted, now, hours=hours), unknown, counted.clashes)
    write(html, page(made))
    if json:
        print(as_json({"store": location, "html": html, "actions": whole.actions}))
        return
    console().print(f"{safe(html)} has the report on {whole.actions:,} actions; open it in a browser.", soft_wrap=True)
