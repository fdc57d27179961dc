"""What a child of the workspace does: it makes sure that it has the mutated source, and looks for the fault.

`python -m tests.mutants.child SOURCE HISTORIES simulation`, or `… SOURCE HISTORIES TEST …`. Its last line is JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.mutants.mutant import SIMULATION

SECONDS_PER_TEST = 120


class First:
    """Remembers the first test that fails."""

    def __init__(self) -> None:
        self.name = ""
        self.run = 0
        self.uncollected = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be imported is no finding."""
        if report.failed:
            self.uncollected = f"{report.nodeid} cannot be collected: {report.longreprtext[-1500:]}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Any phase of a test may fail."""
        self.run += report.when == "call"
        if report.failed and not self.name:
            self.name = report.nodeid


def run_tests(finder: Sequence[str]) -> tuple[bool, str]:
    """Runs tests until one fails."""
    first = First()
    options = ["-x", "-q", "-p", "no:cacheprovider", f"--timeout={SECONDS_PER_TEST}"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # samekey has been imported, to look whose it is
    code = pytest.main([*options, *finder], plugins=[first])
    if first.uncollected:
        raise SystemExit(first.uncollected)
    if not first.name and (code != 0 or not first.run):
        raise SystemExit(f"pytest ended with {code} after {first.run} tests of {' '.join(finder)}")
    return bool(first.name), first.name or f"{first.run} tests"


def run_histories(most: int) -> tuple[bool, str]:
    """Runs histories until one breaks a promise. That one raises an exception is told, and is not enough."""
    from tests.simulation.histories import FIRST_SEED, hunt

    return hunt(range(FIRST_SEED, FIRST_SEED + most))


def main() -> None:
    """Looks for the fault, and says what it found."""
    source, histories, *finder = sys.argv[1:]
    found = find_spec("samekey")  # imported here, pytest could not rewrite the plugin in it
    home = Path(found.origin if found is not None and found.origin is not None else "")
    if not home.is_relative_to(source):
        raise SystemExit(f"the child imported {home}, which is not the mutated source in {source}")
    failed, by = run_histories(int(histories)) if finder == [SIMULATION] else run_tests(finder)
    print(json.dumps({"failed": failed, "by": by}))


if __name__ == "__main__":
    main()
