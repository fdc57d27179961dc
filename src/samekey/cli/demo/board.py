"""What is seen while the scripts run: bars on a terminal, a line per script elsewhere, nothing with `--json`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.progress import BarColumn, Progress, TextColumn

from samekey.cli.render import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from samekey.cli.demo.plan import Plan
    from samekey.cli.demo.race import Outcome, Script


class Board(Protocol):
    """Hears of progress, from the thread of each script."""

    def moved(self, script: Script, placed: int, kills: int) -> None:
        """A script has placed orders or was killed."""

    def finished(self, outcome: Outcome) -> None:
        """A script is through."""


@contextmanager
def board(out: Console, plan: Plan, scripts: tuple[Script, ...], *, quiet: bool) -> Iterator[Board]:
    """The board that fits the place where it is shown."""
    if not out.is_terminal:
        yield _Lines(None if quiet else out)
        return
    with Progress(
        TextColumn("  {task.description:<16}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:>3.0f} of {task.total:.0f} orders, {task.fields[kills]}"),
        console=out,
        transient=quiet,
    ) as progress:
        yield _Bars(progress, plan, scripts)


class _Bars:
    def __init__(self, progress: Progress, plan: Plan, scripts: tuple[Script, ...]) -> None:
        self._progress = progress
        self._tasks = {
            script.name: progress.add_task(script.name, total=len(plan.orders), kills=_killed(0)) for script in scripts
        }

    def moved(self, script: Script, placed: int, kills: int) -> None:
        self._progress.update(self._tasks[script.name], completed=placed, kills=_killed(kills))

    def finished(self, outcome: Outcome) -> None:
        done = outcome.intended if outcome.through else outcome.intended - outcome.unanswered
        self._progress.update(self._tasks[outcome.script.name], completed=done)


class _Lines:
    def __init__(self, out: Console | None) -> None:
        self._out = out

    def moved(self, script: Script, placed: int, kills: int) -> None:
        """Lines tell the end only."""

    def finished(self, outcome: Outcome) -> None:
        if self._out is not None:
            end = "through" if outcome.through else "not through"
            runs = count(outcome.reruns + 1, "run")
            self._out.print(f"  {outcome.script.name}: {end} after {runs}, {_killed(outcome.kills)}")


def _killed(kills: int) -> str:
    return f"{count(kills, 'kill')}"
