"""Event loops, for the driver that runs on them: every await is a switch of the world, and ends before it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import greenlet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samekey._core.run import Done
    from samekey._core.steps import Step
    from samekey._drivers.ports import AsyncPorts
    from tests.simulation.machines import DriverClock, ProcessStore

P = ParamSpec("P")
T = TypeVar("T")


def awaitable(function: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """The same, to be awaited."""

    async def awaited(*arguments: P.args, **named: P.kwargs) -> T:
        return function(*arguments, **named)

    return awaited


class AsyncStore:
    """A process's store as the driver for event loops asks it."""

    def __init__(self, below: ProcessStore) -> None:
        self.claim = awaitable(below.claim)
        self.renew = awaitable(below.renew)
        self.settle = awaitable(below.settle)
        self.get = awaitable(below.get)
        self.note = awaitable(below.note)
        self.wait = awaitable(below.wait)
        self.release = below.release
        self._below = below

    @property
    def sent_by_then(self) -> int:
        """See `ProcessStore`."""
        return self._below.sent_by_then


class AsyncClock:
    """A process's clock as the driver for event loops asks it."""

    def __init__(self, below: DriverClock) -> None:
        self.now = below.now
        self.wall = below.wall
        self.sleep = awaitable(below.sleep)


@contextmanager
def _shielded() -> Iterator[None]:
    """A cancellation does not come in here."""
    task: Any = greenlet.getcurrent()
    before, task.shielded = task.shielded, True
    try:
        yield
    finally:
        task.shielded = before


def _driver() -> Any:
    """A copy of the driver for worlds without an event loop; the real one is not touched."""
    spec = find_spec("samekey._drivers.async_")
    assert spec is not None
    assert spec.loader is not None
    copy: Any = module_from_spec(spec)
    spec.loader.exec_module(copy)
    copy.shield = _shielded
    return copy


_drive: Final = _driver().drive


def drive_async(step: Step, ports: AsyncPorts) -> Done:
    """What `await drive(step, ports)` returns."""
    try:
        _drive(step, ports).send(None)
    except StopIteration as ended:
        done: Done = ended.value
        return done
    raise AssertionError("the driver waits for something that is not of this world")
