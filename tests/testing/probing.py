"""Probes of a `FlakyServer`, and what they saw, by name."""

from __future__ import annotations

from typing import Any

import httpx

import samekey
from samekey.testing import FlakyServer, ProbeCount, ProbeRequest, ProbeResult, ProbeVerdict, probe

AGREES, DIFFERS = ProbeVerdict.AGREES, ProbeVerdict.DIFFERS
NOT_SEEN, UNKNOWN = ProbeVerdict.NOT_SEEN, ProbeVerdict.UNKNOWN

BODY = {"total": "19.99"}
MISMATCH = {"status": 422, "code_at": "error.type", "code": "idempotency_error"}


def flaky(**facts: Any) -> samekey.Provider:
    """The profile of a `FlakyServer` with its usual options."""
    stated = {
        "mismatch": [MISMATCH],
        "in_progress": [{"status": 409}],
        "replay_marker": ("Idempotent-Replayed", "true"),
    }
    return samekey.Provider("flaky", **(stated | facts))


def order(server: FlakyServer | str, *, counted: bool = True, **fields: Any) -> ProbeRequest:
    url = server if isinstance(server, str) else server.url
    count = {"count": ProbeCount(f"{url}/effects", "/effects")} if counted else {}
    return ProbeRequest(f"{url}/orders", **({"json": BODY, "change": "/total"} | count | fields))


def client_of(handler: Any) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(handler))


def verdicts(result: ProbeResult) -> dict[str, ProbeVerdict]:
    return {fact.name: fact.verdict for fact in result.facts}


def seen(result: ProbeResult, name: str) -> str:
    return next(fact.saw for fact in result.facts if fact.name == name)


__all__ = [
    "AGREES", "BODY", "DIFFERS", "MISMATCH", "NOT_SEEN", "UNKNOWN", "client_of", "flaky", "order", "probe",
    "seen", "verdicts",
]  # fmt: skip
