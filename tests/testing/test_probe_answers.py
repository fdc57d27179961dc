"""What a probe makes of answers of every kind: the verdicts, and what may be stated in a draft."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

import samekey
from samekey.testing import ProbeCount, ProbeResult
from tests.testing.probing import AGREES, DIFFERS, NOT_SEEN, UNKNOWN, client_of, order, probe, seen, verdicts

API = "https://api.example"


def made(reference: Any, **headers: str) -> httpx.Response:
    return httpx.Response(201, json={"id": reference}, headers=headers)


def said(status: int, code: str | None = None, **more: Any) -> httpx.Response:
    return httpx.Response(status, json=({"error": {"code": code}} if code else {}) | more)


def told(
    answers: Sequence[httpx.Response],
    counts: Sequence[int] | None = None,
    *,
    retention: float | None = None,
    **facts: Any,
) -> ProbeResult:
    """A probe of an API that gives these answers in their order, and these counts at the first and after each step."""
    lock, writes = threading.Lock(), list(answers)
    numbers = list(counts or ())

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=numbers.pop(0))
        with lock:
            return writes.pop(0)

    count = {"count": ProbeCount(f"{API}/n")} if counts else {}
    with client_of(handler) as http:
        return probe(
            samekey.Provider("api", **facts), order(API, counted=False, **count), http=http,
            retention=retention, sleep=lambda _seconds: None,
        )  # fmt: skip


def drafted(result: ProbeResult) -> dict[str, Any] | None:
    draft = result.draft(date(2026, 1, 1))
    if draft is not None:
        samekey.Provider(**draft)
    return draft


FIRST, AGAIN = made("a"), made("a")
PAIR = (made("b"), made("b"))
MISMATCH = said(422, "key_reused")
ONE = (0, 1, 1, 1, 2)


# --- the repetition ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [said(429), said(401), said(500), said(503)])
@pytest.mark.parametrize("counts", [ONE, None])
def test_an_answer_from_in_front_or_a_failure_is_no_evidence_of_a_key(answer: Any, counts: Any) -> None:
    result = told([FIRST, answer, MISMATCH, *PAIR], counts)
    assert verdicts(result)["the same again"] is NOT_SEEN
    assert (result.agrees, drafted(result)) == (True, None)


def test_a_refusal_of_the_repetition_may_be_about_the_data() -> None:
    result = told([FIRST, said(409, "name_taken"), said(409, "name_taken"), made("b"), said(409, "name_taken")], ONE)
    assert verdicts(result)["the same again"] is AGREES
    assert seen(result, "its answer") == "HTTP 409, error.code = name_taken instead of 201, another body"
    assert drafted(result) is None


def test_a_refusal_that_names_the_first_object_says_that_it_is_done() -> None:
    done = said(409, "conflict", links=[{"to": "a"}])
    result = told([FIRST, done, done, made("b"), said(409, "running")], ONE)
    draft = drafted(result)
    assert draft is not None
    assert draft["already_done"] == [
        {"status": 409, "code_at": "error.code", "code": "conflict", "id_at": "links.*.to"}
    ]
    assert (draft["in_progress"][0]["code"], "mismatch" in draft) == ("running", False)
    assert draft["notes"] == ["Other data under a key are answered like the same data."]
    stated = told([FIRST, done, done, made("b"), said(409, "running")], ONE, already_done=draft["already_done"])
    assert verdicts(stated)["its answer"] is AGREES
    assert (drafted(stated) or {})["already_done"] == draft["already_done"]


def test_a_replay_where_the_profile_says_already_done_differs() -> None:
    result = told([FIRST, AGAIN, MISMATCH, *PAIR], ONE, already_done=[{"status": 409}])
    assert verdicts(result)["its answer"] is DIFFERS


def test_without_a_count_a_mark_is_evidence() -> None:
    result = told([FIRST, made("z", **{"X-Replay": "true"}), MISMATCH, *PAIR], replay_marker=("X-Replay", "true"))
    assert seen(result, "the same again") == "no second effect (not counted: the answer says that it is a replay)"


def test_a_mark_on_the_first_answer_differs() -> None:
    marked = {"X-Replay": "true"}
    result = told([made("a", **marked), made("a", **marked), MISMATCH, *PAIR], ONE, replay_marker=("X-Replay", "true"))
    assert verdicts(result)["replayed answer"] is DIFFERS
    assert "replay_marker" not in (drafted(result) or {"replay_marker": 0})


@pytest.mark.parametrize("value", ["7f3c2a1b-0000-4000-8000-000000000000", "17", "a b"])
def test_a_value_that_differs_by_key_or_time_is_no_mark(value: str) -> None:
    result = told([FIRST, made("a", **{"Idempotency-Key": value}), MISMATCH, *PAIR], ONE)
    assert verdicts(result)["replayed answer"] is NOT_SEEN


# --- other data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "verdict"),
    [({}, UNKNOWN), ({"silent_mismatch": True}, AGREES), ({"mismatch": [{"status": 422}]}, DIFFERS)],
)
@pytest.mark.parametrize("counts", [ONE, None])
def test_the_first_result_without_a_word(stated: dict[str, Any], verdict: Any, counts: Any) -> None:
    result = told([FIRST, AGAIN, made("a"), *PAIR], counts, **stated)
    assert verdicts(result)["other data under the key"] is verdict
    assert "the first result, without a word" in seen(result, "other data under the key")
    assert (drafted(result) or {})["silent_mismatch"] is True


def test_other_data_that_are_carried_out_differ_whatever_the_profile_says() -> None:
    for counts in ((0, 1, 1, 2, 3), None):
        result = told([FIRST, AGAIN, made("c"), *PAIR], counts)
        assert verdicts(result)["other data under the key"] is DIFFERS
        assert (drafted(result) or {})["carrier"] == {"kind": "none"}


def test_a_mismatch_without_a_code_is_not_stated_for_it_would_be_every_refusal() -> None:
    result = told([FIRST, AGAIN, said(422), *PAIR], ONE)
    assert verdicts(result)["other data under the key"] is UNKNOWN
    draft = drafted(result) or {}
    assert "mismatch" not in draft
    assert "HTTP 422, which has no code to know it by" in draft["notes"][0]


@pytest.mark.parametrize("answer", [said(429), said(500)])
def test_other_data_that_met_something_else_say_nothing(answer: Any) -> None:
    result = told([FIRST, AGAIN, answer, *PAIR], ONE, mismatch=[{"status": 422}])
    assert verdicts(result)["other data under the key"] is NOT_SEEN


# --- two at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loser", "learned"),
    [
        (said(409, "running"), [{"status": 409, "code_at": "error.code", "code": "running"}]),
        (said(409), [{"status": 409}]),
        (said(423), [{"status": 423}]),
        (said(400, "running"), [{"status": 400, "code_at": "error.code", "code": "running"}]),
        (said(400), None),
    ],
)
def test_the_answer_to_the_second_of_two_at_once(loser: Any, learned: Any) -> None:
    result = told([FIRST, AGAIN, MISMATCH, made("b"), loser], ONE)
    assert verdicts(result)["still running"] is UNKNOWN
    assert (drafted(result) or {}).get("in_progress") == learned


@pytest.mark.parametrize("loser", [said(429), said(500), said(503)])
def test_a_limiter_or_a_failure_says_nothing_about_two_at_once(loser: Any) -> None:
    for counts in (ONE, None):
        result = told([FIRST, AGAIN, MISMATCH, made("b"), loser], counts)
        assert verdicts(result)["two at once"] is verdicts(result)["still running"] is NOT_SEEN
        assert drafted(result) is None


def test_one_answer_with_two_meanings_is_not_stated() -> None:
    conflict = said(409, "conflict")
    result = told([FIRST, AGAIN, conflict, made("b"), conflict], ONE)
    draft = drafted(result) or {}
    assert {"mismatch", "in_progress"}.isdisjoint(draft)
    assert draft["notes"] == ["A request that is still running is answered like another one under a known key."]


def test_two_effects_at_once_behind_one_reference_are_counted() -> None:
    result = told([FIRST, AGAIN, MISMATCH, *PAIR], (0, 1, 1, 1, 3))
    assert (verdicts(result)["two at once"], seen(result, "two at once")) == (DIFFERS, "2 effects")
    assert (drafted(result) or {})["carrier"] == {"kind": "none"}


# --- after some time -----------------------------------------------------------------------------------------------


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("late", "counts", "facts", "verdict", "learned"),
    [
        (said(412), (2,), {"expired": [{"status": 412}]}, UNKNOWN, "rejected"),
        (said(412), (2,), {"expired": [{"status": 412}], "after_expiry": "rejected"}, AGREES, "rejected"),
        (said(412), (2,), {"expired": [{"status": 412}], "window": HOUR}, DIFFERS, "rejected"),
        (said(412), (2,), {"expired": [{"status": 412}], "after_expiry": "executes_as_new"}, DIFFERS, "rejected"),
        (said(412), (2,), {}, NOT_SEEN, None),
        (said(429), (2,), {}, NOT_SEEN, None),
        (made("a"), (2,), {}, UNKNOWN, None),
        (made("z"), (3,), {}, UNKNOWN, "executes_as_new"),
        (made("z"), (3,), {"window": HOUR}, DIFFERS, "executes_as_new"),
    ],
)
def test_the_first_once_more(late: Any, counts: Any, facts: dict[str, Any], verdict: Any, learned: Any) -> None:
    result = told([FIRST, AGAIN, MISMATCH, *PAIR, late], ONE + counts, retention=90, **facts)
    assert verdicts(result)["after 90 s"] is verdict
    draft = drafted(result) or {}
    assert draft.get("after_expiry") == learned
    assert draft.get("expired") == ([{"status": 412}] if learned == "rejected" else None)


def test_two_answers_from_in_front_do_not_show_that_a_key_is_still_known() -> None:
    result = told([FIRST, said(429), MISMATCH, *PAIR, said(429)], (*ONE, 2), retention=90)
    assert verdicts(result)["after 90 s"] is NOT_SEEN


def test_the_window_began_with_the_first_write_and_not_with_the_wait() -> None:
    ticks = itertools.count()

    def clock() -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(ticks))

    writes = [FIRST, AGAIN, MISMATCH, *PAIR, made("z")]
    with client_of(lambda _request: writes.pop(0)) as http:
        result = probe(
            samekey.Provider("api", window=timedelta(seconds=91)), order(API, counted=False), http=http,
            retention=90, sleep=lambda _seconds: None, clock=clock,
        )  # fmt: skip
    assert (seen(result, "after 90 s"), verdicts(result)["after 90 s"]) == (
        "carried out anew (not counted: another reference)",
        UNKNOWN,
    )


# --- what answers look like ----------------------------------------------------------------------------------------


def test_an_api_that_does_not_answer_in_json_is_told_so() -> None:
    def text(status: int, where: str | None = None) -> httpx.Response:
        return httpx.Response(status, text="done", headers={"Location": where} if where else {})

    writes = [text(201, "/a"), text(201, "/a"), text(422), text(201, "/b"), text(201, "/b")]
    with client_of(lambda _request: writes.pop(0)) as http:
        result = probe(samekey.Provider("api"), order(API, counted=False, reference="header:Location"), http=http)
    assert verdicts(result)["the same again"] is AGREES
    assert (drafted(result) or {})["answers"] == "any"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"code": "top", "error": {"code": "inner"}}, "code = top"),
        ({"error": {"type": "kind", "code": "inner"}}, "error.code = inner"),
        ({"errors": [{"reason": "why"}]}, "errors.*.reason = why"),
        ({"type": "https://api.example/problems#reused", "title": "Key reused"}, None),
        ({"code": 17, "error": "key.reused"}, "error = key.reused"),
        ({"message": "a sentence", "error": "with blanks in it"}, None),
        ({"a.b": {"code": "x1"}, "": {"code": "x2"}}, None),
        ([{"name": "Reused"}], "*.name = Reused"),
        ({"code": "x" * 65}, None),
        ({"code": "\u001b[31m"}, None),
        ({"a": {"b": {"c": {"d": {"e": {"f": {"code": "deep"}}}}}}}, None),
    ],
)
def test_codes_are_found_where_apis_have_them(body: Any, code: str | None) -> None:
    result = told([FIRST, AGAIN, httpx.Response(422, json=body), *PAIR], ONE)
    assert seen(result, "other data under the key") == ("HTTP 422" if code is None else f"HTTP 422, {code}")


def test_an_answer_too_large_to_search_has_no_code() -> None:
    result = told([FIRST, AGAIN, said(422, "reused", padding="x" * 300_000), *PAIR], ONE)
    assert seen(result, "other data under the key") == "HTTP 422"
