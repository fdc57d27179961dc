"""One order in a child process that is stopped by a signal in the middle of its request."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from samekey.stores import SQLiteStore
from tests.acceptance.one_action import connect, make


def leave(_number: int, _frame: object) -> NoReturn:
    """What a service does on SIGTERM."""
    sys.exit(143)


def main(url: str, store: str, order: str, keyless: bool) -> int:
    """Makes the order; says what stopped it."""
    signal.signal(signal.SIGTERM, leave)
    with connect(url, SQLiteStore(store), keyless=keyless) as client:
        try:
            print(make(client, order))
        except BaseException as error:
            print(type(error).__name__, *getattr(error, "__notes__", ()))
            raise
    return 0
