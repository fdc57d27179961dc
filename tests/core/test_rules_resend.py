"""Rules R1, R2, R4, R5, R5b, R6, R9 and R10 of the protocol: may it be sent again?"""

from __future__ import annotations

from dataclasses import replace
from email.utils import format_datetime

import pytest

from samekey._core.model import Failure, Moment, Reply, later
from samekey._core.plan import Contract
from samekey._core.policy import Backoff
from samekey._core.run import LookedUp, Run
from samekey._core.states import Move, Status
from samekey._core.steps import Await, Renew, Settle, Sleep, begin, resume
from samekey._core.verbs import Existing
from samekey._core.verdicts import Verdict
from samekey.errors import (
    ActionInProgressError,
    ActionRejectedError,
    NeedsReviewError,
    NotSentError,
    OutcomeUnknownError,
)
from tests.core.driving import (
    DAY,
    GENERIC,
    JSON,
    KEYLESS,
    REFUSED_CONNECTION,
    STRIPE,
    T0,
    TIMEOUT,
    World,
    answer,
    at,
    faults,
    plan,
    record,
    seconds,
    world,
)

PATIENT = Backoff(deadline=10 * DAY)


def sleeps_until(moment: float) -> dict[str, object]:
    def away(there: World) -> None:
        there.seconds = moment

    return {"while_away": away}


# R1


@pytest.mark.parametrize(("until", "sends"), [(DAY - 156, 2), (DAY - 155, 1)])
def test_r1_a_resend_needs_room_for_the_attempt_and_the_longest_delay(until: float, sends: int) -> None:
    there = world(TIMEOUT, answer(200), **sleeps_until(until))
    done = there.run(plan(backoff=PATIENT))
    assert len(there.sends) == sends
    if sends == 1:
        assert isinstance(done.error, NeedsReviewError)
        assert done.error.reason == "window_closed"
        assert there.row.status is Status.NEEDS_REVIEW


@pytest.mark.parametrize(("elapsed", "step"), [(DAY - 156, Renew), (DAY - 155, Settle)])
def test_r1_holds_for_a_take_over_too(elapsed: float, step: type) -> None:
    assert type(begin(Run(plan()), Existing(record(status=Status.UNKNOWN)), at(elapsed))) is step


def test_r1_the_longer_delay_of_record_and_plan_counts() -> None:
    today = plan(max_delay_seconds=DAY - 200)
    step = begin(Run(today), Existing(record(status=Status.UNKNOWN)), at(166))
    assert isinstance(step, Settle)
    assert step.settlement.reason == "window_closed"


def test_r1_the_shorter_window_of_record_and_plan_counts() -> None:
    row = record(status=Status.UNKNOWN, window_seconds=3600.0)
    assert isinstance(begin(Run(plan()), Existing(row), at(3400)), Renew)
    assert isinstance(begin(Run(plan()), Existing(row), at(3500)), Settle)


def test_r1_where_the_window_is_no_longer_than_lease_and_delay_nothing_is_sent_again() -> None:
    there = world(TIMEOUT)
    done = there.run(plan(replace(GENERIC, window_seconds=185.0)))
    assert len(there.sends) == 1
    assert isinstance(done.error, NeedsReviewError)


def test_r1_what_was_provably_not_sent_needs_no_window() -> None:
    there = world(REFUSED_CONNECTION, answer(200))
    assert there.run(plan(KEYLESS)).error is None
    assert len(there.sends) == 2


# R2


def test_r2_no_byte_of_a_first_send_is_written_after_its_lease() -> None:
    there = world(answer(200))
    there.run(plan())
    assert there.sends[0].not_after == later(T0, 65.0)


def test_r2_no_byte_of_a_resend_is_written_after_the_windows_bound_or_the_lease() -> None:
    by_lease = world(TIMEOUT, answer(200), **sleeps_until(10))
    by_lease.run(plan())
    assert by_lease.sends[1].not_after == later(T0, 10 + 65.0)
    by_window = world(TIMEOUT, answer(200), **sleeps_until(DAY - 160))
    by_window.run(plan(backoff=PATIENT))
    assert by_window.sends[1].not_after == later(T0, DAY - 120)


# R4


@pytest.mark.parametrize("status", [402, 404, 409 + 1, 418, 422, 400])
def test_r4_refusal_with_another_open_attempt_is_not_a_refusal(status: int) -> None:
    there = world(Failure(sent=True, summary="reset"), answer(status))
    done = there.run(plan())
    assert isinstance(done.error, NeedsReviewError)
    assert done.error.reason in {"refused_after_unknown", "server_conflict"}
    assert there.row.status is Status.NEEDS_REVIEW
    assert there.row.open_attempts == 2
    assert there.row.response_status is None


