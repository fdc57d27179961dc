"""The script that the kill matrix kills: 150 orders, as a user would write it.

    python -m tests.acceptance.order_script URL STORE OUTPUT NAME [ACTION LINES]

It appends `number reference` to OUTPUT for every order it got an answer to. With ACTION and LINES it kills itself after
so many executed lines of Python, of whatever module, counted from the beginning of that action.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from types import FrameType
from typing import Any

import httpx
import tenacity

import samekey

ACTIONS = 150
RUN_ME_AGAIN = 75
"""Exit code (EX_TEMPFAIL) where an action's error says that a rerun is safe."""

create_order = samekey.Operation("create_order", scope=("order",), reference="/id", volatile=("/sent_by",))


def main(url: str, store: str, output: str, name: str, die_at: tuple[int, int] | None) -> int:
    policy = samekey.RetryPolicy(attempts=6, deadline=20, wait=tenacity.wait_fixed(0.005))
    log = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with samekey.Client(
        url,
        window=timedelta(days=1),
        store=store,
        retry=policy,
        timeout=httpx.Timeout(5),
        headers={"X-Process": name},
        verify=False,  # to load the certificates takes longer than all else
    ) as client:
        for number in range(ACTIONS):
            if die_at is not None and number == die_at[0]:
                die_after(die_at[1])
            try:
                with client.action(create_order, scope={"order": number}) as action:
                    action.post(
                        "/orders",
                        json={"order": number, "total": "19.99", "sent_by": f"{name} {os.getpid()}"},
                    )
            except samekey.SamekeyError as error:
                if error.retry_safe:
                    print(error)
                    return RUN_ME_AGAIN
                raise
            os.write(log, f"{number} {action.reference}\n".encode())
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
