"""samekey against one server: makes the order of one case and says what it was told. Also a script, to be killed.

python client.py FACTS        (a JSON object: the arguments of `make`)
"""

import json
import sys
from datetime import timedelta
from typing import Any

import httpx
import tenacity

import samekey

SECRET = "the same on every machine of this test"
RERUNS = 2
PATIENCE = 0.3
"""Seconds for which the impatient client waits; the slow handler takes 0.8."""


ANSWERS: dict[str, dict[str, Any]] = {
    "django-idempotency-key": {"in_progress": [{"status": 423}], "already_done": [{"status": 409, "id_at": "id"}]},
    "express-idempotency": {"in_progress": [{"status": 409}], "mismatch": [{"status": 417}]},
    "flask-once": {"mismatch": [{"status": 400}]},
    "idemgate": {
        "in_progress": [{"status": 409, "code_at": "error.code", "code": "idempotency_in_progress"}],
        "mismatch": [{"status": 409, "code_at": "error.code", "code": "idempotency_key_reused"}],
    },
}
"""What a server's documentation, or its source, says about its answers, where it is not what most of them do."""
USUAL: dict[str, Any] = {"in_progress": [{"status": 409}], "mismatch": [{"status": 422}]}
KEY_HEADERS = {"flask-once": "Idempotent-Key"}


def provider(server: str, *, bare: bool) -> samekey.Provider:
    """What a user declares who has read about a server; `bare`: who knows the header and the window, nothing else."""
    carrier = {"kind": "header", "name": KEY_HEADERS.get(server, "Idempotency-Key")}
    known = {} if bare else ANSWERS.get(server, USUAL)
    return samekey.Provider("interop", carrier=carrier, window=timedelta(days=1), after_5xx="resend", **known)


def make(
    url: str,
    store: str,
    order: str,
    plan: str,
    server: str,
    *,
    total: str,
    timeout: float = 5.0,
    review: bool = False,
    bare: bool = False,
) -> dict[str, Any]:
    """Makes the order, and again while the error says that a rerun is safe; returns the last word."""
    policy = samekey.RetryPolicy(attempts=6, deadline=12, wait=tenacity.wait_fixed(0.3), budget=None)
    operation = samekey.Operation(
        "create_order", scope=("order",), reference="/id", on_server_error="review" if review else "profile"
    )
    word: dict[str, Any] = {}
    for _ in range(RERUNS):
        with samekey.Client(
            url,
            provider=provider(server, bare=bare),
            store=store,
            secret=SECRET,
            retry=policy,
            timeout=httpx.Timeout(timeout),
            verify=False,
        ) as client:
            try:
                with client.action(operation, scope={"order": order}) as action:
                    action.post("/orders", json={"order": order, "total": total, "plan": plan})
            except samekey.SamekeyError as error:
                word = {"error": type(error).__name__, "by": getattr(error, "by", None), "text": str(error)}
                word |= {"reason": getattr(error, "reason", None)}
                if not error.retry_safe or isinstance(error, samekey.ActionRejectedError):
                    return word
            else:
                return {"reference": action.reference, "replayed": action.replayed}
    return word


if __name__ == "__main__":
    print(json.dumps(make(**json.loads(sys.argv[1]))))
