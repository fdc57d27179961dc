"""A real store, written by a real client against a real server, with secrets wherever one could be."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import tenacity

import samekey
from samekey.testing import Fault, FlakyServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from samekey import Client

CANARIES = ("CANARY-HEADER", "CANARY-BODY", "CANARY-QUERY", "CANARY-USER", "CANARY-PASSWORD", "CANARY-ANSWER")
"""What must never be shown: credentials, payloads, query values."""

SHARP = "\x1b[31m[bold]evil\x07"
"""A reference that would steer a terminal, and rich."""

create_order = samekey.Operation("create_order", scope=("customer", "cart"), reference="/id")
ship = samekey.Operation("ship_parcel", scope=("parcel",))

QUICK = samekey.RetryPolicy(attempts=3, wait=tenacity.wait_fixed(0.001), budget=None)


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as server:
        yield server


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "records" / "samekey.db"


@pytest.fixture
def connect(server: FlakyServer, place: Path) -> Callable[[], Client]:
    def build() -> Client:
        url = server.url.replace("http://", "http://CANARY-USER:CANARY-PASSWORD@")
        headers = {"Authorization": "Bearer CANARY-HEADER", "X-Token": "CANARY-HEADER"}
        window = timedelta(hours=24)
        return samekey.Client(url, window=window, store=place, retry=QUICK, headers=headers, timeout=5)

    return build


def write(client: Client, cart: str, *, customer: int = 42) -> None:
    """One order; its failure is part of the story."""
    body = {"total": "CANARY-BODY", "cart": cart}
    try:
        with client.action(create_order, scope={"customer": customer, "cart": cart}) as action:
            action.post("/orders?token=CANARY-QUERY", json=body)
    except (samekey.ActionRejectedError, samekey.OutcomeUnknownError):
        pass


@pytest.fixture
def store(server: FlakyServer, connect: Callable[[], Client], place: Path) -> str:
    """Four actions: made, made at the second try, refused, unknown."""
    with connect() as client:
        write(client, "c-1")
        server.script(Fault.COMMIT_THEN_DROP)
        write(client, "c-2")
        server.script(Fault.REJECT(422, {"error": "CANARY-ANSWER"}))
        write(client, "c-3")
        server.script(*[Fault.COMMIT_THEN_RESET] * 3)
        with (
            client.action(ship, scope={"parcel": "p-1"}) as action,
            pytest.raises(samekey.OutcomeUnknownError),
        ):
            action.put("/parcels/p-1?token=CANARY-QUERY", json={"address": "CANARY-BODY"})
    return str(place)
