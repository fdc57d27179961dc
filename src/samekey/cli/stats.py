"""`samekey stats`: the signals, computed from the store."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from samekey import measure
from samekey.cli.exits import Exit, leave
from samekey.cli.list_ import OperationOption
from samekey.cli.options import JsonOption, StoreOption, existing_store
from samekey.cli.render import as_json, console, iso, put, safe, span
from samekey.cli.since import SinceOption, since_of
from samekey.cli.writing import READABLE, write
from samekey.stores._tally import tally
from samekey.telemetry.prometheus import text_of
from samekey.telemetry.signals import SIGNALS, operations_of, stats_of

if TYPE_CHECKING:
    from samekey.telemetry.signals import Stats

PrometheusOption = Annotated[
    bool, typer.Option("--prometheus", help="Print the text format of Prometheus, by operation.")
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output",
        metavar="FILE",
        help="With --prometheus: put it into this file in one step, for a textfile collector.",
        show_default=False,
    ),
]


def stats(
    store: StoreOption = None,
    since: SinceOption = None,
    operation: OperationOption = None,
    json: JsonOption = False,
    prometheus: PrometheusOption = False,
    output: OutputOption = None,
) -> None:
    """Show the signals: conflicts, duplicates prevented, recoveries, writes per business object, what is open."""
    if json and prometheus:
        leave(Exit.USAGE, "--json and --prometheus are two formats; give one of them.")
    if output is not None and not prometheus:
        leave(Exit.USAGE, "--output is for the text file of Prometheus; add --prometheus.")
    now = datetime.now(UTC)
    begin = since_of(since, now)
    with existing_store(store) as opened:
        counted = tally(opened, since=begin, operation_name=operation)
        latency, location = measure.latency(opened), opened.location
    whole = stats_of(counted, at=now, since=begin, operation=operation, store_latency=latency)
    if prometheus:
        each = [stats_of(counted, at=now, since=begin, operation=name) for name in operations_of(counted)]
        text = text_of(each, whole)
        if output is None:
            print(text, end="")
        else:
            write(output, text, READABLE)
    elif json:
        print(as_json({"store": location, **fields(whole)}))
    else:
        out = console()
        put(out, _table(whole))
        out.print()
        put(out, Text(_summary(whole, location), style="dim"))


def fields(stats: Stats) -> dict[str, Any]:
    """The signals for JSON: times as text, spans in seconds."""
    rates = (
        "conflict_rate",
        "duplicates_prevented",
        "recovery_rate",
        "resends",
        "expired_key_rate",
        "writes_per_object",
    )
    told = asdict(stats) | {name: getattr(stats, name) for name in rates}
    return {name: _plain(value) for name, value in told.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return iso(value) if isinstance(value, datetime) else value


def percent(rate: float | None) -> str:
    """A rate for people."""
    return "-" if rate is None else f"{rate * 100:.2f} %"


def ratio(value: float | None) -> str:
    """A ratio that should be 1.00; what is not, never looks as if it were."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value == 1 or value >= 1.005 else f"{value:.6f}"


def values(stats: Stats) -> dict[str, tuple[str, str]]:
    """Each signal's value and what it is made of, for people."""
    return {
        "conflict_rate": (percent(stats.conflict_rate), f"{stats.conflicts:,} of {count_of(stats.begins, 'begin')}"),
        "duplicates_prevented": (
            f"{stats.duplicates_prevented:,}",
            _prevented(stats),
        ),
        "recovery_rate": (
            percent(stats.recovery_rate),
            f"{stats.recovered:,} of {count_of(stats.retried, 'action')} sent again; {stats.taken_over:,} taken over",
        ),
        "expired_key_blocks": (
            f"{stats.expired_key_blocks:,}",
            f"of {count_of(stats.resends + stats.expired_key_blocks, 'resend')} wanted",
        ),
        "writes_per_object": (
            ratio(stats.writes_per_object),
            f"{stats.writes:,} for {count_of(stats.objects, 'object')}"
            + (f"; {stats.unchecked_writes:,} more without a reference of their own" if stats.unchecked_writes else ""),
        ),
        "open_unknowns": (f"{stats.open_unknowns:,}", _unknown(stats)),
        "review_backlog": (
            f"{stats.review_backlog:,}",
            "" if stats.oldest_review is None else f"the oldest is {span(stats.oldest_review.total_seconds())} old",
        ),
        "budget_stops": (f"{stats.budget_stops:,}", ""),
        "store_latency": ("-" if stats.store_latency is None else f"{stats.store_latency * 1000:.2f} ms", ""),
    }


def count_of(number: int, thing: str) -> str:
    """`1 action`, `2,000 actions`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _prevented(stats: Stats) -> str:
    return (
        f"{stats.prevented_by_record:,} by record, {stats.prevented_by_server:,} by server, "
        f"{stats.prevented_by_look_up:,} by look-up, {stats.prevented_by_claim:,} by claim"
    )


def _unknown(stats: Stats) -> str:
    if stats.oldest_unknown is None:
        return ""
    window = stats.oldest_unknown_window
    told = "of a window that nobody has named" if window is None else f"of a window of {span(window.total_seconds())}"
    return f"the oldest is {span(stats.oldest_unknown.total_seconds())} old, {told}"


def _table(stats: Stats) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("signal", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("made of", overflow="fold", ratio=1)
    for name, (value, made_of) in values(stats).items():
        wrong = name == "writes_per_object" and stats.writes != stats.objects
        table.add_row(SIGNALS[name].title, Text(value, style="bold red" if wrong else ""), made_of)
    return table


def _summary(stats: Stats, location: str) -> str:
    since = "" if stats.since is None else f", since {stats.since:%Y-%m-%d %H:%M} UTC"
    only = "" if stats.operation is None else f" of {safe(stats.operation)}"
    told = f"{count_of(stats.actions, 'action')}{only} in {safe(location)}{since}."
    return f"{told} There are duplicates: samekey audit." if stats.writes != stats.objects else told
