"""The words of `samekey demo`, for somebody who has never heard of idempotency keys."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from samekey.cli.render import SHORT_KEY, count, put

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from samekey._core.model import Record
    from samekey.cli.demo.plan import Plan
    from samekey.cli.demo.race import Outcome

COLUMNS: Final = ("intended", "created", "duplicated", "lost", "kills", "reruns", "requests")

TUTORIAL: Final = "docs/tutorial/first-action.md"


def introduce(out: Console, plan: Plan) -> None:
    """Says what is about to happen."""
    kills = f"is killed {count(len(plan.kills), 'time')} in the middle of an order (kill -9) and started again"
    all_go_well = "runs once, for this time nobody kills it"
    put(
        out,
        f"Four scripts have the same {count(len(plan.orders), 'order')} to place, each at a test shop of its own on "
        f"this machine. One request in four brings no usable answer, mostly after the shop has made the order. Each "
        f"script {kills if plan.kills else all_go_well}. What goes wrong is the same for all four.",
    )
    out.print()
    put(
        out,
        "The shop knows idempotency keys: ids that are sent along with orders. If a key comes a second time, the shop "
        "repeats its first answer and makes no second order.",
    )
    out.print()


def conclude(out: Console, plan: Plan, outcomes: Sequence[Outcome], seconds: float) -> None:
    """Says what has happened."""
    out.print()
    put(out, _table(outcomes))
    out.print()
    put(out, _ways(outcomes))
    out.print()
    put(out, _verdict(outcomes[-1]))
    out.print(f"It took {seconds:.1f} s. The same faults and kills again:", style="dim")
    out.print(f"  {again(plan)}", style="dim")


def point_on(out: Console, kept: Path | None, example: Record | None) -> None:
    """Says what to look at next."""
    out.print()
    out.print("What to look at next:", style="bold")
    if kept is None:
        out.print("  samekey demo --keep DIR        keeps the store, to see how each order went")
    else:
        store = f"--store {shlex.quote(str(kept / 'samekey.db'))}"
        out.print(f"  samekey list {store}", soft_wrap=True)
        if example is not None:
            out.print(f"  samekey show {example.idempotency_key[:SHORT_KEY]} {store}", soft_wrap=True)
    out.print(f"  {TUTORIAL}  your own script, step by step")


def again(plan: Plan) -> str:
    """The command that repeats this demo."""
    return f"samekey demo --actions {len(plan.orders)} --kills {len(plan.kills)} --seed {plan.seed}"


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("script", no_wrap=True)
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for outcome in outcomes:
        cells = [_cell(name, getattr(outcome, name)) for name in COLUMNS]
        table.add_row(Text(outcome.script.name, style="bold" if outcome is outcomes[-1] else ""), *cells)
    return table


def _cell(name: str, number: int) -> Text:
    if name not in {"duplicated", "lost"}:
        return Text(str(number))
    return Text(str(number), style="bold red" if number else "green")


def _ways(outcomes: Sequence[Outcome]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for outcome in outcomes:
        grid.add_row(outcome.script.name, Text(outcome.script.what, style="dim"))
    return grid


def _verdict(outcome: Outcome) -> Text:
    if outcome.flawless:
        return Text(
            f"With samekey each of the {outcome.intended} orders was made one time, none was lost, and the script "
            f"knows the id of each.",
            style="green",
        )
    end = "" if outcome.through else "did not get through, "
    return Text(
        f"samekey failed: it {end}made {count(outcome.duplicated, 'duplicate')}, lost {outcome.lost}, and does not "
        f"know the id of {outcome.unanswered}. Please report it, with the line below.",
        style="bold red",
    )
