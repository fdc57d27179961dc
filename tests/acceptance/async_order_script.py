"""The script of the kill matrix for event loops: the same 150 orders, sixteen at once. See `order_script.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta

import anyio
import httpx
import tenacity

import samekey
from tests.acceptance.order_script import ACTIONS, RUN_ME_AGAIN, create_order, die_after

AT_ONCE = 16


def main(url: str, store: str, output: str, name: str, die_at: tuple[int, int] | None) -> int:
    return anyio.run(orders, url, store, output, name, die_at)


async def orders(url: str, store: str, output: str, name: str, die_at: tuple[int, int] | None) -> int:
    policy = samekey.RetryPolicy(attempts=6, deadline=20, wait=tenacity.wait_fixed(0.005))
    log = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    codes = [0]
    async with samekey.AsyncClient(
        url,
        window=timedelta(days=1),
        store=store,
        retry=policy,
        timeout=httpx.Timeout(5),
        headers={"X-Process": name},
        verify=False,  # to load the certificates takes longer than all else
    ) as client:

        async def work(numbers: Iterator[int]) -> None:
            for number in numbers:
                if die_at is not None and number == die_at[0]:
                    die_after(die_at[1])
                try:
                    async with client.action(create_order, scope={"order": number}) as action:
                        await action.post(
                            "/orders",
                            json={"order": number, "total": "19.99", "sent_by": f"{name} {os.getpid()}"},
                        )
                except samekey.SamekeyError as error:
                    if not error.retry_safe:
                        raise
                    print(error)
                    codes.append(RUN_ME_AGAIN)
                    return
                os.write(log, f"{number} {action.reference}\n".encode())

        async with anyio.create_task_group() as tasks:
            numbers = iter(range(ACTIONS))
            for _ in range(AT_ONCE):
                tasks.start_soon(work, numbers)
    return max(codes)
