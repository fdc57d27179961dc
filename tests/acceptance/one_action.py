"""One action in a child process that kills itself at a named step boundary."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import tenacity

import samekey
from samekey.stores import SQLiteStore

BOUNDARIES = (
    "before_claim",
    "after_claim",
    "before_send",
    "after_send",
    "half_a_reply",
    "after_reply",
    "before_settle",
    "after_settle",
)
RERUN_BOUNDARIES = ("before_claim", "before_renew", "after_renew", *BOUNDARIES[2:])

# httpcore's own names for the moments of a request; the connection closes after the whole reply was read.
EVENTS = {
    "http11.send_request_headers.started": "before_send",
    "http11.receive_response_headers.started": "after_send",
    "http11.receive_response_headers.complete": "half_a_reply",
    "http11.response_closed.complete": "after_reply",
}

create_order = samekey.Operation("create_order", scope=("order",), reference="/id")
policy = samekey.RetryPolicy(attempts=3, deadline=20, wait=tenacity.wait_fixed(0.005), budget=None)


class DyingStore(SQLiteStore):
    """Kills the process around its verbs."""

    def __init__(self, path: str, at: Callable[[str], None]) -> None:
        super().__init__(path)
        self._at = at

    def claim(self, claim: Any) -> Any:
        self._at("before_claim")
        answer = super().claim(claim)
        self._at("after_claim")
        return answer

    def renew(self, renewal: Any) -> Any:
        self._at("before_renew")
        answer = super().renew(renewal)
        self._at("after_renew")
        return answer

    def settle(self, settlement: Any) -> Any:
        self._at("before_settle")
        answer = super().settle(settlement)
        self._at("after_settle")
        return answer


def connect(url: str, store: SQLiteStore, *, keyless: bool, **options: Any) -> samekey.Client:
    """A client as all cases use it. To load the certificates would take longer than all else."""
    options |= {"provider": "keyless"} if keyless else {"window": timedelta(days=1)}
    return samekey.Client(url, store=store, retry=policy, timeout=10, verify=False, **options)


def make(client: samekey.Client, order: str, **options: Any) -> str:
    """Makes the order; returns its reference, or the name of the exception."""
    try:
        with client.action(create_order, scope={"order": order}) as action:
            action.post("/orders", json={"order": order}, **options)
    except samekey.SamekeyError as error:
        return type(error).__name__
    return action.reference


def main(url: str, store: str, order: str, keyless: bool, boundary: str | None) -> int:
    """Makes the order, or dies on the way. Prints `sent` after each send, and what `make` returned."""

    def at(name: str) -> None:
        if name == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    def trace(event: str, _info: Any) -> None:
        if event == "http11.send_request_body.complete":
            print("sent")
        at(EVENTS.get(event, ""))

    with contextlib.closing(DyingStore(store, at)) as dying, connect(url, dying, keyless=keyless) as client:
        print(make(client, order, extensions={"trace": trace}))
    return 0


class ForgetfulStore(SQLiteStore):
    """Cannot write what became of an action."""

    def settle(self, settlement: Any) -> Any:
        raise samekey.StoreUnavailableError("the disk is full")


def leave_behind(url: str, store: str, orders: list[str]) -> int:
    """Leaves orders in flight under a holder that is dead afterwards; every second one had its effect."""
    with (
        contextlib.closing(ForgetfulStore(store)) as forgetful,
        connect(url, forgetful, keyless=False) as client,
        connect(
            "http://127.0.0.1:9", forgetful, keyless=False, transport=httpx.MockTransport(no_connection)
        ) as nowhere,
    ):
        nowhere.http.base_url = url  # the same origin, but nothing gets there
        for number, order in enumerate(orders):
            make(nowhere if number % 2 else client, order)
    return 0


def no_connection(request: httpx.Request) -> httpx.Response:
    """A network that is down."""
    raise httpx.ConnectError("no route to host", request=request)
