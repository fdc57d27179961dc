"""One order by a user who may not do everything; root may, so a test that runs as root gives that up."""

from __future__ import annotations

import os

import samekey
import samekey.client  # while it may still read the code
from samekey.stores import SQLiteStore
from tests.acceptance.one_action import connect, create_order

NOBODY = 65534


def main(url: str, store: str) -> int:
    """Makes the order; prints its reference, or the exception."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    client = connect(url, SQLiteStore(store), keyless=False)
    try:
        with client.action(create_order, scope={"order": "1"}) as action:
            action.post("/orders", json={"order": "1"})
        print(action.reference)
    except samekey.SamekeyError as error:
        print(f"{type(error).__name__}: {error}")
    return 0
