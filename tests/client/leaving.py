"""Makes some actions and prints the kinds of what only the garbage collector found of them, as JSON.

In a process of its own, for the collector finds what anybody has left: `python -m tests.client.leaving sync httpx`.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio

import samekey
from samekey.testing import FlakyServer
from tests.client.conftest import BODY, DAY, create_order

OURS = ("samekey", "httpx", "httpcore", "h11")
USED = 3
"""Actions before, by which all that is made once is made."""


@contextmanager
def collected() -> Iterator[list[str]]:
    found: list[str] = []
    gc.collect()
    gc.disable()
    yield found
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    kinds = [f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage]
    found += [kind for kind in kinds if kind.startswith(OURS) and not kind.startswith("samekey.testing")]


def threads(url: str, library: Any) -> list[str]:
    with samekey.Client(url, window=DAY, store="memory://", http=library.Client, verify=False) as client:

        def act(order: int) -> None:
            with client.action(create_order, scope={"order": order}) as action:
                assert action.post("/orders", json=BODY).status_code == 201

        for order in range(USED):
            act(order)
        with collected() as found:
            for order in range(USED, USED + 5):
                act(order)
    return found


async def tasks(url: str, library: Any) -> list[str]:
    async with samekey.AsyncClient(
        url, window=DAY, store="memory://", http=library.AsyncClient, verify=False
    ) as client:

        async def act(order: int) -> None:
            async with client.action(create_order, scope={"order": order}) as action:
                assert (await action.post("/orders", json=BODY)).status_code == 201

        for order in range(USED):
            await act(order)
        with collected() as found:
            for order in range(USED, USED + 5):
                await act(order)
    return found


if __name__ == "__main__":
    module = importlib.import_module(sys.argv[2])
    with FlakyServer() as server:
        left = threads(server.url, module) if sys.argv[1] == "sync" else anyio.run(tasks, server.url, module)
    print(json.dumps(left))
