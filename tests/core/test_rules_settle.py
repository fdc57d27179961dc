"""Rules R3, R7, R7b and R11 to R16 of the protocol: what is written down, and under which name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from samekey._core.keys import derive_key
from samekey._core.model import Result, later
from samekey._core.plan import Contract
from samekey._core.policy import Backoff
from samekey._core.run import Done, LookedUp, Run
from samekey._core.states import Move, Status
from samekey._core.steps import Await, Renew, Reservation, Settle, begin, resume
from samekey._core.verbs import Claimed, DuplicateFound, Existing, Settled, StoreFailed
from samekey.errors import (
    ActionRejectedError,
    DuplicateActionError,
    KeyReusedError,
    NeedsReviewError,
    NotSentError,
    OutcomeUnknownError,
    StoreUnavailableError,
)
from tests.core.driving import (
    DAY,
    GENERIC,
    KEYLESS,
    REFUSED_CONNECTION,
    STRIPE,
    T0,
    TIMEOUT,
    World,
    answer,
    at,
    faults,
    outgoing,
    plan,
    record,
    world,
)

if TYPE_CHECKING:
    from samekey._core.plan import Plan, Profile

FULL = StoreFailed(StoreUnavailableError("the disk is full."))
LOOKS_UP = Contract(looks_up=True)
ONCE = Backoff(attempts=1)


def settled(there: World) -> Settle:
    return there.settlements[-1]


# R3


def test_r3_an_absent_look_up_is_evidence_and_settles_nothing() -> None:
    there = world(TIMEOUT, look_ups=[LookedUp("absent", "GET /orders: none")])
    done = there.run(plan(KEYLESS, contract=LOOKS_UP))
    assert isinstance(done.error, NeedsReviewError)
    assert done.error.reason == "look_up_absent"
    assert (there.row.status, there.row.generation, len(there.rows)) == (Status.NEEDS_REVIEW, 1, 1)
    assert "GET /orders: none" in (there.row.error_summary or "")


@pytest.mark.parametrize("status", [it for it in Status if it is not Status.REJECTED], ids=lambda status: status.value)
def test_r3_the_generation_is_raised_by_nothing_but_a_refusal(status: Status) -> None:
    row = record(status=status, window_seconds=None)
    for request in (outgoing(), outgoing(body=b"{}")):
        step = begin(Run(plan(request=request, window_seconds=None)), Existing(row), at(9 * DAY))
        assert not isinstance(step, Reservation) or step.claim.record.generation == 1


# R7


@pytest.mark.parametrize(
    ("world_of", "profile", "move"),
    [
        (world(answer(422)), GENERIC, Move.REFUSAL),
        (world(REFUSED_CONNECTION), GENERIC, Move.NOT_SENT),
        (world(TIMEOUT), GENERIC, Move.NO_ANSWER),
        (world(TIMEOUT), KEYLESS, Move.STOP),
    ],
    ids=lambda value: value.value if isinstance(value, Move) else "",
)
def test_r7_bad_news_is_durable_before_anyone_is_told(world_of: World, profile: Profile, move: Move) -> None:
    world_of.run(plan(profile, backoff=ONCE))
    assert settled(world_of).settlement.move is move
    assert settled(world_of).settlement.durable


@pytest.mark.parametrize(
    "brought", [answer(422), answer(401), REFUSED_CONNECTION, TIMEOUT], ids=lambda it: str(it)[:20]
)
def test_r7_bad_news_that_could_not_be_recorded_is_told_as_unknown(brought: object) -> None:
    there = world(brought, faults=faults(Settle=[FULL]))  # type: ignore[arg-type]
    done = there.run(plan(backoff=ONCE))
    assert type(done.error) is OutcomeUnknownError
    assert "it could not be recorded: the disk is full" in str(done.error)
    assert done.unrecorded is settled(there).settlement
    assert done.error.retry_until is not None


def test_r7_what_must_be_reviewed_is_told_so_also_unrecorded() -> None:
    there = world(TIMEOUT, faults=faults(Settle=[FULL]))
    done = there.run(plan(KEYLESS))
    assert isinstance(done.error, NeedsReviewError)
    assert done.error.reason == "keyless"


def test_r7_a_success_is_told_although_it_could_not_be_recorded() -> None:
    there = world(answer(201), faults=faults(Settle=[FULL]))
    done = there.run(plan(contract=Contract(reference="/id")))
    assert done.error is None
    assert done.reply is not None
    assert done.record is not None
    assert (done.record.status, done.record.response_reference) == (Status.IN_FLIGHT, "ord_9")
    assert done.unrecorded is settled(there).settlement


# R7b


@pytest.mark.parametrize(
    ("profile", "window", "stored", "durable"),
    [
        (GENERIC, DAY, DAY, False),
        (GENERIC, 3601.0, 3601.0, False),
        (GENERIC, 3600.0, 3600.0, True),
        (GENERIC, DAY, 3600.0, True),
        (GENERIC, None, None, True),
        (KEYLESS, DAY, DAY, True),
    ],
)
def test_r7b_a_success_is_durable_where_a_replay_could_not_repair_its_loss(
    profile: Profile, window: float | None, stored: float | None, durable: bool
) -> None:
    of = plan(profile, window_seconds=window)
    row = record(of, window_seconds=stored, status=Status.IN_FLIGHT, holder="h.100.me", claim_nonce="n-me")
    there = world(answer(200))
    claimed = Reservation(Run(of), of.claim(at())).next(Claimed(row), at())
    there.rows = [row]
    there.run(claimed)
    assert settled(there).settlement.move is Move.SUCCESS
    assert settled(there).settlement.durable is durable


# R11


@pytest.mark.parametrize("status", [Status.PENDING, Status.UNKNOWN, Status.NEEDS_REVIEW, Status.ABANDONED])
def test_r11_a_success_settles_whatever_became_of_the_record_meanwhile(status: Status) -> None:
    there = world(answer(201))
    of = plan()
    first = there.perform(Reservation(Run(of), of.claim(at())))
    settle = there.perform(first)
    assert isinstance(settle, Settle)
    there.rows = [replace(there.row, status=status, fence=9, holder=None)]
    done = there.run(settle)
    assert done.error is None
    assert there.row.status is Status.SUCCEEDED


def test_r11_the_loser_of_a_settlement_race_returns_the_stored_result() -> None:
    stored = Existing(record(status=Status.SUCCEEDED, response_reference="ord_1", holder=None))
    there = world(answer(201), faults=faults(Settle=[stored]))
    done = there.run(plan())
    assert (done.error, done.record, done.reply) == (None, stored.record, None)


def test_r11_a_success_that_meets_a_closed_action_is_for_a_person() -> None:
    reviewed = record(status=Status.NEEDS_REVIEW, reason="effect_after_close")
    there = world(answer(201), faults=faults(Settle=[Settled(reviewed, contradiction=True)]))
    done = there.run(plan())
    assert isinstance(done.error, NeedsReviewError)
    assert done.error.reason == "effect_after_close"


def test_r11_a_found_effect_is_a_success() -> None:
    found = LookedUp("found", "GET /orders/9", Result(200, (), b"{}", "ord_9"))
    there = world(TIMEOUT, look_ups=[found])
    done = there.run(plan(KEYLESS, contract=LOOKS_UP))
    assert done.error is None
    assert (there.row.status, there.row.response_reference) == (Status.SUCCEEDED, "ord_9")
    event = settled(there).settlement.event
    assert event is not None
    assert event.detail == "found: GET /orders/9"


def test_r11_a_found_effect_is_told_although_it_could_not_be_recorded() -> None:
    found = LookedUp("found", "", Result(200, (), b"{}", "ord_9"))
    there = world(TIMEOUT, look_ups=[found], faults=faults(Settle=[FULL]))
    done = there.run(plan(KEYLESS, contract=LOOKS_UP))
    assert done.error is None
    assert done.record is not None
    assert (done.record.response_status, done.record.response_reference) == (200, "ord_9")


# R12


def test_r12_a_recovery_never_sends_what_is_pending() -> None:
    step = resume(plan(recovering=True), Existing(record(status=Status.PENDING, holder=None)), at(9))
    assert isinstance(step, Done)
    assert isinstance(step.error, NotSentError)


def test_r12_a_recovery_never_sends_a_claim_that_was_told_as_nothing_sent() -> None:
    of = plan(recovering=True, unsent=frozenset({"n-other"}))
    step = resume(of, Existing(record()), at(9))
    assert isinstance(step, Done)
    assert isinstance(step.error, NotSentError)


def test_r12_a_recovery_leaves_what_may_not_be_sent_as_it_is() -> None:
    row = record(status=Status.UNKNOWN)
    of = plan(recovering=True, contract=LOOKS_UP)
    assert resume(of, Existing(row), at(9 * DAY)) == Done(Run(of), row)


def test_r12_a_recovery_does_not_look_up_or_ask_for_a_request_that_was_not_kept() -> None:
    bare = plan(freeze="nothing")
    step = resume(plan(recovering=True), Existing(record(bare, status=Status.UNKNOWN)), at(9))
    assert isinstance(step, Done)
    assert isinstance(step.error, NeedsReviewError)
    assert step.error.reason == "not_frozen"


def test_r12_a_recovery_raises_no_generation() -> None:
    row = record(status=Status.REJECTED, completed_at=T0)
    step = resume(plan(recovering=True, contract=Contract(on_rejected="new_generation")), Existing(row), at(9))
    assert isinstance(step, Done)
    assert isinstance(step.error, ActionRejectedError)


def test_r12_a_recovery_of_what_is_gone_ends() -> None:
    there = world(alive=True, rows=[record()], while_away=lambda it: it.rows.clear())
    done = there.run(resume(plan(recovering=True), Existing(record(), alive=True), at(1)))
    assert done.record is None


# R13


def test_r13_the_stored_key_wins_over_a_derived_one() -> None:
    row = record(status=Status.PENDING, idempotency_key="stored", holder=None)
    step = begin(Run(plan()), Existing(row), at(9))
    assert isinstance(step, Reservation)
    assert step.claim.record.idempotency_key == "stored"


def test_r13_a_first_claim_and_a_new_generation_derive_their_keys() -> None:
    of = plan()
    assert of.claim(at()).record.idempotency_key == derive_key(of.secret, of.identity.digest, 1)
    row = record(status=Status.REJECTED, completed_at=T0)
    raised = begin(Run(plan(request=outgoing(body=b"{}"), started=at(9))), Existing(row), at(9))
    assert isinstance(raised, Reservation)
    assert raised.claim.record.idempotency_key == derive_key(of.secret, of.identity.digest, 2)


# R14


def credential(value: str, profile: Profile = GENERIC) -> Plan:
    return plan(profile, request=outgoing(credentials=(("authorization", value),)))


PINNING = replace(GENERIC, pins_credential=True)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.UNKNOWN, Status.IN_FLIGHT])
def test_r14_another_api_key_is_a_conflict_where_keys_belong_to_it(status: Status) -> None:
    row = record(credential("sk_1"), status=status)
    step = begin(Run(credential("sk_2", PINNING)), Existing(row), at(9))
    assert isinstance(step, Done)
    assert isinstance(step.error, KeyReusedError)
    assert step.error.changed == ("credential",)
    assert "sk_" not in str(step.error)


@pytest.mark.parametrize(
    ("first", "now", "kind"), [("sk_1", "sk_2", "credential_changed"), ("sk_1", "sk_1", "recovery")]
)
def test_r14_elsewhere_another_credential_is_told_of_at_the_resend(first: str, now: str, kind: str) -> None:
    row = record(credential(first), status=Status.UNKNOWN)
    step = begin(Run(credential(now)), Existing(row), at(9))
    assert isinstance(step, Renew)
    assert step.renewal.event is not None
    assert step.renewal.event.kind == kind


def test_r14_a_recovery_under_another_pinned_credential_is_a_conflict_too() -> None:
    of = replace(credential("sk_2", PINNING), recovering=True)
    step = resume(of, Existing(record(credential("sk_1"), status=Status.UNKNOWN)), at(9))
    assert isinstance(step, Done)
    assert isinstance(step.error, KeyReusedError)


def test_r14_the_credential_is_kept_as_a_keyed_digest_only() -> None:
    row = record(credential("Bearer sk_1"))
    assert row.credential_digest is not None
    assert "sk_1" not in repr(row) + row.credential_digest + str(row.frozen_request)
    assert record().credential_digest is None


# R15


def refused_at(when: float) -> Existing:
    return Existing(record(status=Status.REJECTED, completed_at=later(T0, when), response_status=422))


def test_r15_a_refusal_that_came_after_this_begin_started_is_its_answer() -> None:
    corrected = plan(request=outgoing(body=b"{}"), started=at(10))
    step = begin(Run(corrected), refused_at(11), at(12))
    assert isinstance(step, Done)
    assert isinstance(step.error, ActionRejectedError)
    earlier = begin(Run(corrected), refused_at(10), at(12))
    assert isinstance(earlier, Reservation)
    assert earlier.claim.record.generation == 2


def test_r15_a_begin_that_waited_returns_the_outcome_it_waited_for() -> None:
    there = world(rows=[record(last_seen_at=T0)], alive=True)

    def refuse(it: World) -> None:
        it.rows = [refused_at(0).record]

    there.while_away = refuse
    done = there.run(plan(contract=Contract(on_rejected="new_generation"), started=at(0.5)))
    assert there.names == ["Reservation", "Await", "Done"]
    assert isinstance(done.error, ActionRejectedError)


def test_r15_a_begin_that_waited_for_a_success_returns_it() -> None:
    there = world(rows=[record()], alive=True)

    def succeed(it: World) -> None:
        it.rows = [record(status=Status.SUCCEEDED, response_reference="ord_9", holder=None)]

    there.while_away = succeed
    done = there.run(plan())
    assert done.error is None
    assert done.record is not None
    assert done.record.response_reference == "ord_9"
    assert isinstance(there.steps[1], Await)


# R16


def test_r16_a_claim_insists_on_the_highest_generation_as_it_was_seen() -> None:
    row = record(status=Status.REJECTED, generation=4, fence=3, completed_at=T0)
    step = begin(Run(plan(request=outgoing(body=b"{}"), started=at(9))), Existing(row), at(9))
    assert isinstance(step, Reservation)
    assert step.claim.record.generation == 5
    assert step.claim.replaces is not None
    assert (step.claim.replaces.generation, step.claim.replaces.fence) == (4, 3)


def test_r16_duplicates_are_searched_as_the_contract_says() -> None:
    assert plan().claim(at()).duplicates_since is None
    hours = timedelta(hours=2)
    for rule, refuses in (("warn", False), ("reject", True)):
        contract = Contract(duplicates=rule, duplicate_window=hours)  # type: ignore[arg-type]
        claim = plan(contract=contract).claim(at())
        assert claim.duplicates_since == later(T0, -7200)
        assert claim.refuse_duplicates is refuses
        assert claim.record.guarded


def test_r16_a_duplicate_is_refused_with_the_other_actions_key() -> None:
    other = record(scope={"customer": "42", "cart": "c-1"})
    there = world(faults=faults(Reservation=[DuplicateFound(other)]))
    done = there.run(plan(STRIPE, contract=Contract(duplicates="reject"), started=at(180)))
    assert isinstance(done.error, DuplicateActionError)
    assert done.error.other_key == other.idempotency_key
