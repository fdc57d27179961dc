"""What a look-up means: found, absent, inconclusive; early and late; with and without the API's own word."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from samekey._core.model import Record, Result
from samekey._core.plan import Contract, Profile
from samekey._core.policy import Backoff
from samekey._core.run import LookedUp
from samekey._core.states import Status
from samekey._core.steps import LookUp
from samekey.errors import NeedsReviewError, NotSentError, OutcomeUnknownError
from tests.core.driving import DAY, GENERIC, KEYLESS, TIMEOUT, World, at, plan, record, world

S = Status
LOOKS_UP = Contract(looks_up=True)
LEASE, DELAY = 65.0, 120.0
COUNTS = LEASE + DELAY
"""Seconds after the first send from which an absence may count."""

FOUND = LookedUp("found", "GET /orders", Result(None, (), None, "ord_9"))
ABSENT = LookedUp("absent", "GET /orders: none")
SURE = replace(ABSENT, consistent=True)
UNSURE = LookedUp("inconclusive", "GET /orders: HTTP 503")


def left(profile: Profile = KEYLESS, **changes: Any) -> Record:
    return record(plan(profile), **({"status": S.UNKNOWN, "holder": None} | changes))


def look(
    row: Record, seconds: float, *replies: LookedUp, profile: Profile = KEYLESS, **facts: Any
) -> tuple[World, Any]:
    there = world(rows=[row], look_ups=replies, seconds=seconds)
    done = there.run(plan(profile, started=at(seconds), **({"contract": LOOKS_UP} | facts)))
    return there, done


@pytest.mark.parametrize("before", [(), (ABSENT,), (UNSURE, ABSENT)])
def test_what_is_not_there_at_once_may_be_there_a_little_later(before: tuple[LookedUp, ...]) -> None:
    there = world(TIMEOUT, look_ups=[*before, FOUND])
    done = there.run(plan(KEYLESS, contract=LOOKS_UP))
    assert done.error is None
    assert (there.row.status, there.row.response_reference) == (S.SUCCEEDED, "ord_9")
    looks = [step for step in there.steps if isinstance(step, LookUp)]
    assert [look.asked for look in looks] == list(range(len(before) + 1))
    assert looks[0].seconds == 0
    assert all(look.seconds > 0 for look in looks[1:])


@pytest.mark.parametrize(("attempts", "deadline"), [(3, 60.0), (1000, 5.0)])
def test_reads_are_bounded_by_the_retry_policy(attempts: int, deadline: float) -> None:
    there, done = look(left(), 10, UNSURE, backoff=Backoff(attempts, deadline))
    assert isinstance(done.error, NeedsReviewError)
    looks = [step for step in there.steps if isinstance(step, LookUp)]
    assert len(looks) == (3 if attempts == 3 else len(looks))
    assert there.seconds - 10 < deadline
    assert f"(asked {len(looks)} times)" in (there.row.error_summary or "")


def test_what_would_bring_the_same_is_not_asked_again() -> None:
    there, _ = look(left(), 10, replace(UNSURE, final=True))
    assert there.names.count("LookUp") == 1
    assert there.row.reason == "look_up_inconclusive"


# --- R3


def test_r3_an_absence_that_is_not_declared_consistent_settles_nothing_however_late() -> None:
    there, done = look(left(), 100 * DAY, ABSENT)
    assert isinstance(done.error, NeedsReviewError)
    assert (there.row.status, there.row.reason) == (S.NEEDS_REVIEW, "look_up_absent")


def test_r3_a_consistent_absence_counts_once_nothing_can_be_on_its_way() -> None:
    there, done = look(left(), COUNTS + 1, SURE)
    assert isinstance(done.error, NotSentError)
    assert "the look-up shows that nothing was done (absent: GET /orders: none (asked" in str(done.error)
    assert (there.row.status, there.row.reason) == (S.REJECTED, "did_not_happen")
    assert there.row.frozen_request is None
    assert there.settlements[-1].settlement.durable
    assert there.names.count("LookUp") >= 2

    again = world(TIMEOUT, rows=there.rows, look_ups=[FOUND], seconds=COUNTS + 500)
    again.run(plan(KEYLESS, contract=LOOKS_UP, started=at(COUNTS + 500)))
    assert [row.generation for row in again.rows] == [1, 2]
    assert len(again.sends) == 1


@pytest.mark.parametrize(
    "row", [left(), left(status=S.IN_FLIGHT, holder="h.200.other")], ids=["unknown", "dead holder"]
)
def test_r3_before_that_time_it_stays_open_and_is_asked_again_later(row: Record) -> None:
    there, done = look(row, 100, SURE, backoff=Backoff(attempts=1))
    assert isinstance(done.error, OutcomeUnknownError)
    assert there.row.status is S.UNKNOWN
    assert done.error.retry_safe
    assert done.error.retry_after is not None
    assert 0 < done.error.retry_after <= COUNTS - 100
    assert there.names.count("LookUp") == 2


def test_r3_it_is_asked_again_before_it_is_believed_whatever_the_policy() -> None:
    there, done = look(left(), COUNTS + 1, SURE, FOUND, backoff=Backoff(attempts=1))
    assert done.error is None
    assert there.row.status is S.SUCCEEDED
    there, _ = look(left(), COUNTS + 1, SURE, UNSURE, backoff=Backoff(attempts=2))
    assert there.row.reason == "look_up_inconclusive"


@pytest.mark.parametrize(("seconds", "counts"), [(COUNTS + 299, False), (COUNTS + 301, True)])
def test_an_absence_counts_absent_after_the_last_send(seconds: float, counts: bool) -> None:
    contract = replace(LOOKS_UP, absent_after=timedelta(seconds=DELAY + 300))
    there, _ = look(left(), seconds, SURE, contract=contract, backoff=Backoff(attempts=1, wait=_none()))
    assert (there.row.status is S.REJECTED) is counts


def _none() -> Any:
    import tenacity

    return tenacity.wait_none()


@pytest.mark.parametrize("window", [DAY, None])
def test_r3_while_the_key_may_be_remembered_an_absence_is_evidence(window: float | None) -> None:
    silent = replace(GENERIC, after_5xx=None, window_seconds=window, after_timeout=False)
    row = left(silent, window_seconds=0.0 if window else None, reason="server_error")
    there, done = look(row, 3600, SURE, profile=silent)
    assert isinstance(done.error, NeedsReviewError)
    assert there.row.status is S.NEEDS_REVIEW
    assert there.row.reason == "look_up_absent"


def test_r3_when_the_window_is_over_a_consistent_absence_opens_a_new_key() -> None:
    there, done = look(left(GENERIC), 2 * DAY, SURE, profile=GENERIC)
    assert isinstance(done.error, NotSentError)
    assert there.row.reason == "did_not_happen"


# --- looked at again, by a person's command


@pytest.mark.parametrize("status", [S.NEEDS_REVIEW, S.UNKNOWN])
def test_a_recheck_that_settles_nothing_changes_nothing(status: Status) -> None:
    row = left(status=status, reason="keyless")
    there = world(rows=[row], look_ups=[UNSURE])
    at_hand = plan(KEYLESS, contract=LOOKS_UP, recovering=True)
    from samekey._core.run import Run

    done = there.run(LookUp(Run(at_hand), row, "recheck", ""))
    assert there.row == row
    assert isinstance(done.error, NeedsReviewError)
    assert done.note is not None
    assert (done.note.kind, "HTTP 503" in done.note.detail) == ("look_up", True)
