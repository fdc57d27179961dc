"""The script of the kill matrix for event loops: the same 150 orders, sixteen at once. See `order_script.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import anyio

import samekey
from tests.acceptance.order_script import ACTIONS, body, create_order, die_after, gone_wrong, options

AT_ONCE = 16


def main(
    url: str,
    store: str,
    output: str,
    name: str,
    die_at: tuple[int, int] | None,
    actions: int = ACTIONS,
    keyless: bool = False,
) -> int:
    return anyio.run(orders, url, store, output, name, die_at, actions, keyless)


async def orders(
    url: str, store: str, output: str, name: str, die_at: tuple[int, int] | None, actions: int, keyless: bool
) -> int:
    log = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    codes = [0]
    async with samekey.AsyncClient(url, **options(store, name, keyless=keyless)) as client:

        async def work(numbers: Iterator[int]) -> None:
            for number in numbers:
                code = await make(client, number, name, log, die_at)
                if code:
                    codes.append(code)
                    return

        async with anyio.create_task_group() as tasks:
            numbers = iter(range(actions))
            for _ in range(AT_ONCE):
                tasks.start_soon(work, numbers)
    return max(codes)


async def make(client: samekey.AsyncClient, number: int, name: str, log: int, die_at: tuple[int, int] | None) -> int:
    """Makes an order; returns an exit code."""
    if die_at is not None and number == die_at[0]:
        die_after(die_at[1])
    try:
        async with client.action(create_order, scope={"order": number}) as action:
            await action.post("/orders", json=body(number, name))
    except samekey.SamekeyError as error:
        return gone_wrong(error, number, log)
    os.write(log, f"{number} {action.reference}\n".encode())
    return 0
