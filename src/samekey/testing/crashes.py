"""Killing a script between two steps of an action, with the kernel's own SIGKILL."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, Self, get_args

from samekey._testmode import TESTMODE
from samekey.testing import _dying
from samekey.testing._values import WRITE_METHODS
from samekey.testing.pretending import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from samekey.testing.model import ModelAPI

P = ParamSpec("P")

Boundary = Literal[
    "before_claim",
    "after_claim",
    "before_renew",
    "after_renew",
    "before_send",
    "after_send",
    "after_reply",
    "before_settle",
    "after_settle",
]
"""Where a child is killed, in the order in which an action comes there.

`before_claim`: nothing is on disk. `after_claim`: the action is on disk, nothing was sent. `before_renew`,
`after_renew`: around the record of a further attempt. `before_send`: nothing was sent. `after_send`: the request is
out, and no byte of the answer was read. `after_reply`: the answer was read, and is not on disk. `before_settle`: the
same. `after_settle`: the answer is on disk, and the script has not been told.
"""

_POLL_SECONDS: Final = 0.002
_ARRIVAL_SECONDS: Final = 10.0


class Crash:
    """Runs something in a child process that kills itself; made by `crash_at`."""

    def __init__(self, boundary: Boundary, occurrence: int, server: ModelAPI | None, timeout: float) -> None:
        self._boundary = boundary
        self._occurrence = occurrence
        self._server = server
        self._timeout = timeout

    def __call__(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> str:
        """Call a function in a fork of this process, which dies on the way.

        Let the function build its own clients: connections of this process do not serve two.

        Returns:
            What it printed.

        Raises:
            AssertionError: it ended, or ran into the time-out, without coming to the boundary.
        """
        with _Report(self._server) as report:
            mode = self._mode(report)

            def child() -> None:
                with report.output.open("a", encoding="utf-8") as out:
                    os.dup2(out.fileno(), 1)
                    os.dup2(out.fileno(), 2)
                    sys.stdout = sys.stderr = out
                    _dying.prepare(mode)
                    try:
                        function(*args, **kwargs)
                    except BaseException:  # noqa: BLE001 (it is told where it is missed)
                        traceback.print_exc()
                        out.flush()
                        os._exit(1)

            process = multiprocessing.get_context("fork").Process(target=child)
            with warnings.catch_warnings():
                # Python 3.12 warns of locks that other threads hold; the child takes none of a server's.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            process.join(self._timeout)
            if process.exitcode is None:
                process.kill()
                process.join()
                raise AssertionError(self._missed(f"still ran after {self._timeout:g} s", report))
            return self._judge(process.exitcode, report)

    def script(self, path: str | os.PathLike[str], *arguments: str) -> str:
        """Run a script in an interpreter of its own, which dies on the way.

        Args:
            path: a file of Python.
            arguments: what it finds in `sys.argv`.

        Returns:
            What it printed.

        Raises:
            AssertionError: it ended, or ran into the time-out, without coming to the boundary.
        """
        with _Report(self._server) as report:
            code = _run(self._mode(report), report, path, arguments, self._timeout)
            if code is None:
                raise AssertionError(self._missed(f"still ran after {self._timeout:g} s", report))
            return self._judge(code, report)

    def _mode(self, report: _Report) -> _dying.Mode:
        return _mode(report) | {"boundary": self._boundary, "occurrence": self._occurrence}

    def _judge(self, code: int, report: _Report) -> str:
        if code != -signal.SIGKILL:
            raise AssertionError(self._missed(f"ended with {code}", report))
        report.settle()
        return report.said()

    def _missed(self, how: str, report: _Report) -> str:
        which = f"{self._boundary!r}" + (f" for the {self._occurrence}. time" if self._occurrence > 1 else "")
        return f"the child {how} and never came to {which}, so nothing was killed; it printed:\n{report.said()}"


def crash_at(
    boundary: Boundary, *, occurrence: int = 1, server: ModelAPI | None = None, timeout: float = 60.0
) -> Crash:
    """Kill a script at a boundary between two steps of an action, and return to the test.

    ```python
    crash_at("after_send", server=server)(place_order, server.url)   # a function, in a fork
    crash_at("after_send", server=server).script("order.py")         # a script, in an interpreter of its own
    ```

    The child has the store, the clock and the cap of `set_testing`. It ends by SIGKILL, so that nothing of its own runs
    any more: no `finally`, no `atexit`.

    Args:
        boundary: where; see `Boundary`.
        occurrence: at which time it comes there: 3 is the third action of a loop, if each is sent once.
        server: the test server that the script writes to; the test goes on when it has dealt with what was sent.
        timeout: seconds after which a child that does not die is killed, and missed.

    Raises:
        ValueError: there is no such boundary, or `occurrence` is not positive.
    """
    if boundary not in get_args(Boundary):
        msg = f"{boundary!r} is no boundary; take one of {', '.join(get_args(Boundary))}"
        raise ValueError(msg)
    if occurrence < 1:
        msg = f"occurrence={occurrence}: the first time is 1"
        raise ValueError(msg)
    return Crash(boundary, occurrence, server, timeout)


def run_script(path: str | os.PathLike[str], *arguments: str, timeout: float = 60.0) -> str:
    """Run a script to its end, in an interpreter of its own, under what `set_testing` says.

    Args:
        path: a file of Python.
        arguments: what it finds in `sys.argv`.
        timeout: seconds.

    Returns:
        What it printed.

    Raises:
        AssertionError: it failed, or did not end in time.
    """
    with _Report(None) as report:
        code = _run(_mode(report), report, path, arguments, timeout)
        if code != 0:
            how = f"still ran after {timeout:g} s" if code is None else f"ended with {code}"
            raise AssertionError(f"{os.fspath(path)} {how}; it printed:\n{report.said()}")
        report.settle()
        return report.said()


def _mode(report: _Report) -> _dying.Mode:
    clock = TESTMODE.clock
    return {
        "boundary": None,
        "occurrence": 1,
        "report": str(report.events),
        "store": TESTMODE.store,
        "attempts": TESTMODE.attempts,
        "clock": clock.state() if isinstance(clock, ManualClock) else None,
    }


def _run(
    mode: _dying.Mode, report: _Report, path: str | os.PathLike[str], arguments: tuple[str, ...], timeout: float
) -> int | None:
    """The exit code, or None if it had to be stopped."""
    command = [
        sys.executable,
        "-c",
        f"from {_dying.__name__} import main; main()",
        json.dumps(mode),
        os.fspath(path),
        *arguments,
    ]
    with report.output.open("a", encoding="utf-8") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)  # noqa: S603 (the test's)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            process.kill()
            process.wait()


class _Report:
    """What a child says of itself, in files, because it has no time for more."""

    def __init__(self, server: ModelAPI | None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="samekey-crash-")
        self.output = Path(self._folder.name, "output.txt")
        self.events = Path(self._folder.name, "events.txt")
        self._server = server
        self._before = self._writes()

    def __enter__(self) -> Self:
        self.output.touch()
        self.events.touch()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._folder.cleanup()

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def settle(self) -> None:
        """Wait until the server has dealt with what was sent, and let the child's waits have passed here too."""
        events: list[list[Any]] = [json.loads(line) for line in self.events.read_text(encoding="utf-8").splitlines()]
        if TESTMODE.clock is not None:
            for seconds in (value for name, value in events if name == "waited"):
                TESTMODE.clock.skip(seconds)
        if self._server is not None:
            sent = sum(name == "sent" for name, _ in events)
            until = time.monotonic() + _ARRIVAL_SECONDS
            while self._writes() - self._before < sent and time.monotonic() < until:
                time.sleep(_POLL_SECONDS)
            self._server.wait_idle()

    def _writes(self) -> int:
        if self._server is None:
            return 0
        return sum(seen.method in WRITE_METHODS for seen in self._server.requests)
