"""The demo's side of `scripts/nursery.py`: runs a script and kills it, from any thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCRIPTS: Final = Path(__file__).parent / "scripts"


class StoppedError(Exception):
    """The demo is ending; the script runs no more."""


class Nursery:
    """Runs one script, time and again. A context manager: at its end no process is left.

    Args:
        script: its file name.
        arguments: what it is called with.
        errors: takes its error output.
    """

    def __init__(self, script: str, arguments: Sequence[str], errors: IO[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own scripts
            [sys.executable, "-P", str(SCRIPTS / "nursery.py"), str(SCRIPTS / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(),
            bufsize=0,
            process_group=0,  # Ctrl-C is for the demo, which then ends its children
        )
        self._ended = threading.Event()

    def run(self, hear: Callable[[str], None]) -> int:
        """Runs the script and returns its exit code; `hear` gets each line that it prints.

        Raises:
            StoppedError: the demo is ending.
        """
        assert self._process.stdout is not None
        self._ended.clear()
        try:
            self._command(b"r")
            for line in iter(self._process.stdout.readline, b""):
                text = line.decode(errors="replace").rstrip("\n")
                if text.startswith("ended "):
                    return int(text.removeprefix("ended "))
                hear(text)
        finally:
            self._ended.set()
        raise StoppedError

    def strike(self) -> None:
        """Kills the run with SIGKILL; returns when it is gone."""
        with suppress(StoppedError):
            self._command(b"k")
        self._ended.wait()

    def stop(self) -> None:
        """Ends everything; `run` then raises."""
        if self._process.returncode is not None:
            return  # the id may be another's by now
        with suppress(ProcessLookupError, PermissionError):  # gone, or not yet waited for
            os.killpg(self._process.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends everything and waits for it."""
        self.stop()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _command(self, command: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command)
        except (BrokenPipeError, ValueError) as error:
            raise StoppedError from error


def _environment() -> dict[str, str]:
    """This process's, without what would lead a script to another store, or to a proxy on its way to the shop."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SAMEKEY_") and not name.lower().endswith("_proxy")
    }
    return kept | {"NO_PROXY": "127.0.0.1", "PYTHONIOENCODING": "utf-8"}
