"""What the children of these tests do; each is a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx

import samekey
from samekey.stores import RedisStore
from tests.acceptance.one_action import make, policy

SHORT_LEASE = timedelta(seconds=1.5)
SHORT = httpx.Timeout(0.3)
"""Time-outs of an attempt, which add up to less than the lease."""


def one_of(url: str, store: str, workers: int) -> int:
    """Makes the same order in so many threads at once; prints what each was told."""
    with (
        contextlib.closing(RedisStore(store)) as opened,
        samekey.Client(url, window=timedelta(days=1), store=opened, retry=policy, timeout=10, verify=False) as client,
        ThreadPoolExecutor(workers) as pool,
    ):
        for told in pool.map(lambda _: make(client, "hot"), range(workers)):
            print(told)
    return 0


class Pausing(RedisStore):
    """Stops the process, as a SIGSTOP from outside would, around one of its verbs."""

    def __init__(self, url: str, at: Callable[[str], None]) -> None:
        super().__init__(url, lease=SHORT_LEASE)
        self._at = at

    def claim(self, claim: Any) -> Any:
        answer = super().claim(claim)
        self._at("after_claim")
        return answer

    def settle(self, settlement: Any) -> Any:
        self._at("before_settle")
        return super().settle(settlement)


def paused(url: str, store: str, where: str) -> int:
    """Makes the order, and stops on the way until somebody says SIGCONT."""

    def at(name: str) -> None:
        if name == where:
            print("stopping", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)

    with contextlib.closing(Pausing(store, at)) as opened, connect(url, opened) as client:
        print(make(client, "paused"))
    return 0


def connect(url: str, store: RedisStore) -> samekey.Client:
    """A client whose attempts are shorter than the short lease."""
    return samekey.Client(url, window=timedelta(days=1), store=store, retry=policy, timeout=SHORT, verify=False)