def test_r4_a_refusal_that_is_stored_under_the_key_settles_all_attempts() -> None:
    there = world(TIMEOUT, answer(402))
    done = there.run(plan(STRIPE))
    assert isinstance(done.error, ActionRejectedError)
    assert (there.row.status, there.row.open_attempts) == (Status.REJECTED, 0)


def test_r4_a_refusal_after_an_attempt_that_was_provably_not_sent_is_one() -> None:
    there = world(REFUSED_CONNECTION, answer(422))
    assert isinstance(there.run(plan()).error, ActionRejectedError)
    assert there.row.status is Status.REJECTED


def test_r4_a_refusal_that_is_to_be_retried_says_nothing_of_an_open_attempt() -> None:
    again = answer(402, headers=(*JSON, ("stripe-should-retry", "true")))
    there = world(TIMEOUT, again)
    done = there.run(plan(STRIPE, backoff=Backoff(attempts=2)))
    assert isinstance(done.error, OutcomeUnknownError)
    assert (there.row.status, there.row.open_attempts) == (Status.UNKNOWN, 2)


def test_r4_a_refusal_met_by_a_take_over_is_looked_up_first() -> None:
    there = world(
        answer(422), rows=[record(status=Status.UNKNOWN)], look_ups=[LookedUp("inconclusive", "no search", final=True)]
    )
    done = there.run(plan(contract=Contract(looks_up=True)))
    assert there.names[-5:] == ["Send", "Settle", "LookUp", "Settle", "Done"]
    assert isinstance(done.error, NeedsReviewError)
    assert done.error.reason == "look_up_inconclusive"


# R5


def test_r5_every_resend_is_recorded_before_it_is_made() -> None:
    there = world(TIMEOUT, TIMEOUT, answer(200))
    there.run(plan())
    assert there.names == [
        "Reservation", "Send", "Sleep", "Renew", "Send", "Sleep", "Renew", "Send", "Settle", "Done",
    ]  # fmt: skip
    assert [send.record.attempts for send in there.sends] == [1, 2, 3]
    assert [send.record.open_attempts for send in there.sends] == [1, 2, 3]
    assert {send.record.fence for send in there.sends} == {1}


def test_r5_a_resend_that_the_store_did_not_record_is_not_made() -> None:
    taken = Existing(record(fence=7), alive=True)
    there = world(TIMEOUT, faults=faults(Renew=[taken]))
    done = there.run(plan(contract=Contract(on_in_progress="raise")))
    assert len(there.sends) == 1
    assert isinstance(done.error, ActionInProgressError)


def test_r5_an_own_lease_that_ran_out_is_taken_over_and_not_renewed() -> None:
    there = world(TIMEOUT, answer(200), **sleeps_until(65))
    there.run(plan(backoff=PATIENT))
    assert [send.record.fence for send in there.sends] == [1, 2]
    renewal = next(step.renewal for step in there.steps if isinstance(step, Renew))
    assert (renewal.expect.fence, renewal.holder, renewal.new_holder) == (1, "h.100.me", "h.100.me")


def test_r5_a_take_over_raises_the_fence_and_counts_the_dead_holders_attempt_as_open() -> None:
    row = record()
    there = world(answer(200), rows=[row])
    done = there.run(plan())
    renewal = next(step.renewal for step in there.steps if isinstance(step, Renew))
    assert (renewal.new_fence, renewal.open_attempts, renewal.new_holder) == (2, 2, "h.100.me")
    assert renewal.event is not None
    assert renewal.event.kind == "recovery"
    assert done.run.recovered
    assert there.sends[0].frozen is not None


# R5b


@pytest.mark.parametrize(
    ("alive", "elapsed", "step"),
    [(True, 65, Await), (True, 66, Renew), (False, 1, Renew)],
    ids=["alive", "lease", "gone"],
)
def test_r5b_a_holder_is_alive_only_while_its_task_runs_and_its_lease_lasts(
    alive: bool, elapsed: float, step: type
) -> None:
    now = at(elapsed)
    assert type(begin(Run(plan(started=now)), Existing(record(), alive=alive), now)) is step


def test_r5b_a_complete_reply_is_settled_whatever_interrupts() -> None:
    there = world(answer(200), interrupt={Settle})
    there.run(plan())
    assert there.row.status is Status.SUCCEEDED


# R6


def test_r6_not_sent_returns_to_pending_where_it_is_the_only_attempt() -> None:
    there = world(REFUSED_CONNECTION)
    done = there.run(plan(backoff=Backoff(attempts=1)))
    assert isinstance(done.error, NotSentError)
    assert there.row.status is Status.PENDING
    assert (there.row.first_sent_at, there.row.open_attempts) == (None, 0)


