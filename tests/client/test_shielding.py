"""What cancels while an answer is being written down: the answer is written first, and whoever asked for it gets it."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import samekey
from samekey._drivers.shielding import shield
from samekey.stores import AsyncMemoryStore
from samekey.testing import FlakyServer
from tests.client.conftest import AT_ONCE, BODY, DAY, create_order


class Slow(AsyncMemoryStore):
    """Something is done while a settlement waits."""

    meanwhile: Any = None

    async def settle(self, settlement: Any) -> Any:
        self.meanwhile()
        await anyio.lowlevel.checkpoint()
        return await super().settle(settlement)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", ["own", "outer", "group"])
def test_a_scope_that_is_cancelled_meanwhile_takes_no_answer(server: FlakyServer, backend: str, kind: str) -> None:
    answers: list[Any] = []
    store = Slow()

    async def act() -> None:
        async with (
            samekey.AsyncClient(server.url, window=DAY, store=store, retry=AT_ONCE, verify=False) as client,
            client.action(create_order, scope={"order": kind}) as action,
        ):
            answers.append(await action.post("/orders", json=BODY))
            assert action.status is samekey.Status.SUCCEEDED
            await anyio.lowlevel.checkpoint()
            raise AssertionError("the cancellation goes on")

    async def main() -> None:
        if kind == "group":
            async with anyio.create_task_group() as group:
                store.meanwhile = group.cancel_scope.cancel
                group.start_soon(act)
            return
        with anyio.CancelScope() as outer, anyio.CancelScope() as own:
            store.meanwhile = (outer if kind == "outer" else own).cancel
            await act()
        assert (outer if kind == "outer" else own).cancelled_caught

    anyio.run(main, backend=backend)
    assert [answer.status_code for answer in answers] == [201]
    assert len(server.effects) == 1


def test_where_there_is_no_scope_there_is_no_shield() -> None:
    seen: list[bool] = []

    async def look() -> None:
        seen.append(isinstance(shield(), anyio.CancelScope))

    async def main() -> None:
        await look()
        with anyio.CancelScope():
            await look()
            with anyio.move_on_after(60):
                await look()
            await look()
        await look()
        async with anyio.create_task_group() as group:
            group.start_soon(look)
        async with asyncio.timeout(60):
            await look()

    asyncio.run(main())
    assert seen == [False, True, True, True, False, True, False]


def test_on_trio_there_always_is() -> None:
    seen: list[bool] = []

    async def main() -> None:
        seen.append(isinstance(shield(), nullcontext))

    anyio.run(main, backend="trio")
    assert seen == [False]
