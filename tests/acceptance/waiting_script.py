"""One order in a child process that tells when it waits for another process."""

from __future__ import annotations

import logging

from samekey.stores import SQLiteStore
from tests.acceptance.one_action import connect, make


class Telling(logging.Handler):
    """Leaves a file where the parent can see that this process waits."""

    def __init__(self, sign: str) -> None:
        super().__init__()
        self._sign = sign

    def emit(self, record: logging.LogRecord) -> None:
        if record.__dict__["event"] == "await":
            with open(self._sign, "w", encoding="ascii"):
                pass


def main(url: str, store: str, order: str, fifo: str | None) -> int:
    """Makes the order and prints its reference; opens `fifo` when it waits for another process."""
    if fifo is not None:
        logger = logging.getLogger("samekey")
        logger.setLevel(logging.INFO)
        logger.addHandler(Telling(fifo))
    with connect(url, SQLiteStore(store), keyless=False) as client:
        print(make(client, order))
    return 0
