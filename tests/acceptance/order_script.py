"""The script that the kill matrix kills: 150 orders, as a user would write it.

    python -m tests.acceptance.order_script URL STORE OUTPUT NAME [ACTION LINES]

It appends `number reference` to OUTPUT for every order it got an answer to, and `number review` where a person must look.
With ACTION and LINES it kills itself after so many executed lines of Python, of whatever module, counted from the beginning
of that action.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from types import FrameType
from typing import Any

import httpx
import tenacity

import samekey

ACTIONS = 150
RUN_ME_AGAIN = 75
"""Exit code (EX_TEMPFAIL) where an action's error says that a rerun is safe."""
REVIEW = "review"
"""Instead of a reference: a person must look."""

create_order = samekey.Operation("create_order", scope=("order",), reference="/id", volatile=("/sent_by",))
policy = samekey.RetryPolicy(attempts=6, deadline=20, wait=tenacity.wait_fixed(0.005))


def options(store: str, name: str, *, keyless: bool) -> dict[str, Any]:
    """Of a client, beside its URL."""
    api: dict[str, Any] = {"provider": "keyless"} if keyless else {"window": timedelta(days=1)}
    return {
        **api,
        "store": store,
        "retry": policy,
        "timeout": httpx.Timeout(5),
        "headers": {"X-Process": name},
        "verify": False,  # to load the certificates takes longer than all else
    }


def body(number: int, name: str) -> Mapping[str, Any]:
    return {"order": number, "total": "19.99", "sent_by": f"{name} {os.getpid()}"}


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
    with samekey.Client(url, **options(store, name, keyless=keyless)) as client:
        for number in range(actions):
            code = make(client, number, name, log, die_at)
            if code:
                return code
    return 0


def make(client: samekey.Client, number: int, name: str, log: int, die_at: tuple[int, int] | None) -> int:
    """Makes an order; returns an exit code."""
    if die_at is not None and number == die_at[0]:
        die_after(die_at[1])
    try:
        with client.action(create_order, scope={"order": number}) as action:
            action.post("/orders", json=body(number, name))
    except samekey.SamekeyError as error:
        return gone_wrong(error, number, log)
    os.write(log, f"{number} {action.reference}\n".encode())
    return 0


def gone_wrong(error: samekey.SamekeyError, number: int, log: int) -> int:
    """What a script makes of an error; returns an exit code."""
    if error.retry_safe:
        print(error)
        return RUN_ME_AGAIN
    if not isinstance(error, samekey.NeedsReviewError):
        raise error
    os.write(log, f"{number} {REVIEW}\n".encode())
    return 0


def die_after(lines: int) -> None:
    left = lines

    def count(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    sys.settrace(count)


if __name__ == "__main__":
    instant = (int(sys.argv[5]), int(sys.argv[6])) if len(sys.argv) > 5 else None
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], instant))
