"""One action in a child process that kills itself at a named step boundary."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

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
policy = samekey.RetryPolicy(attempts=3, deadline=20, wait=tenacity.wait_fixed(0.005))


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


def main(url: str, store: str, order: str, keyless: bool, boundary: str | None) -> int:
    """Makes the order, or dies on the way. Prints `sent` before each send, and the reference or the exception."""

    def at(name: str) -> None:
        if name == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    def trace(event: str, _info: Any) -> None:
        if event == "http11.send_request_body.complete":
            print("sent")
        at(EVENTS.get(event, ""))

    declared: dict[str, Any] = {"provider": "keyless"} if keyless else {"window": timedelta(days=1)}
    with (
        contextlib.closing(DyingStore(store, at)) as dying,
        # To load the certificates would take longer than all else.
        samekey.Client(url, store=dying, retry=policy, timeout=10, verify=False, **declared) as client,
    ):
        try:
            with client.action(create_order, scope={"order": order}) as action:
                action.post("/orders", json={"order": order}, extensions={"trace": trace})
            print("reference", action.reference)
        except samekey.SamekeyError as error:
            print("error", type(error).__name__)
    return 0
