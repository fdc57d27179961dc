"""What a person may decide: every state, window and decision."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from samekey._core.model import Record, later
from samekey._core.resolve import Decision, Refusal, Ruling, resolve, window_over_at
from samekey._core.run import Done, Run
from samekey._core.states import Move, Status
from samekey._core.steps import Renew, Reservation, begin
from samekey._core.verbs import Existing, Expect, Resolution
from samekey.errors import ActionRejectedError
from tests.core.driving import DAY, GENERIC, KEYLESS, T0, at, outgoing, plan, record

S, D = Status, Decision

LEASE, DELAY, MARGIN = 65.0, 120.0, 120.0
QUIET = LEASE + DELAY
"""Seconds after the first send from which no request can be on its way any more."""


def ruling(decision: Decision = D.DID_NOT_HAPPEN, **changes: Any) -> Ruling:
    facts: dict[str, Any] = {
        "decision": decision,
        "by": "ada",
        "nonce": "n-ada",
        "note": "saw it",
        "evidence": "page 3",
    }
    return Ruling(**(facts | changes))


def row(status: Status = S.NEEDS_REVIEW, reason: str | None = "server_error", **changes: Any) -> Record:
    settled = {"completed_at": later(T0, 5), "frozen_request": None} if status in {S.SUCCEEDED, S.REJECTED} else {}
    holder = "h.200.other" if status is S.IN_FLIGHT else None
    return replace(record(), **({"status": status, "reason": reason, "holder": holder} | settled | changes))


def decide(of: Record, decision: Decision, seconds: float = 1000.0, **changes: Any) -> Resolution | Refusal:
    return resolve(of, ruling(decision, **changes), at(seconds))


TABLE: dict[tuple[Status, Decision], Move | str] = {
    (S.PENDING, D.HAPPENED): Move.SUCCESS,
    (S.PENDING, D.DID_NOT_HAPPEN): "nothing was sent",
    (S.PENDING, D.TRY_AGAIN): "a rerun of the script",
    (S.PENDING, D.ABANDON): Move.ABANDON,
    (S.IN_FLIGHT, D.HAPPENED): Move.SUCCESS,
    (S.IN_FLIGHT, D.DID_NOT_HAPPEN): Move.REOPEN,
    (S.IN_FLIGHT, D.TRY_AGAIN): "a rerun of the script",
    (S.IN_FLIGHT, D.ABANDON): Move.ABANDON,
    (S.UNKNOWN, D.HAPPENED): Move.SUCCESS,
    (S.UNKNOWN, D.DID_NOT_HAPPEN): Move.REOPEN,
    (S.UNKNOWN, D.TRY_AGAIN): "a rerun of the script",
    (S.UNKNOWN, D.ABANDON): Move.ABANDON,
    (S.NEEDS_REVIEW, D.HAPPENED): Move.SUCCESS,
    (S.NEEDS_REVIEW, D.DID_NOT_HAPPEN): Move.REOPEN,
    (S.NEEDS_REVIEW, D.TRY_AGAIN): Move.REOPEN,
    (S.NEEDS_REVIEW, D.ABANDON): Move.ABANDON,
    (S.SUCCEEDED, D.HAPPENED): "has succeeded already",
    (S.SUCCEEDED, D.DID_NOT_HAPPEN): "a success is never unmade",
    (S.SUCCEEDED, D.TRY_AGAIN): "a success is never unmade",
    (S.SUCCEEDED, D.ABANDON): "a success is never unmade",
    (S.REJECTED, D.HAPPENED): "a refusal is not made a success",
    (S.REJECTED, D.DID_NOT_HAPPEN): "'try again'",
    (S.REJECTED, D.TRY_AGAIN): Move.REOPEN,
    (S.REJECTED, D.ABANDON): "the API refused it and nothing happened",
    (S.ABANDONED, D.HAPPENED): Move.SUCCESS,
    (S.ABANDONED, D.DID_NOT_HAPPEN): "closed by a person",
    (S.ABANDONED, D.TRY_AGAIN): "closed by a person",
    (S.ABANDONED, D.ABANDON): "closed by a person",
}
"""While the window is open and no request can be on its way."""


@pytest.mark.parametrize("status", Status, ids=lambda status: status.value)
@pytest.mark.parametrize("decision", Decision, ids=lambda decision: decision.value)
def test_every_decision_about_every_state_is_carried_out_or_refused_in_words(
    status: Status, decision: Decision
) -> None:
    answer = decide(row(status), decision)
    expected = TABLE[status, decision]
    if isinstance(expected, Move):
        assert isinstance(answer, Resolution)
        assert answer.move is expected
        assert answer.expect == Expect(1, 1, status)
    else:
        assert isinstance(answer, Refusal)
        assert expected in answer.text


def test_the_audit_says_who_what_why_and_on_what_evidence_and_the_state_before() -> None:
    answer = decide(row(attempts=3, open_attempts=2), D.HAPPENED, reference="ord_9")
    assert isinstance(answer, Resolution)
    assert (answer.event.kind, answer.refused.kind) == ("resolved", "resolve_refused")
    assert answer.event.detail == answer.refused.detail
    assert json.loads(answer.event.detail) == {
        "by": "ada",
        "decision": "happened",
        "note": "saw it",
        "evidence": "page 3",
        "reference": "ord_9",
        "before": {
            "status": "needs_review",
            "reason": "server_error",
            "generation": 1,
            "fence": 1,
            "attempts": 3,
            "open_attempts": 2,
        },
    }
    assert (answer.reference, answer.at, answer.nonce) == ("ord_9", at(1000).wall, "n-ada")


@pytest.mark.parametrize(
    ("decision", "of", "final"),
    [
        (D.HAPPENED, row(), True),
        (D.ABANDON, row(), True),
        (D.TRY_AGAIN, row(S.REJECTED), True),
        (D.TRY_AGAIN, row(), False),
    ],
)
def test_what_is_settled_is_kept_for_a_month_and_never_less_than_its_window(
    decision: Decision, of: Record, final: bool
) -> None:
    answer = decide(of, decision)
    assert isinstance(answer, Resolution)
    assert answer.expires_at == (later(T0, 1000 + 30 * DAY) if final else None)
    long = decide(replace(of, window_seconds=90 * DAY), decision)
    assert isinstance(long, Resolution)
    assert long.expires_at == (later(T0, 90 * DAY) if final else None)


# --- R3: a new key ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [QUIET + 1, DAY + MARGIN])
def test_r3_while_the_window_is_open_the_same_key_is_sent_again(seconds: float) -> None:
    answer = decide(row(), D.DID_NOT_HAPPEN, seconds)
    assert isinstance(answer, Resolution)
    assert (answer.move, answer.reason, answer.open_attempts) == (Move.REOPEN, None, 1)


def test_r3_when_the_window_is_over_a_new_key_is_allowed() -> None:
    answer = decide(row(), D.DID_NOT_HAPPEN, DAY + MARGIN + 1)
    assert isinstance(answer, Resolution)
    assert (answer.move, answer.reason) == (Move.RULED_OUT, "did_not_happen")


@pytest.mark.parametrize(
    "of",
    [
        row(reason="keyless", window_seconds=None),
        row(reason="look_up_absent", window_seconds=0.0),
        row(reason="window_closed", window_seconds=None),
    ],
    ids=["keyless", "forbidden by an answer", "closed by a contract"],
)
def test_r3_not_before_no_request_can_be_on_its_way(of: Record) -> None:
    early = decide(of, D.DID_NOT_HAPPEN, QUIET)
    assert early == Refusal(
        "its last request may still be on its way until 2026-11-24 05:13:05 UTC, so nobody can say yet that it will not "
        "happen; look again after that",
        later(T0, QUIET),
    )
    later_on = decide(of, D.DID_NOT_HAPPEN, QUIET + 0.001)
    assert isinstance(later_on, Resolution)
    assert later_on.move is Move.RULED_OUT


def test_r3_what_is_known_of_the_api_counts_too() -> None:
    of = row(reason=None, window_seconds=None)
    assert isinstance(decide(of, D.DID_NOT_HAPPEN, keyless=True), Resolution)
    assert window_over_at(of) is None
    assert window_over_at(of, keyless=True) == T0


def test_r3_a_clock_that_jumped_ahead_does_not_close_the_window() -> None:
    jumped = replace(at(1000), wall=later(T0, 2 * DAY))
    answer = resolve(row(), ruling(), jumped)
    assert isinstance(answer, Resolution)
    assert answer.move is Move.REOPEN
    other_boot = replace(jumped, boot_id="boot-2")
    assert getattr(resolve(row(), ruling(), other_boot), "move", None) is Move.RULED_OUT


@pytest.mark.parametrize("decision", [D.DID_NOT_HAPPEN, D.TRY_AGAIN])
def test_r6_what_is_reopened_under_its_key_keeps_its_attempts_and_its_window(decision: Decision) -> None:
    """A person may be wrong: an attempt that is provably not made does not start the window anew."""
    answer = decide(row(open_attempts=2), decision, QUIET + 1)
    assert isinstance(answer, Resolution)
    assert (answer.move, answer.open_attempts) == (Move.REOPEN, 2)


@pytest.mark.parametrize(("seconds", "until"), [(1000, "wait until 2026-11-25 05:12:00 UTC"), (DAY + 200, None)])
def test_a_request_that_was_not_kept_is_not_reopened(seconds: float, until: str | None) -> None:
    answer = decide(row(frozen_request=None), D.DID_NOT_HAPPEN, seconds)
    if until is None:
        assert isinstance(answer, Resolution)
        assert answer.move is Move.RULED_OUT
    else:
        assert isinstance(answer, Refusal)
        assert until in answer.text
    for_ever = decide(row(frozen_request=None, window_seconds=None), D.DID_NOT_HAPPEN, seconds)
    assert isinstance(for_ever, Refusal)
    assert "wait" not in for_ever.text


@pytest.mark.parametrize(
    ("of", "seconds"),
    [
        (row(reason="keyless"), 1000),
        (row(reason="window_closed"), 1000),
        (row(window_seconds=None), 1000),
        (row(), DAY + MARGIN),
        (row(frozen_request=None), 1000),
    ],
)
def test_without_an_open_window_nothing_is_tried_again(of: Record, seconds: float) -> None:
    answer = decide(of, D.TRY_AGAIN, seconds)
    assert isinstance(answer, Refusal)
    assert "say whether it happened" in answer.text


def test_a_record_without_a_lease_is_quiet_from_when_it_was_last_seen() -> None:
    of = row(reason="keyless", lease_expires_at=None, last_seen_at=later(T0, 500))
    assert decide(of, D.DID_NOT_HAPPEN, 500 + DELAY) == Refusal(
        decide(of, D.DID_NOT_HAPPEN, 500).text,  # type: ignore[union-attr] # a refusal, as the line says
        later(T0, 500 + DELAY),
    )
    assert isinstance(decide(of, D.DID_NOT_HAPPEN, 501 + DELAY), Resolution)


# --- what begin makes of it --------------------------------------------------------------------------------


@pytest.mark.parametrize("on_rejected", ["if_changed", "raise"])
@pytest.mark.parametrize("reason", ["did_not_happen", "try_again"])
def test_what_was_ruled_out_is_sent_under_a_new_key_whatever_the_data(reason: str, on_rejected: Any) -> None:
    of = plan(started=at(100), request=outgoing(body=b'{"total":"20.00"}'))
    of = replace(of, contract=replace(of.contract, on_rejected=on_rejected))
    step = begin(Run(of), Existing(row(S.REJECTED, reason)), at(100))
    assert isinstance(step, Reservation)
    assert step.claim.record.generation == 2
    assert step.claim.record.idempotency_key != record().idempotency_key


def test_r15_a_ruling_that_came_while_this_begin_waited_raises_no_generation() -> None:
    step = begin(Run(plan(started=at(100)), waited=1), Existing(row(S.REJECTED, "did_not_happen")), at(100))
    assert isinstance(step, Done)
    assert isinstance(step.error, ActionRejectedError)
    assert "was ruled on 2026-11-24 05:10 UTC not to have happened" in str(step.error)


def test_what_was_reopened_goes_on_under_its_key() -> None:
    step = begin(Run(plan(GENERIC, started=at(900))), Existing(row(S.UNKNOWN, None, fence=2)), at(900))
    assert isinstance(step, Renew)
    assert step.record.generation == 1


# --- R8 -------------------------------------------------------------------------------------------------------


def tombstone(status: Status, reason: str | None = None) -> Record:
    kept = row(status, reason, response_reference="ord_9")
    return replace(kept, request_fingerprint="", origin="", scope={}, actor_id="", frozen_request=None)


@pytest.mark.parametrize("profile", [GENERIC, KEYLESS])
@pytest.mark.parametrize("reason", [None, "did_not_happen", "try_again"])
@pytest.mark.parametrize("on_rejected", ["if_changed", "raise", "new_generation"])
@pytest.mark.parametrize("status", [S.SUCCEEDED, S.REJECTED, S.ABANDONED])
def test_r8_a_begin_on_a_tombstone_returns_the_reference_or_raises(
    status: Status, on_rejected: Any, reason: str | None, profile: Any
) -> None:
    of = plan(profile, started=at(100 * DAY), request=outgoing(body=b"{}"))
    of = replace(of, contract=replace(of.contract, on_rejected=on_rejected))
    step = begin(Run(of), Existing(tombstone(status, reason)), at(100 * DAY))
    assert isinstance(step, Done)
    assert step.record is not None
    assert step.record.label == "create_order(customer=42, cart='c-9')"
    if status is S.SUCCEEDED:
        assert (step.error, step.record.response_reference) == (None, "ord_9")
    else:
        assert str(step.error).startswith("create_order(customer=42, cart='c-9'): ")
        assert "nothing was sent" in str(step.error)


@pytest.mark.parametrize("decision", Decision, ids=lambda decision: decision.value)
def test_r8_nothing_is_left_to_decide_about_a_tombstone(decision: Decision) -> None:
    answer = decide(tombstone(S.REJECTED), decision)
    assert isinstance(answer, Refusal)
    assert "purged" in answer.text


def test_the_version_names_what_was_shown() -> None:
    of = row(generation=2, fence=3)
    assert of.version == "2.3.needs_review"
    assert len({of.version, replace(of, fence=4).version, replace(of, status=S.UNKNOWN).version}) == 3
