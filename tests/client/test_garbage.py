"""A usual action leaves no circle of objects for the garbage collector, which would otherwise go through all that lives."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx
import httpx2
import pytest

import samekey
from samekey.testing import FlakyServer
from tests.client.conftest import BODY, DAY, create_order

OURS = ("samekey", "httpx", "httpcore", "h11")


@contextmanager
def collected() -> Iterator[list[str]]:
    """The kinds of what only the collector found, of those that belong to an action."""
    found: list[str] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += [f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    found[:] = [name for name in found if name.startswith(OURS) and not name.startswith("samekey.testing")]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_an_action_leaves_no_circle(server: FlakyServer, library: Any) -> None:
    with samekey.Client(server.url, window=DAY, store="memory://", http=library.Client, verify=False) as client:

        def act(order: int) -> None:
            with client.action(create_order, scope={"order": order}) as action:
                assert action.post("/orders", json=BODY).status_code == 201

        for order in range(3):
            act(order)
        with collected() as found:
            for order in range(3, 8):
                act(order)
    assert found == []
    assert len(server.effects) == 8


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_nor_does_one_of_a_task(server: FlakyServer, library: Any) -> None:
    async def main() -> list[str]:
        async with samekey.AsyncClient(
            server.url, window=DAY, store="memory://", http=library.AsyncClient, verify=False
        ) as client:

            async def act(order: int) -> None:
                async with client.action(create_order, scope={"order": order}) as action:
                    assert (await action.post("/orders", json=BODY)).status_code == 201

            for order in range(3):
                await act(order)
            with collected() as found:
                for order in range(3, 8):
                    await act(order)
            return found

    assert anyio.run(main, backend="asyncio") == []
    assert len(server.effects) == 8