def test_r6_not_sent_after_an_open_attempt_stays_unknown() -> None:
    there = world(TIMEOUT, REFUSED_CONNECTION)
    done = there.run(plan(backoff=Backoff(attempts=2)))
    assert isinstance(done.error, OutcomeUnknownError)
    assert (there.row.status, there.row.first_sent_at, there.row.open_attempts) == (Status.UNKNOWN, T0, 1)


def test_r6_not_sent_after_another_holder_stays_unknown() -> None:
    there = world(REFUSED_CONNECTION, rows=[record()])
    done = there.run(plan(backoff=Backoff(attempts=1)))
    assert isinstance(done.error, OutcomeUnknownError)
    assert (there.row.status, there.row.first_sent_at, there.row.open_attempts) == (Status.UNKNOWN, T0, 1)


# R9


def test_r9_after_a_5xx_nothing_is_sent_again_where_the_profile_is_silent() -> None:
    there = world(answer(500))
    done = there.run(plan(replace(GENERIC, after_5xx=None)))
    assert len(there.sends) == 1
    assert isinstance(done.error, NeedsReviewError)
    assert done.error.reason == "server_error"


def test_r9_after_a_5xx_it_is_looked_up_where_that_is_possible() -> None:
    there = world(answer(500), look_ups=[LookedUp("inconclusive", "", final=True)])
    there.run(plan(replace(GENERIC, after_5xx=None), contract=Contract(looks_up=True)))
    assert there.names == ["Reservation", "Send", "Settle", "LookUp", "Settle", "Done"]


def test_r9_the_profiles_or_the_users_word_allows_the_resend() -> None:
    for profile, contract in (
        (GENERIC, Contract()),
        (replace(GENERIC, after_5xx=None), Contract(on_server_error="resend")),
    ):
        there = world(answer(500), answer(200))
        assert there.run(plan(profile, contract=contract)).error is None
        assert len(there.sends) == 2


def test_r9_the_users_word_overrides_towards_caution() -> None:
    there = world(answer(500))
    done = there.run(plan(contract=Contract(on_server_error="review")))
    assert len(there.sends) == 1
    assert isinstance(done.error, NeedsReviewError)


def test_r9_a_5xx_that_is_stored_under_the_key_is_not_asked_for_again() -> None:
    there = world(answer(500, headers=(*JSON, ("idempotent-replayed", "true"))))
    done = there.run(plan(STRIPE))
    assert len(there.sends) == 1
    assert isinstance(done.error, NeedsReviewError)


def test_r9_an_api_that_releases_keys_after_effects_gets_no_resend_after_a_time_out() -> None:
    profile = replace(GENERIC, after_timeout=False)
    there = world(TIMEOUT)
    done = there.run(plan(profile))
    assert isinstance(done.error, NeedsReviewError)
    taken = begin(Run(plan(profile)), Existing(record(status=Status.UNKNOWN)), at(1))
    assert isinstance(taken, Settle)
    assert taken.verdict == Verdict(taken.verdict.kind, reason="server_error")


# R10


def test_r10_a_reply_from_another_time_closes_the_window() -> None:
    date = ("date", format_datetime(T0 + seconds(500), usegmt=True))
    there = world(Reply(503, (date,), b""))
    done = there.run(plan())
    assert len(there.sends) == 1
    assert isinstance(done.error, NeedsReviewError)
    assert done.error.reason == "clock_jumped"


def test_r10_the_boot_clock_counts_within_one_boot() -> None:
    set_back = Moment(T0, "boot-1", 1000.0 + 2 * DAY)
    step = begin(Run(plan()), Existing(record(status=Status.UNKNOWN)), set_back)
    assert isinstance(step, Settle)
    assert step.settlement.reason == "window_closed"


def test_r10_a_boot_clock_that_ran_backwards_is_not_believed() -> None:
    step = begin(Run(plan()), Existing(record(status=Status.UNKNOWN)), Moment(T0, "boot-1", 900.0))
    assert isinstance(step, Settle)
    assert step.settlement.reason == "clock_jumped"


def test_r10_the_stores_high_water_mark_counts_across_boots() -> None:
    existing = Existing(record(status=Status.UNKNOWN), high_water=later(T0, 3600))
    step = begin(Run(plan()), existing, Moment(T0, "boot-2", 5.0))
    assert isinstance(step, Settle)
    assert step.settlement.reason == "clock_jumped"


def test_a_recovery_takes_over_by_the_same_rules() -> None:
    step = resume(plan(recovering=True), Existing(record(status=Status.UNKNOWN)), at(60))
    assert isinstance(step, Renew)
    assert step.renewal.expect.status is Status.UNKNOWN


def test_a_wait_between_attempts_is_the_policys() -> None:
    there = world(TIMEOUT, answer(200))
    there.run(plan())
    assert next(step.seconds for step in there.steps if isinstance(step, Sleep)) == 0.25
    assert there.settlements[0].settlement.move is Move.SUCCESS
