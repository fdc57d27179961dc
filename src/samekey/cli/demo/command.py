"""`samekey demo`: what samekey does, shown against scripts without it."""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from samekey.cli.demo import report
from samekey.cli.demo.board import board
from samekey.cli.demo.nursery import StoppedError
from samekey.cli.demo.plan import draw
from samekey.cli.demo.race import SCRIPTS, Outcome, Race, write_orders
from samekey.cli.exits import Exit, complain, leave, sentences
from samekey.cli.options import JsonOption
from samekey.cli.render import as_json, console
from samekey.stores import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samekey._core.model import Record
    from samekey.cli.demo.board import Board
    from samekey.cli.demo.plan import Plan

MOST_ACTIONS: Final = 2000
"""More orders show nothing more, and take minutes."""

ActionsOption = Annotated[
    int, typer.Option("--actions", metavar="N", min=1, max=MOST_ACTIONS, help="How many orders are placed.")
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", metavar="S", min=0, help="Repeats the faults and kills of a demo.", show_default="random"),
]
KillsOption = Annotated[
    int | None,
    typer.Option(
        "--kills",
        metavar="K",
        min=0,
        help="How often each script is killed.",
        show_default="N / 5, at most 8",
    ),
]
KeepOption = Annotated[
    Path | None,
    typer.Option("--keep", metavar="DIR", help="Keep the store in this new directory.", show_default=False),
]


def demo(
    actions: ActionsOption = 40,
    seed: SeedOption = None,
    kills: KillsOption = None,
    keep: KeepOption = None,
    json: JsonOption = False,
) -> None:
    """Show what samekey does, next to scripts without it.

    They place orders at an unreliable test shop on this machine and are killed on the way.
    """
    if kills is not None and kills > actions:
        leave(Exit.USAGE, f"--kills {kills} is more than one kill per order; give at most {actions}.")
    plan = draw(actions, kills, random.SystemRandom().randrange(10_000) if seed is None else seed)
    out = console(error=json)
    with _directory(keep) as directory, _terminable():
        if not json:
            report.introduce(out, plan)
        started = time.monotonic()
        with board(out, plan, SCRIPTS, quiet=json) as seen:
            outcomes = _run_all(plan, directory, seen)
        seconds = time.monotonic() - started
        last = outcomes[-1]
        if json:
            print(as_json(_document(plan, outcomes, keep, seconds)))
        else:
            report.conclude(out, plan, outcomes, seconds)
            report.point_on(out, keep, _example(directory, plan) if keep else None)
        if not last.flawless:
            complain(_why(directory, last))
            raise typer.Exit(Exit.FAILED)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="samekey-demo-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    try:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = any(keep.iterdir())
    except OSError as error:
        leave(Exit.USAGE, f"--keep {keep} cannot be used ({error.strerror}); name a new directory.")
    if taken:
        leave(Exit.USAGE, f"--keep {keep} is not empty; name a new directory.")
    yield keep


@contextmanager
def _terminable() -> Iterator[None]:
    """Lets SIGTERM clean up as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_all(plan: Plan, directory: Path, seen: Board) -> list[Outcome]:
    """Runs all scripts at the same time. However it ends, no child is left."""
    write_orders(plan, directory)
    races = [Race(script, plan, directory, partial(seen.moved, script)) for script in SCRIPTS]

    def run(race: Race) -> Outcome:
        outcome = race.run()
        seen.finished(outcome)
        return outcome

    with ThreadPoolExecutor(len(races)) as pool:
        runs = [pool.submit(run, race) for race in races]
        try:
            wait(runs, return_when=FIRST_EXCEPTION)
        finally:
            for race in races:
                race.stop()
    return _results(runs)


def _results(runs: list[Future[Outcome]]) -> list[Outcome]:
    failures = [failure for run in runs if (failure := run.exception()) is not None]
    for failure in failures:
        if not isinstance(failure, StoppedError):
            raise failure
    return [run.result() for run in runs]


def _document(plan: Plan, outcomes: list[Outcome], keep: Path | None, seconds: float) -> dict[str, Any]:
    return {
        "seed": plan.seed,
        "actions": len(plan.orders),
        "kills": len(plan.kills),
        "ok": outcomes[-1].flawless,
        "scripts": [outcome.as_json() for outcome in outcomes],
        "store": None if keep is None else str(keep / SCRIPTS[-1].memory),
        "seconds": round(seconds, 3),
        "again": report.again(plan),
    }


def _example(directory: Path, plan: Plan) -> Record | None:
    """The latest order in which the script was killed, if it was; else the one that needed the most attempts."""
    with sentences():
        store = SQLiteStore(directory / SCRIPTS[-1].memory)
        try:
            records = store.find(newest_first=True)
        finally:
            store.close()
    return max(records, key=lambda record: (record.scope["cart"] in plan.kills, record.attempts), default=None)


def _why(directory: Path, outcome: Outcome) -> str:
    """What the script said last, if it said anything."""
    log = directory / outcome.script.log
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    said = [line for line in lines if line.strip()]
    return f"the script said last: {said[-1]}" if said else "the script said nothing."
