"""The script of the kill matrix for threads: the same 150 orders, eight at once over one client. See `order_script.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import samekey
from tests.acceptance.order_script import ACTIONS, make, options

AT_ONCE = 8


def main(
    url: str,
    store: str,
    output: str,
    name: str,
    die_at: tuple[int, int] | None,
    actions: int = ACTIONS,
    keyless: bool = False,
) -> int:
    log = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with (
        samekey.Client(url, **options(store, name, keyless=keyless)) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):

        def work(numbers: Iterator[int]) -> int:
            return next(filter(None, (make(client, number, name, log, die_at) for number in numbers)), 0)

        numbers = iter(range(actions))
        return max(pool.map(work, [numbers] * AT_ONCE))
