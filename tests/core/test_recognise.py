"""What a profile recognises in an answer: the pieces, and that no answer whatever makes it fail."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from samekey._core.classify import Kind, judge
from samekey._core.model import Reply, Result
from samekey._core.plan import Contract, Detector, Profile
from samekey._core.reading import MAX_READ, has_aws_code, text_at
from samekey._core.run import LookedUp
from samekey._core.states import Status
from samekey._core.steps import LookUp
from samekey.providers import NAMES, load
from tests.core.driving import DAY, GENERIC, TIMEOUT, answer, plan, world

NOW = datetime(2026, 11, 24, tzinfo=UTC)
PROFILES = [load(name).profile() for name in NAMES]
XML = b"<Response><Errors><Error><Code>IdempotentParameterMismatch</Code></Error></Errors></Response>"


def kind_of(profile: Profile, reply: Reply, *, alone: bool = False) -> Kind:
    return judge(profile, Contract(), reply, alone=alone, json_sent=True, now=NOW).kind


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
codes = st.sampled_from(["error", "errors", "code", "type", "name", "details", "issue", "data", "userErrors", "__type"])
near = st.recursive(
    st.none() | st.integers() | st.text() | codes,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(codes, inner, max_size=4),
)
bodies = st.binary() | st.text().map(str.encode) | (json_values | near).map(lambda value: json.dumps(value).encode())


@given(
    st.sampled_from(PROFILES), st.integers(100, 599), bodies, st.booleans(), st.sampled_from(["", "application/json"])
)
@example(PROFILES[0], 409, b"[" * 100_000, False, "application/json")
@example(PROFILES[0], 409, "ü".encode("utf-16"), False, "application/json")
def test_no_answer_makes_a_profile_fail(profile: Profile, status: int, body: bytes, alone: bool, media: str) -> None:
    reply = Reply(status, (("content-type", media),), body)
    assert isinstance(kind_of(profile, reply, alone=alone), Kind)


@pytest.mark.parametrize("profile", PROFILES, ids=NAMES)
@pytest.mark.parametrize("body", [b'"' + b"x" * 10_000_000 + b'"', b'{"a":' * 50_000 + b"1" + b"}" * 50_000])
def test_neither_size_nor_depth_makes_a_profile_fail(profile: Profile, body: bytes) -> None:
    assert isinstance(kind_of(profile, Reply(422, (("content-type", "application/json"),), body)), Kind)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(400, (("x-amzn-errortype", "Mismatch:http://internal.amazon.com/"),), b""),
        Reply(400, (), b'{"__type": "com.amazonaws.dynamodb.v20120810#Mismatch"}'),
        Reply(400, (), b'{"__type": "Mismatch"}'),
        Reply(400, (), b"<Response><Errors><Error><Code>Mismatch</Code></Error></Errors></Response>"),
    ],
)
def test_an_aws_code_is_found_wherever_a_protocol_has_it(reply: Reply) -> None:
    assert has_aws_code(reply, "Mismatch")
    assert not has_aws_code(reply, "Other")


@pytest.mark.parametrize("body", [b"", b"[]", b'"Mismatch"', b"<Code>Mism", b"{}", b'{"__type": ["Mismatch"]}'])
def test_what_only_looks_like_an_aws_code_is_none(body: bytes) -> None:
    assert not has_aws_code(Reply(400, (), body), "Mismatch")
    assert not has_aws_code(Reply(400, (), b"<Code>Mismatch</Code>" + b" " * MAX_READ), "Mismatch")


def test_a_text_is_found_by_its_path_and_a_number_is_its_digits() -> None:
    reply = Reply(
        409, (), b'{"errors": [{"links": {}}, {"links": {"id": 5}}, {"links": {"id": "p_1"}}], "odd": "a\\u0000b"}'
    )
    assert text_at(reply, "errors.*.links.id") == "5"
    assert text_at(reply, "errors.2.links.id") == "p_1"
    assert text_at(reply, "errors.0.links.id") is None
    assert text_at(reply, "odd") is None
    assert text_at(Reply(409, (), b'{"id": "x"}' + b" " * MAX_READ), "id") is None


def test_all_that_a_detector_names_must_be_so() -> None:
    detector = Detector(400, "code", "x", header=("X-Result", "Rejected"))
    profile = Profile(name="p", mismatch=(detector,))
    header = (("x-result", "rejected"),)
    assert kind_of(profile, Reply(400, header, b'{"code": "x"}'), alone=True) is Kind.MISMATCH
    assert kind_of(profile, Reply(400, (), b'{"code": "x"}'), alone=True) is Kind.REFUSED
    assert kind_of(profile, Reply(422, header, b'{"code": "x"}'), alone=True) is Kind.REFUSED
    assert kind_of(profile, Reply(400, header, b'{"code": "y"}'), alone=True) is Kind.REFUSED


def test_what_did_nothing_now_says_nothing_about_an_earlier_send() -> None:
    for field in ("expired", "unavailable"):
        profile = Profile(name="p", **{field: (Detector(412),)})  # type: ignore[arg-type]
        assert kind_of(profile, Reply(412, (), b""), alone=True) is Kind.IN_FRONT
        assert kind_of(profile, Reply(412, (), b""), alone=False) is Kind.UNKNOWN


def test_a_minimum_wait_counts_while_the_api_says_that_it_works() -> None:
    profile = Profile(name="p", in_progress=(Detector(409),), min_wait_seconds=30.0)

    def hint(status: int, after: str) -> float | None:
        reply = Reply(status, (("retry-after", after),), b"")
        return judge(profile, Contract(), reply, alone=False, json_sent=True, now=NOW).hint

    assert [hint(409, "1"), hint(409, "x"), hint(409, "99"), hint(429, "1")] == [30.0, 30.0, 99.0, 1.0]


# an answer that says: it had happened

DONE = Profile(
    name="p", window_seconds=DAY, already_done=(Detector(409, "error.reason", "conflict", id_at="error.links.id"),)
)
NAMES_IT = answer(409, b'{"error": {"reason": "conflict", "links": {"id": "pay_1"}}}')
NAMES_NOTHING = answer(409, b'{"error": {"reason": "conflict"}}')
READ = LookedUp("found", "GET /payments/pay_1", Result(200, (), b'{"id":"pay_1"}', "pay_1"))
NOT_READ = LookedUp("inconclusive", "GET /payments/pay_1: HTTP 500")


def test_it_had_happened_is_a_success_and_the_object_is_read() -> None:
    there = world(TIMEOUT, NAMES_IT, look_ups=[READ])
    done = there.run(plan(DONE))
    assert done.error is None
    assert there.names[-3:] == ["LookUp", "Settle", "Done"]
    assert (there.row.status, there.row.response_reference) == (Status.SUCCEEDED, "pay_1")
    assert there.row.response_body == b'{"id":"pay_1"}'


@pytest.mark.parametrize(("reply", "reference"), [(NAMES_IT, "pay_1"), (NAMES_NOTHING, None)])
def test_it_stays_a_success_where_the_object_cannot_be_read(reply: Reply, reference: str | None) -> None:
    there = world(reply, look_ups=[NOT_READ])
    done = there.run(plan(DONE))
    assert done.error is None
    assert (there.row.status, there.row.response_reference) == (Status.SUCCEEDED, reference)
    assert (there.row.response_status, there.row.response_body) == (None, None)


def test_it_stays_a_success_where_the_read_is_interrupted() -> None:
    there = world(NAMES_IT, interrupt={LookUp})
    there.run(plan(DONE))
    assert (there.row.status, there.row.response_reference) == (Status.SUCCEEDED, "pay_1")


def test_other_answers_of_that_status_are_what_they_were() -> None:
    assert kind_of(DONE, answer(409, b'{"error": {"reason": "other"}}'), alone=True) is Kind.REFUSED
    assert kind_of(DONE, NAMES_IT, alone=True) is Kind.DONE_BEFORE


SHOPIFY = load("shopify-graphql").profile()
ERRORS = [{"message": "no"}]


@pytest.mark.parametrize(
    ("status", "body", "alone", "kind", "review"),
    [
        (200, {"data": {"pay": {"id": 1}}}, True, Kind.SUCCESS, ""),
        (200, {"data": {"pay": {"id": 1}}, "errors": []}, True, Kind.SUCCESS, ""),
        (200, {"errors": ERRORS}, True, Kind.IN_FRONT, ""),
        (200, {"errors": ERRORS}, False, Kind.UNKNOWN, ""),
        (200, {"errors": ERRORS, "data": None}, True, Kind.UNKNOWN, "server_error"),
        (200, {"errors": ERRORS, "data": {"pay": None}}, False, Kind.UNKNOWN, "server_error"),
        (200, {"data": {"pay": {"userErrors": []}}}, True, Kind.SUCCESS, ""),
        (200, {"data": {"pay": {"userErrors": [{"message": "no"}]}}}, True, Kind.REFUSED, ""),
        (200, {"data": {"pay": {"userErrors": [{"message": "no"}]}}}, False, Kind.UNKNOWN, "refused_after_unknown"),
        (200, [], True, Kind.SUCCESS, ""),
        (400, {"errors": ERRORS}, True, Kind.REFUSED, ""),
        (500, {"errors": ERRORS}, True, Kind.UNKNOWN, "server_error"),
    ],
)
def test_graphql_has_its_errors_in_the_body(status: int, body: object, alone: bool, kind: Kind, review: str) -> None:
    reply = answer(status, json.dumps(body).encode())
    found = judge(SHOPIFY, Contract(), reply, alone=alone, json_sent=True, now=NOW)
    assert (found.kind, found.review) == (kind, review)


def test_errors_in_a_body_are_graphqls_alone() -> None:
    assert kind_of(GENERIC, answer(200, b'{"errors": [1]}')) is Kind.SUCCESS


def test_a_graphql_error_with_data_is_sent_again_by_the_contracts_word() -> None:
    reply = answer(200, b'{"errors": [1], "data": null}')
    found = judge(SHOPIFY, Contract(on_server_error="resend"), reply, alone=True, json_sent=True, now=NOW)
    assert (found.kind, found.resend, found.review) == (Kind.UNKNOWN, True, "")


@pytest.mark.parametrize(("detector", "summary"), [(("status", "dead"), "HTTP 200 (dead)"), ((None, None), "HTTP 200")])
def test_what_failed_for_good_is_refused_also_after_other_attempts(
    detector: tuple[str | None, str | None], summary: str
) -> None:
    profile = Profile(name="x", failed=(Detector(200, *detector),))
    found = judge(profile, Contract(), answer(200, b'{"status": "dead"}'), alone=False, json_sent=True, now=NOW)
    assert (found.kind, found.summary) == (Kind.REFUSED, summary)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_5xx_is_never_a_refusal_whatever_its_body_says(status: int) -> None:
    anywhere = (Detector(None, "status", "dead"),)
    profile = Profile(name="x", failed=anywhere, refused=anywhere)
    assert kind_of(profile, answer(status, b'{"status": "dead"}'), alone=True) is Kind.UNKNOWN
    assert kind_of(profile, answer(404, b'{"status": "dead"}')) is Kind.REFUSED
