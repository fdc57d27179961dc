"""Child processes without the start of an interpreter: one process imports samekey, and every child is a fork of it.

The process itself never opens a store or a connection, so that a child is a fresh process in all that matters. Started
with `python -m tests.acceptance.nursery`; it reads one JSON line per child.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
"""Longer than any child runs."""

WANTED_LATER = ("samekey", "httpcore", "anyio", "encodings.ascii", "encodings.idna", "stringprep")
"""What children would import by themselves, each for as long as it takes."""


class Child:
    """A running child.

    Attributes:
        pid: whom to kill.
        dead: set once it was reaped.
    """

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.dead = threading.Event()
        self._nursery = nursery

    def wait(self) -> tuple[int, str]:
        """The exit code, negative for a signal, and what was printed."""
        answer = self._nursery.read()
        self.dead.set()
        return int(answer["code"]), str(answer["said"])


class Nursery:
    """Makes children, one at a time.

    Args:
        wanted: what these children would import beside `WANTED_LATER`.
    """

    def __init__(self, *wanted: str) -> None:
        self._wanted = wanted

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *self._wanted],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=SECONDS)

    def start(self, function: str, *arguments: Any) -> Child:
        """Calls `module:function` in a child; what it returns is the exit code."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([function, arguments]) + "\n")
        self._process.stdin.flush()
        return Child(self, int(self.read()["pid"]))

    def call(self, function: str, *arguments: Any) -> tuple[int, str]:
        """Calls `module:function` in a child and waits for its end."""
        return self.start(function, *arguments).wait()

    def read(self) -> dict[str, Any]:
        """The next answer of the nursery."""
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def main() -> None:
    """Reads, forks, waits, answers."""
    for module in (*WANTED_LATER, *sys.argv[1:]):
        importlib.import_module(module)
    for line in sys.stdin:
        function, arguments = json.loads(line)
        importlib.import_module(function.partition(":")[0])
        gc.freeze()  # else the first collection in a child copies all of it
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            sys.exit(be_born(writer, function, arguments))
        os.close(writer)
        answer(pid=pid)
        with os.fdopen(reader, errors="replace") as pipe:
            said = pipe.read()
        _, status = os.waitpid(pid, 0)
        answer(code=os.waitstatus_to_exitcode(status), said=said)


def be_born(writer: int, function: str, arguments: list[Any]) -> int:
    """The child: prints go to the parent."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(writer, 1)
    os.dup2(writer, 2)
    os.close(writer)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    module, _, name = function.partition(":")
    return int(getattr(importlib.import_module(module), name)(*arguments) or 0)


def answer(**facts: Any) -> None:
    """One line for the parent."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
