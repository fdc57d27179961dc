"""What one attempt means: every status, alone or not, for three kinds of API and four kinds of body."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from samekey._core.classify import Kind, judge
from samekey._core.model import Reply
from samekey._core.plan import Contract
from tests.core.driving import GENERIC, HTML, JSON, KEYLESS, STRIPE, T0

PROFILES = {"generic": GENERIC, "stripe-v1": STRIPE, "keyless": KEYLESS}
BODIES = {
    "json": (JSON, b"{}"),
    "problem": ((("content-type", "application/problem+json"),), b"{}"),
    "html": (HTML, b"<html>"),
    "text": ((("content-type", "text/plain"),), b"ok"),
    "nothing": ((), b""),
}


@dataclass(frozen=True)
class Meaning:
    """What the test expects of a judgement."""

    kind: Kind
    resend: bool = False
    review: str = ""


IN_FRONT = {401, 407, 421, 425, 428, 431}
EDGE = {403, 404, 405, 413, 415}


def expected(profile: str, status: int, *, alone: bool, body: str) -> Meaning:
    """The rules of design and rules.md, written a second time."""
    if 200 <= status <= 299:
        if body == "html":
            return Meaning(Kind.UNKNOWN, resend=True)
        return Meaning(Kind.SUCCESS)
    if status in {307, 308} and alone:
        return Meaning(Kind.IN_FRONT)
    if status < 400:
        return Meaning(Kind.UNKNOWN)
    if status >= 500:
        return Meaning(Kind.UNKNOWN, resend=profile != "keyless")
    if status == 408:
        return Meaning(Kind.UNKNOWN, resend=True)
    return expected_refusal(profile, status, alone=alone, from_api=body in {"json", "problem"})


def expected_refusal(profile: str, status: int, *, alone: bool, from_api: bool) -> Meaning:
    """What a 4xx other than 408 means."""
    if alone:
        if status == 429:
            return Meaning(Kind.IN_FRONT, resend=True)
        if status in IN_FRONT or (status in EDGE and not from_api and profile != "keyless"):
            return Meaning(Kind.IN_FRONT)
        return Meaning(Kind.REFUSED)
    if profile == "stripe-v1" and status == 402:
        return Meaning(Kind.REFUSED)
    if status in {409, 423, 425, 429}:
        return Meaning(Kind.UNKNOWN, resend=True)
    if status in IN_FRONT:
        return Meaning(Kind.UNKNOWN)
    if status in {400, 422} and profile != "stripe-v1":
        return Meaning(Kind.UNKNOWN, review="server_conflict")
    return Meaning(Kind.UNKNOWN, review="refused_after_unknown")


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "another open"])
@pytest.mark.parametrize("profile", PROFILES)
def test_every_status_means_what_the_rules_say(profile: str, alone: bool, body: str) -> None:
    headers, content = BODIES[body]
    wrong = {}
    for status in range(100, 600):
        reply = Reply(status, headers, content)
        found = judge(PROFILES[profile], Contract(), reply, alone=alone, json_sent=True, now=T0)
        meaning = Meaning(found.kind, found.resend, found.review)
        if meaning != expected(profile, status, alone=alone, body=body):
            wrong[status] = meaning
    assert wrong == {}


ABOUT_THE_KEY = (
    b'{"error": {"code": "idempotency_key_in_use"}}',
    b'{"type": "https://api.example/errors/IDEMPOTENCY-conflict"}',
    b"Keys for idempotent requests can only be used with the same parameters they were first used with.",
)
RUNNING = (b"An identical request is already in progress.", b'{"error": "this order is being processed"}')
ABOUT_THE_REQUEST = (
    b'{"detail": "a customer with this e-mail address exists"}',
    b'{"detail": [{"loc": ["body", "total"], "msg": "Input should be a valid decimal"}]}',
    b'{"message": "Idempotency-Key header is missing"}',
    b'{"detail": [{"loc": ["header", "idempotency-key"], "msg": "Field required"}]}',
)


@pytest.mark.parametrize("body", ABOUT_THE_KEY)
@pytest.mark.parametrize("status", [400, 409, 417, 422, 423])
def test_a_refusal_of_the_key_itself_is_unknown_where_nobody_has_declared_what_it_means(
    status: int, body: bytes
) -> None:
    """Another machine with the same secret may have done it; "refused, nothing happened" would be a guess."""
    found = judge(GENERIC, Contract(), Reply(status, JSON, body), alone=True, json_sent=True, now=T0)
    running = status in {409, 423}
    assert (found.kind, found.resend, found.review) == (Kind.UNKNOWN, running, "" if running else "key_refused")
    for profile in (KEYLESS, STRIPE):
        known = judge(profile, Contract(), Reply(status, JSON, body), alone=True, json_sent=True, now=T0)
        assert known.kind is not Kind.UNKNOWN


@pytest.mark.parametrize("body", RUNNING)
def test_a_409_that_speaks_of_a_running_request_is_asked_again_under_the_key(body: bytes) -> None:
    found = judge(GENERIC, Contract(), Reply(409, JSON, body), alone=True, json_sent=True, now=T0)
    assert (found.kind, found.resend, found.review) == (Kind.UNKNOWN, True, "")
    other = judge(GENERIC, Contract(), Reply(422, JSON, body), alone=True, json_sent=True, now=T0)
    assert other.kind is Kind.REFUSED


@pytest.mark.parametrize("body", ABOUT_THE_REQUEST)
@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_refusal_of_the_request_stays_one(status: int, body: bytes) -> None:
    found = judge(GENERIC, Contract(), Reply(status, JSON, body), alone=True, json_sent=True, now=T0)
    assert found.kind is Kind.REFUSED


@pytest.mark.parametrize("status", [0, 99, 600, 999])
@pytest.mark.parametrize("alone", [True, False])
def test_a_status_that_does_not_exist_is_unknown(status: int, alone: bool) -> None:
    found = judge(GENERIC, Contract(), Reply(status, JSON, b"{}"), alone=alone, json_sent=True, now=T0)
    assert (found.kind, found.resend, found.review) == (Kind.UNKNOWN, False, "")
