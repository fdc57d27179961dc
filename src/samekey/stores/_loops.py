"""The two event loops, as far as stores need them: to run something soon, and to put a task to sleep until it is woken.

Everything here is made on a loop and belongs to it; what may be called from other threads says so.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import trio


class Waker(Protocol):
    """Lets one task sleep, once."""

    async def sleep(self, seconds: float | None = None) -> None:
        """Returns when woken, at the latest after `seconds`; at once if it was woken before."""

    def wake(self) -> None:
        """Ends the sleep. May be called from any thread, any number of times, also after the loop has ended."""


class Loop(Protocol):
    """A running event loop."""

    def is_here(self) -> bool:
        """Whether it is the one that runs in this thread. Any thread."""

    def has_ended(self) -> bool:
        """Whether it will run nothing any more. Any thread."""

    def soon(self, call: Callable[[], None]) -> None:
        """Calls something after what the loop has to do already; it must not raise."""

    def soon_from_outside(self, call: Callable[[], None]) -> None:
        """The same from another thread; does nothing if the loop has ended."""

    def waker(self) -> Waker:
        """A waker for the task that runs now."""


def current(known: Loop | None = None) -> Loop:
    """The loop that runs now: `known` itself, if it is that one.

    Raises:
        RuntimeError: none does.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        token = trio.lowlevel.current_trio_token()
        return known if type(known) is _Trio and known.token is token else _Trio(token)
    running = asyncio.get_running_loop()
    return known if type(known) is _Asyncio and known.running is running else _Asyncio(running)


class _Asyncio:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.running = loop

    def is_here(self) -> bool:
        return asyncio._get_running_loop() is self.running  # noqa: SLF001 - documented, for exactly this

    def has_ended(self) -> bool:
        return self.running.is_closed()

    def soon(self, call: Callable[[], None]) -> None:
        self.running.call_soon(call)

    def soon_from_outside(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # closed: nobody sleeps there any more
            self.running.call_soon_threadsafe(call)

    def waker(self) -> Waker:
        return _AsyncioWaker(self)

    def future(self) -> asyncio.Future[None]:
        return self.running.create_future()

    def later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return self.running.call_later(seconds, call)


class _AsyncioWaker:
    def __init__(self, loop: _Asyncio) -> None:
        self._loop = loop
        self._future = loop.future()

    async def sleep(self, seconds: float | None = None) -> None:
        timer = None if seconds is None else self._loop.later(seconds, self._wake)
        try:
            await self._future
        finally:
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        if self._loop.is_here():
            self._wake()
        else:
            self._loop.soon_from_outside(self._wake)

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class _Trio:
    def __init__(self, token: "trio.lowlevel.TrioToken") -> None:
        self.token = token

    def is_here(self) -> bool:
        import trio

        return trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self.token

    def has_ended(self) -> bool:
        try:
            self.token.run_sync_soon(_nothing)
        except _run_finished():
            return True
        return False

    def soon(self, call: Callable[[], None]) -> None:
        self.token.run_sync_soon(call)

    def soon_from_outside(self, call: Callable[[], None]) -> None:
        with suppress(_run_finished()):  # nobody sleeps there any more
            self.token.run_sync_soon(call)

    def waker(self) -> Waker:
        return _TrioWaker(self)


class _TrioWaker:
    def __init__(self, loop: _Trio) -> None:
        self._loop = loop
        self._asleep: Any = None
        self._woken = False

    async def sleep(self, seconds: float | None = None) -> None:
        import trio

        with trio.move_on_after(float("inf") if seconds is None else max(seconds, 0)):
            if self._woken:
                await trio.lowlevel.checkpoint()
                return
            self._asleep = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> Any:
        import trio

        self._asleep = None
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        if self._loop.is_here():
            self._wake()
        else:
            self._loop.soon_from_outside(self._wake)

    def _wake(self) -> None:
        self._woken = True
        task, self._asleep = self._asleep, None
        if task is not None:
            import trio

            trio.lowlevel.reschedule(task)


def _run_finished() -> type[Exception]:
    import trio

    return trio.RunFinishedError


def _nothing() -> None:
    pass


async def pause(seconds: float) -> None:
    """Lets the loop do other things for so long."""
    await current().waker().sleep(seconds)
