"""Whole runs, step by step: what is performed, what is written, what the caller is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, FrozenInstanceError, fields, replace
from datetime import datetime

import pytest

from samekey._core.model import Failure, Record, later
from samekey._core.plan import Contract
from samekey._core.policy import Backoff
from samekey._core.run import Done, LookedUp, Run
from samekey._core.states import Status
from samekey._core.steps import Await, Renew, begin
from samekey._core.verbs import DuplicateFound, Existing, ScopeNamesDiffer, StoreFailed
from samekey.errors import (
    ActionInProgressError,
    ActionRejectedError,
    DuplicateActionError,
    KeyReusedError,
    NeedsReviewError,
    NotSentError,
    OutcomeUnknownError,
    SamekeyError,
    StoreFormatError,
    StoreUnavailableError,
    UsageError,
)
from tests.core.driving import (
    DAY,
    GENERIC,
    KEYLESS,
    REFUSED_CONNECTION,
    STRIPE,
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

FULL = StoreFailed(StoreUnavailableError("the disk is full, so nothing was sent; free space and run it again."))
BUSY = answer(409, b'{"error":{"code":"idempotency_key_in_use"}}')
MISMATCH = answer(400, b'{"error":{"type":"idempotency_error"}}')


def error_of(done: Done) -> SamekeyError:
    assert done.error is not None
    assert str(done.error).startswith("create_order(customer=42, cart='c-9'): ")
    assert str(done.error).endswith(".")
    return done.error


def test_the_happy_path_claims_sends_and_settles() -> None:
    there = world(answer(201))
    done = there.run(plan(contract=Contract(reference="/id")))
    assert there.names == ["Reservation", "Send", "Settle", "Done"]
    assert done.error is None
    assert done.note is None
    assert done.reply == answer(201)
    assert (there.row.status, there.row.response_reference) == (Status.SUCCEEDED, "ord_9")
    assert there.settlements[0].settlement.event is None


@pytest.mark.parametrize("freeze", ["request", "nothing"])
def test_a_claim_is_a_whole_record(freeze: str) -> None:
    row = plan(freeze=freeze).claim(at(0)).record
    needed = {each.name: each.type for each in fields(Record) if each.default is MISSING}
    kinds = {"str": str, "int": int, "Status": Status, "datetime": datetime, "Mapping[str, str]": Mapping}
    for name, kind in needed.items():
        assert isinstance(getattr(row, name), kinds.get(getattr(kind, "__name__", str(kind)), Mapping)), name
    assert row == Record(**{each.name: getattr(row, each.name) for each in fields(Record)})
    with pytest.raises(FrozenInstanceError):
        row.attempts = 2  # type: ignore[misc]


def test_the_second_run_gets_the_stored_result_and_sends_nothing() -> None:
    there = world(answer(201))
    there.run(plan())
    done = there.run(plan())
    assert there.names[4:] == ["Reservation", "Done"]
    assert (done.error, done.reply) == (None, None)
    assert done.note is not None
    assert done.note.kind == "replay"


def test_a_time_out_is_followed_by_the_same_key() -> None:
    there = world(TIMEOUT, answer(201))
    done = there.run(plan())
    assert done.error is None
    assert len({send.record.idempotency_key for send in there.sends}) == 1
    assert done.run.sent == 2


def test_attempts_that_run_out_leave_it_unknown_and_say_until_when_to_run_it_again() -> None:
    there = world(*[TIMEOUT] * 5)
    error = error_of(there.run(plan()))
    assert isinstance(error, OutcomeUnknownError)
    assert error.retry_safe
    assert error.retry_until == later(at().wall, DAY - 120)
    assert error.attempts == 5
    assert "sent 5 times without a usable answer (last: no answer within 30 s)" in str(error)
    assert (there.row.status, there.row.open_attempts) == (Status.UNKNOWN, 5)


def test_a_wait_longer_than_the_time_left_parks_the_action() -> None:
    there = world(answer(503, headers=(("retry-after", "3600"),)))
    error = error_of(there.run(plan()))
    assert isinstance(error, OutcomeUnknownError)
    assert error.retry_after == 3600
    assert "Sleep" not in there.names


def test_a_refusal_is_stored_and_told_with_its_reply() -> None:
    there = world(answer(422))
    done = there.run(plan())
    error = error_of(done)
    assert isinstance(error, ActionRejectedError)
    assert not error.retry_safe
    assert done.reply == answer(422)
    assert (there.row.status, there.row.response_status, there.row.error_summary) == (
        Status.REJECTED,
        422,
        "HTTP 422",
    )


def test_no_connection_is_told_with_the_number_of_tries() -> None:
    there = world(*[REFUSED_CONNECTION] * 5)
    error = error_of(there.run(plan()))
    assert isinstance(error, NotSentError)
    assert error.retry_safe
    assert "no connection to api.example (connection refused, 5 attempts in" in str(error)


def test_the_deadline_shrinks_what_is_left_for_each_attempt() -> None:
    there = world(TIMEOUT, answer(200), takes=20.0)
    there.run(plan())
    assert [send.seconds for send in there.sends] == [60, pytest.approx(60 - 20 - 0.25)]


def test_a_run_stops_at_its_deadline() -> None:
    there = world(*[TIMEOUT] * 5, takes=31.0)
    assert isinstance(error_of(there.run(plan())), OutcomeUnknownError)
    assert len(there.sends) == 2


@pytest.mark.parametrize(("profile", "fresh"), [(GENERIC, False), (KEYLESS, True)])
def test_a_write_that_cannot_be_asked_again_goes_out_on_a_fresh_connection(profile: object, fresh: bool) -> None:
    there = world(answer(200))
    there.run(plan(profile))  # type: ignore[arg-type]
    assert there.sends[0].fresh is fresh


# Keyless


@pytest.mark.parametrize(
    "brought", [TIMEOUT, answer(500), answer(408), answer(200, b"<", (("content-type", "text/html"),))]
)
def test_a_keyless_write_that_may_have_happened_is_never_sent_twice(brought: Failure) -> None:
    there = world(brought)
    error = error_of(there.run(plan(KEYLESS)))
    assert isinstance(error, NeedsReviewError)
    assert error.reason == "keyless"
    assert len(there.sends) == 1
    error = error_of(there.run(plan(KEYLESS)))
    assert isinstance(error, NeedsReviewError)
    assert len(there.sends) == 1


# The API is still on it, or knows the key with other data


def test_still_running_is_asked_again_and_then_told() -> None:
    there = world(*[BUSY] * 2)
    error = error_of(there.run(plan(STRIPE, backoff=Backoff(attempts=2))))
    assert isinstance(error, ActionInProgressError)
    assert there.row.status is Status.UNKNOWN
    assert len(there.sends) == 2


def test_still_running_is_told_at_once_where_the_contract_says_so() -> None:
    there = world(BUSY)
    error = error_of(there.run(plan(STRIPE, contract=Contract(on_in_progress="raise"))))
    assert isinstance(error, ActionInProgressError)
    assert error.retry_after == 1.0
    assert len(there.sends) == 1


def test_other_data_under_a_fresh_key_stops_for_a_person() -> None:
    there = world(MISMATCH)
    error = error_of(there.run(plan(STRIPE)))
    assert isinstance(error, KeyReusedError)
    assert error.by == "server"
    assert (there.row.status, there.row.reason) == (Status.NEEDS_REVIEW, "key_reused_by_server")


def test_other_data_in_answer_to_identical_bytes_is_a_contradiction() -> None:
    there = world(TIMEOUT, MISMATCH)
    error = error_of(there.run(plan(STRIPE)))
    assert isinstance(error, NeedsReviewError)
    assert error.reason == "server_conflict"


# A window that nobody has declared


def test_a_missing_window_leaves_the_record_open_until_it_is_declared() -> None:
    there = world(TIMEOUT, answer(201))
    undeclared = replace(GENERIC, window_seconds=None)
    error = error_of(there.run(plan(undeclared)))
    assert isinstance(error, NeedsReviewError)
    assert error.reason == "window_unknown"
    assert there.row.status is Status.UNKNOWN
    error = error_of(there.run(plan(undeclared)))
    assert isinstance(error, NeedsReviewError)
    assert len(there.sends) == 1
    assert there.run(plan()).error is None
    assert len(there.sends) == 2


# The store


def test_a_claim_that_failed_sends_nothing() -> None:
    there = world(faults=faults(Reservation=[FULL]))
    error = error_of(there.run(plan()))
    assert isinstance(error, StoreUnavailableError)
    assert not error.uncertain
    assert there.names == ["Reservation", "Done"]


def test_a_store_that_is_not_ours_is_told_as_such() -> None:
    there = world(faults=faults(Reservation=[StoreFailed(StoreFormatError("x is damaged."))]))
    assert type(error_of(there.run(plan()))) is StoreFormatError


def test_a_renewal_that_failed_after_an_open_attempt_leaves_it_unknown() -> None:
    there = world(TIMEOUT, faults=faults(Renew=[FULL]))
    error = error_of(there.run(plan()))
    assert isinstance(error, OutcomeUnknownError)
    assert "no answer within 30 s; then the disk is full" in str(error)


def test_a_take_over_that_the_store_refused_is_the_stores_error() -> None:
    there = world(rows=[record()], faults=faults(Renew=[FULL]))
    assert isinstance(error_of(there.run(plan())), StoreUnavailableError)


def test_that_nothing_was_sent_is_not_told_while_the_claim_says_otherwise() -> None:
    # The row is still in flight, so after its lease recover() sends it: whoever did it another way has it twice (R7).
    there = world(REFUSED_CONNECTION, faults=faults(Renew=[FULL]))
    error = error_of(there.run(plan()))
    assert isinstance(error, OutcomeUnknownError)
    assert error.retry_safe
    assert there.row.status is Status.IN_FLIGHT


def test_a_wait_that_failed_is_the_stores_error() -> None:
    there = world(rows=[record()], alive=True, faults=faults(Await=[FULL]))
    assert isinstance(error_of(there.run(plan())), StoreUnavailableError)


def test_another_payload_of_a_known_operation_is_refused_or_told_of() -> None:
    other = record(scope={"customer": "42", "cart": "c-1"})
    error = error_of(world(faults=faults(Reservation=[DuplicateFound(other)])).run(plan()))
    assert isinstance(error, DuplicateActionError)


def test_other_scope_names_for_a_known_operation_are_a_usage_error() -> None:
    done = world(faults=faults(Reservation=[ScopeNamesDiffer(("customer",))])).run(plan())
    assert isinstance(error_of(done), UsageError)
    assert "with the scope customer;" in str(done.error)


def test_a_damaged_frozen_request_is_told_and_nothing_is_sent() -> None:
    there = world(rows=[record(frozen_request=b"damaged")])
    error = error_of(there.run(plan()))
    assert isinstance(error, StoreFormatError)
    assert there.sends == []


def test_a_record_without_its_request_is_for_a_person() -> None:
    there = world(rows=[record(frozen_request=None)])
    error = error_of(there.run(plan()))
    assert isinstance(error, NeedsReviewError)
    assert error.reason == "not_frozen"


# Waiting for another


def test_a_holder_that_dies_is_taken_over() -> None:
    there = world(answer(200), rows=[record()], alive=True)

    def die(it: World) -> None:
        it.alive = False

    there.while_away = die
    done = there.run(plan())
    assert there.names == ["Reservation", "Await", "Renew", "Send", "Settle", "Done"]
    assert done.run.recovered
    assert done.run.waited == 1


def test_a_holder_that_goes_on_is_told_of_at_the_deadline() -> None:
    there = world(rows=[record(lease_expires_at=later(at().wall, 90))], alive=True)
    error = error_of(there.run(plan()))
    assert isinstance(error, ActionInProgressError)
    assert "process 200 has been sending it for 60 s" in str(error)
    assert error.retry_after == 30


def test_an_action_that_vanished_while_waiting_is_claimed() -> None:
    there = world(answer(200), rows=[record()], alive=True, while_away=lambda it: it.rows.clear())
    assert there.run(plan()).error is None
    assert there.names == ["Reservation", "Await", "Reservation", "Send", "Settle", "Done"]


def test_an_own_task_is_called_this_process() -> None:
    step = begin(Run(plan(contract=Contract(on_in_progress="raise"))), Existing(record(), alive=True, own=True), at(3))
    assert isinstance(step, Done)
    assert "this process has been sending it for 3 s" in str(step.error)


# The retry budget


def test_a_budget_that_is_spent_ends_the_run() -> None:
    there = world(TIMEOUT, grants=[False])
    error = error_of(there.run(plan()))
    assert isinstance(error, OutcomeUnknownError)
    assert error.retry_after == 1.0  # no draw of luck
    event = there.settlements[0].settlement.event
    assert event is not None
    assert event.kind == "budget_stop"


# Looking up


def test_a_look_up_that_finds_nothing_definite_is_for_a_person() -> None:
    look_up = LookedUp("found", "but without an object", final=True)
    there = world(rows=[record()], look_ups=[look_up], seconds=2 * DAY)
    error = error_of(there.run(plan(contract=Contract(looks_up=True), started=at(2 * DAY))))
    assert isinstance(error, NeedsReviewError)
    assert error.reason == "look_up_inconclusive"
    assert there.row.error_summary == "window_closed; ; found: but without an object"


def test_a_renewal_that_came_too_late_follows_what_the_store_says() -> None:
    stored = Existing(record(status=Status.SUCCEEDED, response_reference="ord_1", holder=None))
    there = world(rows=[record()], faults=faults(Renew=[stored]))
    done = there.run(plan())
    assert (done.error, done.record) == (None, stored.record)
    assert there.sends == []


def test_waiting_and_taking_over_are_steps_of_their_own() -> None:
    assert {type(begin(Run(plan()), Existing(record(), alive=alive), at(1))) for alive in (True, False)} == {
        Await,
        Renew,
    }
    assert outgoing().body is not None
