"""What one attempt means: the laws, the codes, the hints and the markers."""

from __future__ import annotations

import json
from dataclasses import replace
from email.utils import format_datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey._core.classify import Judgement, Kind, judge, replayed
from samekey._core.model import Failure, Reply
from samekey._core.plan import Contract, Detector, Profile
from tests.core.driving import GENERIC, HTML, JSON, KEYLESS, STRIPE, T0, answer, seconds

MARKED = (("idempotent-replayed", "true"),)
OnServerError = Literal["profile", "resend", "review"]

profiles = st.sampled_from(
    [GENERIC, STRIPE, KEYLESS, replace(GENERIC, after_timeout=False), replace(GENERIC, accepted=False)]
)
replies = st.builds(
    Reply,
    st.integers(100, 599),
    st.sampled_from([JSON, HTML, (), (*JSON, *MARKED), (*JSON, ("stripe-should-retry", "true"))]),
    st.sampled_from([b"", b"{}", b"<html>", b"{", b'{"error":{"code":"idempotency_key_in_use"}}']),
    st.booleans(),
)
failures = st.builds(Failure, st.booleans(), st.just("broken"), st.booleans())
contracts = st.sampled_from([Contract(on_server_error=rule) for rule in ("profile", "resend", "review")])


def look(
    reply: Reply | Failure, profile: Profile = GENERIC, *, alone: bool = True, json_sent: bool = True,
    on_server_error: OnServerError = "profile",
) -> Judgement:  # fmt: skip
    contract = Contract(on_server_error=on_server_error)
    return judge(profile, contract, reply, alone=alone, json_sent=json_sent, now=T0)


def code(status: int, value: Any) -> Reply:
    return answer(status, json.dumps(value).encode())


# The laws


@given(profiles, contracts, failures, st.booleans())
def test_without_a_reply_only_the_trace_proves_that_nothing_was_sent(
    profile: Profile, contract: Contract, failure: Failure, alone: bool
) -> None:
    found = judge(profile, contract, failure, alone=alone, json_sent=True, now=T0)
    assert found.kind is (Kind.UNKNOWN if failure.sent else Kind.NOT_SENT)


@given(profiles, contracts, st.one_of(replies, failures), st.booleans(), st.booleans())
def test_an_attempt_is_a_refusal_only_after_a_whole_4xx(
    profile: Profile, contract: Contract, answered: Reply | Failure, alone: bool, json_sent: bool
) -> None:
    found = judge(profile, contract, answered, alone=alone, json_sent=json_sent, now=T0)
    if found.kind in {Kind.REFUSED, Kind.IN_FRONT}:
        assert isinstance(answered, Reply)
        assert 300 <= answered.status < 500
    if found.kind is Kind.SUCCESS:
        assert isinstance(answered, Reply)
        assert 200 <= answered.status < 400


@given(profiles, contracts, replies)
def test_with_another_attempt_open_nothing_is_ever_said_to_be_refused_in_front(
    profile: Profile, contract: Contract, reply: Reply
) -> None:
    assert judge(profile, contract, reply, alone=False, json_sent=True, now=T0).kind is not Kind.IN_FRONT


@given(profiles, contracts, st.one_of(replies, failures), st.booleans())
def test_what_stops_for_review_is_not_sent_again(
    profile: Profile, contract: Contract, answered: Reply | Failure, alone: bool
) -> None:
    found = judge(profile, contract, answered, alone=alone, json_sent=True, now=T0)
    assert not (found.review and found.resend)


@given(replies)
def test_an_interrupted_attempt_is_not_followed_by_another(reply: Reply) -> None:
    assert not look(Failure(sent=True, summary="", interrupted=True)).resend
    assert not look(Failure(sent=False, summary="", interrupted=True)).resend


# Codes of the profile


def test_a_code_counts_before_the_status() -> None:
    in_use = code(409, {"error": {"code": "idempotency_key_in_use"}})
    for alone in (True, False):
        found = look(in_use, STRIPE, alone=alone)
        assert (found.kind, found.resend, found.running) == (Kind.IN_PROGRESS, True, True)
    assert look(code(409, {"error": {"code": "other"}}), STRIPE).kind is Kind.REFUSED


def test_a_detector_without_a_code_needs_the_status_only_and_without_a_status_the_code_only() -> None:
    by_status = replace(GENERIC, in_progress=(Detector(409),))
    by_code = replace(GENERIC, in_progress=(Detector(None, "code", "busy"),))
    assert look(code(409, {}), by_status).kind is Kind.IN_PROGRESS
    assert look(code(400, {"code": "busy"}), by_code).kind is Kind.IN_PROGRESS
    assert look(code(400, {"code": "x"}), by_code).kind is Kind.REFUSED


def test_other_data_under_our_key_is_a_conflict_for_a_first_send_and_a_contradiction_for_a_resend() -> None:
    reply = code(400, {"error": {"type": "idempotency_error"}})
    first, later = look(reply, STRIPE), look(reply, STRIPE, alone=False)
    assert (first.kind, first.review) == (Kind.MISMATCH, "key_reused_by_server")
    assert (later.kind, later.review) == (Kind.UNKNOWN, "server_conflict")


