"""Cancelled at every point where it waits, an action leaves a true record, and a rerun makes what is missing."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import AT_ONCE, BODY, DAY, create_order

MOST_POINTS = 400
HALF_AN_ACTION = 10
SHORTEST = 3
"""Points of an action that goes the short way: its claim, its send, its answer."""


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Interrupted:
    """Runs a coroutine, and does something at the `at`-th point where it waits."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int, act: Callable[[], object]) -> None:
        self._coroutine = coroutine
        self._left = at
        self._act = act

    @property
    def reached(self) -> bool:
        return self._left <= 0

    def __await__(self) -> Generator[Any, Any, Any]:
        sent: Any = None
        step: Callable[[Any], Any] = self._coroutine.send
        while True:
            try:
                waits_for = step(sent)
            except StopIteration as end:
                return end.value
            self._left -= 1
            if self._left == 0:
                self._act()
            try:
                sent, step = (yield waits_for), self._coroutine.send
            except BaseException as error:  # noqa: BLE001 - what the loop throws belongs to the coroutine
                sent, step = error, self._coroutine.throw


def client_of(url: str, path: Path) -> samekey.AsyncClient[Any]:
    return samekey.AsyncClient(url, window=DAY, store=path, retry=AT_ONCE, verify=False)


async def act(client: samekey.AsyncClient[Any], order: int | str) -> None:
    async with client.action(create_order, scope={"order": order}) as action:
        await action.post("/orders", json=BODY)


async def one_action(url: str, path: Path, order: int) -> None:
    async with client_of(url, path) as client:
        await act(client, order)


async def status_of(url: str, path: Path, order: int) -> samekey.Status | None:
    async with samekey.AsyncClient(url, window=DAY, store=path, verify=False) as client:
        record = await client.record(create_order, scope={"order": order})
        return record.status if record else None


async def in_a_scope(work: Coroutine[Any, Any, None], at: int) -> bool:
    """Cancels by a scope, whose cancellation is delivered again and again until it is left."""
    with anyio.CancelScope() as scope:
        run = Interrupted(work, at, scope.cancel)
        await run
    return run.reached


async def natively(work: Coroutine[Any, Any, None], at: int) -> bool:
    """Cancels an asyncio task, which is delivered once, and no scope shields from it."""
    reached: list[bool] = []

    async def main() -> None:
        run = Interrupted(work, at, lambda: task.cancel())  # noqa: PLW0108 - `task` comes later
        try:
            await run
        finally:
            reached.append(run.reached)

    task = asyncio.create_task(main())
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return reached[0]


def leftovers() -> tuple[int, int]:
    """File descriptors and threads of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count()


async def check(
    url: str,
    path: Path,
    server: FlakyServer,
    cancelled: Callable[..., Awaitable[bool]],
    faults: Any,
    *,
    used: bool = False,
) -> int:
    """Cancels at one point after the other, each with an action of its own; how many points there were.

    With `used` its client has made two others before, so that the third goes the shortest way, and is closed afterwards.
    """
    for at in range(1, MOST_POINTS):
        async with client_of(url, path) as client:
            for number in range(2 * used):
                await act(client, f"before {at}, {number}")
            server.script(*faults)
            before = len(server.effects)
            reached = await cancelled(act(client, at) if used else one_action(url, path, at), at)
        server.script()
        left = await status_of(url, path, at)
        assert left is not samekey.Status.IN_FLIGHT, (
            f"nobody wrote down what became of it, cancelled at its {at}th point"
        )
        await one_action(url, path, at)
        assert len(server.effects) == before + 1, f"cancelled at its {at}th point"
        assert await status_of(url, path, at) is samekey.Status.SUCCEEDED
        if not reached:
            return at
    raise AssertionError("an action does not end")


# httpx leaves the iterator of a body to the collector, and trio says so.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator object ByteStream")
@pytest.mark.filterwarnings("ignore:Async generator .httpx:ResourceWarning")
@pytest.mark.slow
@pytest.mark.parametrize("faults", [(), (Fault.COMMIT_THEN_DROP,)], ids=["answered", "answer lost"])
@pytest.mark.parametrize("how", ["asyncio, native", "asyncio, scope", "trio, scope"])
@pytest.mark.parametrize("used", [False, True], ids=["a new client", "a used one"])
def test_at_every_await_point(server: FlakyServer, path: Path, how: str, faults: tuple[Any, ...], used: bool) -> None:
    backend, _, kind = how.partition(", ")
    cancelled = natively if kind == "native" else in_a_scope
    anyio.run(one_action, server.url, path, 0, backend=backend)
    before = leftovers()

    async def main() -> int:
        points = await check(server.url, path, server, cancelled, faults, used=used)
        if backend == "asyncio":
            assert asyncio.all_tasks() == {asyncio.current_task()}
        return points

    assert anyio.run(main, backend=backend) > (SHORTEST if used else HALF_AN_ACTION)
    after = leftovers()
    assert after[0] <= before[0]
    assert after[1] <= before[1]


def test_a_cancelled_send_is_told_along(server: FlakyServer, path: Path) -> None:
    """Whoever is cancelled has no verdict; the cancellation carries it as a note."""
    server.script(Fault.STALL)

    async def main() -> None:
        arrived, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell(_seen: Any) -> None:
            loop.call_soon_threadsafe(arrived.set)

        server.on_request = tell
        task = asyncio.create_task(one_action(server.url, path, 1))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        (note,) = raised.value.__notes__
        assert "it may have happened; run it again" in note

    asyncio.run(main())
    server.on_request = None
    server.script()
    asyncio.run(one_action(server.url, path, 1))
    assert len(server.effects) == 1


def test_a_thousand_tasks_that_post_the_same_action(server: FlakyServer, path: Path, backend: str) -> None:
    answers: list[Any] = []

    async def main() -> None:
        async with samekey.AsyncClient(server.url, window=DAY, store=path, verify=False) as client:

            async def post() -> None:
                async with client.action(create_order, scope={"order": 1}) as action:
                    answers.append((await action.post("/orders", json=BODY)).json())

            async with anyio.create_task_group() as tasks:
                for _ in range(1000):
                    tasks.start_soon(post)

    anyio.run(main, backend=backend)
    assert len(server.requests) == len(server.effects) == 1
    assert len(answers) == 1000
    assert all(answer == answers[0] for answer in answers)


def test_trio_cancels_a_nursery(server: FlakyServer, path: Path) -> None:
    """One action that fails takes its siblings along; what they had sent stays known."""

    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            async with trio.open_nursery() as nursery:
                for order in range(5):
                    nursery.start_soon(one_action, server.url, path, order)
                nursery.start_soon(_fail)

    async def _fail() -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    trio.run(main)
    for order in range(5):
        anyio.run(one_action, server.url, path, order)
    assert len(server.effects) == 5
