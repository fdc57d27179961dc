"""The child's side of a crash: it takes over the test's conditions, and kills itself where it was told to.

python -m samekey.testing._dying MODE SCRIPT [ARGUMENT …]
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from typing import Any, TypedDict

from samekey._testmode import TESTMODE
from samekey.testing.pretending import ManualClock


class Mode(TypedDict):
    """What the child is told, as JSON."""

    boundary: str | None
    occurrence: int
    report: str
    store: str | None
    attempts: int | None
    clock: tuple[str, float, bool] | None


class _Reporting(ManualClock):
    """Notes its waits where the test finds them."""

    events: int

    def skip(self, seconds: float) -> None:
        super().skip(seconds)
        _tell(self.events, "waited", seconds)


def prepare(mode: Mode) -> None:
    """Put the test's conditions in place, and a trap at the boundary."""
    events = os.open(mode["report"], os.O_WRONLY | os.O_APPEND)
    TESTMODE.store, TESTMODE.attempts = mode["store"], mode["attempts"]
    if mode["clock"] is not None:
        TESTMODE.clock = clock = _Reporting.following(mode["clock"])
        clock.events = events
    left = mode["occurrence"]

    def at(boundary: str) -> None:
        nonlocal left
        if boundary == "after_send":
            _tell(events, "sent", None)
        if boundary == mode["boundary"]:
            left -= 1
            if not left:
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)

    TESTMODE.at = at


def _tell(events: int, name: str, value: Any) -> None:
    os.write(events, f"{json.dumps([name, value])}\n".encode())


def main() -> None:
    """Runs a script as if Python had been started with it; the arguments are the mode, the script, and its own."""
    mode, path, *arguments = sys.argv[1:]
    prepare(json.loads(mode))
    sys.argv = [path, *arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120 (what Python itself puts there)
    runpy.run_path(path, run_name="__main__")