# Success


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(204, (), b"", framed=False), Kind.SUCCESS),
        (Reply(205, (), b"", framed=False), Kind.SUCCESS),
        (Reply(200, (), b"", framed=True), Kind.SUCCESS),
        (Reply(200, (), b"", framed=False), Kind.UNKNOWN),
        (Reply(200, JSON, b'{"id":', framed=False), Kind.UNKNOWN),
        (Reply(200, JSON, b'{"id":', framed=True), Kind.UNKNOWN),
        (Reply(200, JSON, b"{}", framed=False), Kind.SUCCESS),
        (Reply(200, HTML, b"<html>"), Kind.UNKNOWN),
        (Reply(202, JSON, b"{}"), Kind.SUCCESS),
    ],
)
def test_a_2xx_is_a_success_only_if_it_is_whole(reply: Reply, kind: Kind) -> None:
    found = look(reply)
    assert found.kind is kind
    assert found.resend is (kind is Kind.UNKNOWN)
    assert not look(reply, replace(GENERIC, after_timeout=False)).resend


def test_a_web_page_is_a_fine_answer_to_what_was_no_json() -> None:
    assert look(Reply(200, HTML, b"<html>"), json_sent=False).kind is Kind.SUCCESS


def test_202_and_303_are_what_the_profile_says() -> None:
    waiting = look(Reply(202, JSON, b"{}"), replace(GENERIC, accepted=False))
    assert (waiting.kind, waiting.running, waiting.resend) == (Kind.IN_PROGRESS, True, True)
    assert look(Reply(303, (), b""), replace(GENERIC, see_other=True)).kind is Kind.SUCCESS
    assert look(Reply(303, (), b"")).kind is Kind.UNKNOWN


# 5xx


@pytest.mark.parametrize(
    ("after_5xx", "rule", "resend"),
    [
        ("resend", "profile", True),
        ("review", "profile", False),
        (None, "profile", False),
        (None, "resend", True),
        ("review", "resend", True),
        ("resend", "review", False),
    ],
)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_after_a_5xx_a_resend_needs_the_profiles_or_the_users_word(
    after_5xx: Literal["resend", "review"] | None, rule: OnServerError, resend: bool, status: int
) -> None:
    found = look(answer(status), replace(GENERIC, after_5xx=after_5xx), on_server_error=rule)
    assert (found.kind, found.resend) == (Kind.UNKNOWN, resend)
    assert found.review == ("" if resend else "server_error")


def test_a_stored_5xx_is_not_asked_for_again() -> None:
    found = look(Reply(500, (*JSON, *MARKED), b"{}"), STRIPE, on_server_error="resend")
    assert (found.resend, found.review) == (False, "server_error")


# Refusals with another attempt open


def test_a_replayed_refusal_is_the_answer_that_is_stored_under_the_key() -> None:
    reply = Reply(404, (*JSON, *MARKED), b"{}")
    assert look(reply, STRIPE, alone=False).kind is Kind.REFUSED
    assert look(reply, GENERIC, alone=False).kind is Kind.UNKNOWN


# Markers and hints


@pytest.mark.parametrize(("value", "is_replay"), [("true", True), (" TRUE ", True), ("false", False), ("", False)])
def test_a_replay_marker_is_read_by_its_value(value: str, is_replay: bool) -> None:
    assert replayed(STRIPE, Reply(200, (("idempotent-replayed", value),), b"")) is is_replay


def test_no_marker_proves_nothing() -> None:
    assert not replayed(STRIPE, answer(200))
    assert not replayed(GENERIC, Reply(200, MARKED, b""))


@pytest.mark.parametrize(
    ("status", "alone", "said", "kind", "resend"),
    [
        (400, True, "true", Kind.IN_FRONT, True),
        (400, True, "false", Kind.REFUSED, False),
        (400, True, "maybe", Kind.REFUSED, False),
        (429, True, "false", Kind.IN_FRONT, False),
        (429, True, "true", Kind.IN_FRONT, True),
        (500, True, "false", Kind.UNKNOWN, False),
        (500, True, "true", Kind.UNKNOWN, True),
        (402, False, "true", Kind.UNKNOWN, True),
        (200, True, "true", Kind.SUCCESS, False),
    ],
)
def test_the_apis_word_on_retries_counts_before_the_status(
    status: int, alone: bool, said: str, kind: Kind, resend: bool
) -> None:
    reply = answer(status, headers=(*JSON, ("stripe-should-retry", said)))
    found = look(reply, STRIPE, alone=alone)
    assert (found.kind, found.resend) == (kind, resend)


def test_the_apis_word_counts_only_where_the_profile_knows_it() -> None:
    assert look(answer(400, headers=(*JSON, ("stripe-should-retry", "true")))).kind is Kind.REFUSED


def test_a_hint_is_handed_on_where_a_resend_is_in_question() -> None:
    assert look(answer(503, headers=(("retry-after", "7"),))).hint == 7
    assert look(answer(429, headers=(("retry-after", "7"),))).hint == 7
    assert look(answer(200, headers=(("retry-after", "7"), *JSON))).hint is None


# Clocks


@pytest.mark.parametrize(("off", "skewed"), [(0, False), (119, False), (121, True), (-3600, True)])
def test_a_reply_from_another_time_is_skewed(off: float, skewed: bool) -> None:
    date = ("date", format_datetime(T0 + seconds(off), usegmt=True))
    assert look(answer(503, headers=(date,))).skewed is skewed
    assert look(answer(429, headers=(date,))).skewed is False
    assert look(answer(200, headers=(date, *JSON))).skewed is False


# Time-outs of an API that releases keys after effects


def test_a_time_out_is_resent_only_if_the_profile_allows_it() -> None:
    assert look(Failure(sent=True, summary="x")).resend
    careful = replace(GENERIC, after_timeout=False)
    assert not look(Failure(sent=True, summary="x"), careful).resend
    assert look(Failure(sent=False, summary="x"), careful).resend
    assert not look(answer(408), careful).resend
