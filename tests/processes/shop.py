"""A program that many processes share: its clients are made at import, and one of them is used before there are others.

python -m tests.processes.shop METHOD     a pool of multiprocessing, whose processes start by METHOD
gunicorn --preload tests.processes.shop   a server with pre-forked workers
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import samekey

URL, STORE, ASYNC = os.environ["SHOP_API"], os.environ["SHOP_STORE"], os.environ["SHOP_CLIENT"] == "async"
NUMBERS = range(12)

create_order = samekey.Operation("create_order", scope=("order",), reference="/id")
client = samekey.Client(URL, window=timedelta(days=1), store=STORE)
async_client = samekey.AsyncClient(URL, window=timedelta(days=1), store=STORE)

events: list[str] = []
"""What happened to this process's connections."""
os.register_at_fork(after_in_child=events.clear)  # what happened before is its parent's


def trace(name: str, _info: object) -> None:
    events.append(name)


async def async_trace(name: str, _info: object) -> None:
    events.append(name)


async def order_async(number: int) -> str | None:
    async with async_client.action(create_order, scope={"order": number}) as action:
        await action.post("/orders", json={"order": number}, extensions={"trace": async_trace})
    return action.reference


def order(number: int) -> tuple[int, str | None, int, bool]:
    """Makes an order; tells its number, its reference, who made it, and whether he opened the connection that he used."""
    if ASYNC:
        reference = asyncio.run(order_async(number))
    else:
        with client.action(create_order, scope={"order": number}) as action:
            action.post("/orders", json={"order": number}, extensions={"trace": trace})
        reference = action.reference
    sent = any("send_request_headers.started" in name for name in events)
    return number, reference, os.getpid(), not sent or "connection.connect_tcp.complete" in events


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """A request for /N makes order N."""
    number = int(environ["PATH_INFO"].strip("/"))
    (Path(STORE).parent / f"worker-{number}").write_text(str(os.getpid()))
    try:
        answer, status = json.dumps(order(number)), "200 OK"
    except Exception:  # noqa: BLE001 - the test shall see it
        answer, status = traceback.format_exc(), "500 Internal Server Error"
    start_response(status, [("content-type", "text/plain"), ("content-length", str(len(answer.encode())))])
    return [answer.encode()]


def main(method: str) -> None:
    made = [order(0)]
    with multiprocessing.get_context(method).Pool(4) as pool:
        made += pool.map(order, [*NUMBERS, *NUMBERS], chunksize=1)
    print(json.dumps([*made, order(0)]))


if __name__ == "__main__":
    main(sys.argv[1])
