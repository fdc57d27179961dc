"""What child processes do with a store in PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import tenacity

import samekey
from samekey.stores import PostgresStore

create_order = samekey.Operation("create_order", scope=("order",), reference="/id")
policy = samekey.RetryPolicy(attempts=6, deadline=60, wait=tenacity.wait_fixed(0.01), budget=None)


def connect(url: str, store: PostgresStore, seconds: float = 10) -> samekey.Client:
    return samekey.Client(
        url, window=timedelta(days=1), store=store, retry=policy, timeout=httpx.Timeout(seconds), verify=False
    )


def order(client: samekey.Client, number: int) -> str:
    """Makes an order, however often that takes; returns its reference."""
    while True:
        try:
            with client.action(create_order, scope={"order": number}) as action:
                action.post("/orders", json={"order": number})
        except samekey.SamekeyError as error:
            if not error.retry_safe:
                raise
        else:
            return action.reference


def hot(url: str, address: str, schema: str, threads: int) -> int:
    """Many threads that make the same order; prints their references."""
    store = PostgresStore(address, schema=schema)
    with connect(url, store, 30) as client, ThreadPoolExecutor(threads) as pool:
        print(*sorted(set(pool.map(lambda _: order(client, 1), range(threads)))))
    store.close()
    return 0


def one(url: str, address: str, schema: str, lease: float, seconds: float) -> int:
    """One order with a lease and a time-out; prints what the caller gets."""
    store = PostgresStore(address, schema=schema, lease=timedelta(seconds=lease))
    with connect(url, store, seconds) as client:
        try:
            with client.action(create_order, scope={"order": 1}) as action:
                action.post("/orders", json={"order": 1})
        except samekey.SamekeyError as error:
            print(type(error).__name__)
        else:
            print(action.reference)
    store.close()
    return 0
