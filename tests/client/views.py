"""`AsyncClient` behind the face of `Client`: one suite for both, on asyncio and on trio.

Only the waiting is done here. What the suite asserts comes from the real objects.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial, wraps
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal


class View:
    """An asynchronous object whose coroutine functions are waited for in an event loop's thread."""

    def __init__(self, portal: BlockingPortal, native: Any) -> None:
        object.__setattr__(self, "_portal", portal)
        object.__setattr__(self, "native", native)

    def __getattr__(self, name: str) -> Any:
        return _seen(self._portal, getattr(self.native, name))

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.native, name, value)

    def __enter__(self) -> Any:
        entered = self._portal.call(self.native.__aenter__)
        return self if entered is self.native else View(self._portal, entered)

    def __exit__(self, *raised: object) -> Any:
        return self._portal.call(self.native.__aexit__, *raised)

    def __repr__(self) -> str:
        return repr(self.native)

    def __str__(self) -> str:
        return str(self.native)

    def close(self) -> None:
        self._portal.call(self.native.aclose)


def _seen(portal: BlockingPortal, value: Any) -> Any:
    if inspect.iscoroutinefunction(value):
        return lambda *args, **options: portal.call(partial(value, *args, **options))
    if inspect.ismethod(value):

        @wraps(value)
        def call(*args: Any, **options: Any) -> Any:
            return _seen(portal, value(*args, **options))

        return call
    waits = isinstance(value, AbstractAsyncContextManager) or hasattr(value, "aclose")
    return View(portal, value) if waits or type(value).__name__ == "AsyncBatch" else value


class AsyncFakeClock:
    """A fake clock whose sleep is awaited."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    async def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


@contextmanager
def event_loop(backend: str) -> Iterator[BlockingPortal]:
    """An event loop in a thread of its own."""
    with start_blocking_portal(backend) as portal:
        yield portal
