"""The rows of the table "Decided" in rules.md that the core has to keep."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from samekey._core.begin import Check, Refuse, TakeOver, decide
from samekey._core.model import Reply, later
from samekey._core.plan import Contract
from samekey._core.policy import Backoff
from samekey._core.run import Done, Run
from samekey._core.states import Status
from samekey._core.steps import Await, Renew, Reservation, begin, start
from samekey._core.verbs import Existing, StoreFailed
from samekey.errors import (
    ActionRejectedError,
    KeyReusedError,
    NotSentError,
    OutcomeUnknownError,
    StoreUnavailableError,
)
from tests.core.driving import (
    DAY,
    GENERIC,
    HTML,
    JSON,
    KEYLESS,
    T0,
    TIMEOUT,
    answer,
    at,
    faults,
    outgoing,
    plan,
    record,
    world,
)

if TYPE_CHECKING:
    from samekey._core.plan import Plan

ONCE = Backoff(attempts=1)


def body(text: bytes, *volatile: str) -> Plan:
    return plan(request=outgoing(body=text), contract=Contract(volatile=volatile), started=at(9))


# Corrected payload after `rejected`


def test_corrected_data_after_a_refusal_binds_a_new_generation() -> None:
    row = record(status=Status.REJECTED, completed_at=T0, response_status=422)
    corrected = body(b'{"total":"20.00"}')
    step = begin(Run(corrected), Existing(row), at(9))
    assert isinstance(step, Reservation)
    new = step.claim.record
    assert (new.generation, new.request_fingerprint) == (2, corrected.digest.digest)
    assert (new.attempts, new.fence, new.created_at) == (1, 1, at(9).wall)
    assert new.idempotency_key != row.idempotency_key
    assert step.claim.event is not None
    assert (step.claim.event.kind, step.claim.event.detail) == ("new_generation", "generation 2")


# `pending` at begin


def test_what_is_pending_is_claimed_anew_and_its_window_runs_from_this_send() -> None:
    row = record(status=Status.PENDING, attempts=3, fence=4, open_attempts=0, first_sent_at=None, holder=None)
    there = world(answer(200), rows=[row], seconds=500.0)
    there.run(plan(started=at(500)))
    claimed = there.sends[0].record
    assert (claimed.attempts, claimed.fence, claimed.open_attempts) == (4, 5, 1)
    assert (claimed.first_sent_at, claimed.created_at) == (at(500).wall, T0)
    assert claimed.idempotency_key == row.idempotency_key


def test_what_is_pending_takes_other_data_under_its_key() -> None:
    """Nothing was done: whoever mends what was wrong is not told of data that nobody has."""
    row = record(status=Status.PENDING, fence=4, origin="https://elsewhere.example:443", holder=None)
    other = body(b"{}")
    step = begin(Run(other), Existing(row), at(9))
    assert isinstance(step, Reservation)
    new = step.claim.record
    assert (new.idempotency_key, new.generation, new.fence) == (row.idempotency_key, 1, 5)
    assert (new.request_fingerprint, new.origin) == (other.digest.digest, other.outgoing.origin)
    assert new.request_fingerprint != row.request_fingerprint


@pytest.mark.parametrize("status", [status for status in Status if status not in {Status.PENDING, Status.REJECTED}])
def test_whatever_else_it_may_be_other_data_are_a_conflict(status: Status) -> None:
    step = begin(Run(body(b"{}")), Existing(record(status=status)), at(9))
    assert isinstance(step, Done)
    assert isinstance(step.error, KeyReusedError)


# Refused in front


@pytest.mark.parametrize("status", [401, 407, 421, 425, 428, 431])
def test_refused_in_front_leaves_the_key_fresh_and_may_be_run_again(status: int) -> None:
    there = world(answer(status), answer(200))
    done = there.run(plan())
    assert isinstance(done.error, ActionRejectedError)
    assert done.error.retry_safe
    assert there.row.status is Status.PENDING
    again = there.run(plan())
    assert again.error is None
    assert len({send.record.idempotency_key for send in there.sends}) == 1


def test_a_429_waits_first_and_then_says_that_nothing_was_done() -> None:
    limited = answer(429, headers=(("retry-after", "3"),))
    there = world(limited, limited)
    done = there.run(plan(backoff=Backoff(attempts=2)))
    assert there.names == ["Reservation", "Send", "Sleep", "Renew", "Send", "Settle", "Done"]
    assert isinstance(done.error, NotSentError)
    assert done.error.retry_after == 3
    assert "so nothing was done; run it again in 3 s." in str(done.error)
    assert there.row.status is Status.PENDING


@pytest.mark.parametrize("status", [403, 404, 405, 413, 415])
@pytest.mark.parametrize(("headers", "state"), [(JSON, Status.REJECTED), (HTML, Status.PENDING), ((), Status.PENDING)])
def test_a_404_is_the_apis_own_only_with_its_content_type(
    status: int, headers: tuple[tuple[str, str], ...], state: Status
) -> None:
    there = world(Reply(status, headers, b"{}"))
    done = there.run(plan())
    assert isinstance(done.error, ActionRejectedError)
    assert done.error.retry_safe is (state is Status.PENDING)
    assert there.row.status is state


@pytest.mark.parametrize("status", [301, 302, 303, 304])
def test_a_redirect_is_never_followed_and_unknown(status: int) -> None:
    there = world(answer(status))
    assert isinstance(there.run(plan()).error, OutcomeUnknownError)
    assert len(there.sends) == 1


@pytest.mark.parametrize("status", [307, 308])
def test_a_307_to_the_only_send_is_refused_in_front_and_else_unknown(status: int) -> None:
    assert isinstance(world(answer(status)).run(plan()).error, ActionRejectedError)
    later_on = world(TIMEOUT, answer(status))
    assert isinstance(later_on.run(plan()).error, OutcomeUnknownError)
    assert later_on.row.status is Status.UNKNOWN


def test_a_101_is_unknown() -> None:
    there = world(answer(101))
    assert isinstance(there.run(plan()).error, OutcomeUnknownError)


# Results


def test_a_result_by_reference_keeps_status_and_reference_only() -> None:
    there = world(answer(201))
    there.run(plan(keep="reference", contract=Contract(reference="/id")))
    row = there.row
    assert (row.response_status, row.response_reference, row.response_body, row.response_headers) == (
        201,
        "ord_9",
        None,
        (),
    )


def test_a_settled_record_holds_no_request() -> None:
    there = world(answer(201))
    there.run(plan())
    assert there.sends[0].record.frozen_request is not None
    assert there.row.frozen_request is None


@pytest.mark.parametrize(("days", "ends"), [(30, 30 * DAY), (1, 7 * DAY)])
def test_a_record_expires_after_its_retention_and_never_before_its_window(days: int, ends: float) -> None:
    there = world(answer(201))
    there.run(plan(contract=Contract(retention=timedelta(days=days)), window_seconds=7 * DAY))
    assert there.row.expires_at == later(T0, ends)


def test_an_unsettled_record_does_not_expire() -> None:
    there = world(TIMEOUT)
    there.run(plan(backoff=ONCE))
    assert there.row.expires_at is None


# Contract or profile changed between runs


def test_data_is_compared_under_the_records_own_volatile_list() -> None:
    row = record(body(b'{"total":1,"sent_at":"a"}', "/sent_at"), status=Status.SUCCEEDED)
    assert row.volatile == ("/sent_at",)
    forgotten = begin(Run(body(b'{"total":1,"sent_at":"b"}')), Existing(row), at(9))
    assert isinstance(forgotten, Done)
    assert forgotten.error is None
    strict = record(body(b'{"total":1,"sent_at":"a"}'), status=Status.SUCCEEDED)
    declared = begin(Run(body(b'{"total":1,"sent_at":"b"}', "/sent_at")), Existing(strict), at(9))
    assert isinstance(declared, Done)
    assert isinstance(declared.error, KeyReusedError)
    assert declared.error.changed == ("/sent_at",)


@pytest.mark.parametrize(("stored", "current"), [(3600.0, DAY), (DAY, 3600.0)])
def test_the_stricter_of_both_windows_wins(stored: float, current: float) -> None:
    row = record(status=Status.UNKNOWN, window_seconds=stored)
    profile = replace(GENERIC, window_seconds=current)
    assert isinstance(begin(Run(plan(profile)), Existing(row), at(3400)), Renew)
    assert not isinstance(begin(Run(plan(profile)), Existing(row), at(3500)), Renew)


# A claim whose commit reported an error


def test_a_claim_that_reported_an_error_says_do_not_do_it_another_way() -> None:
    full = StoreFailed(StoreUnavailableError("the disk is full.", uncertain=True), uncertain=True)
    done = world(faults=faults(Reservation=[full])).run(plan())
    assert isinstance(done.error, StoreUnavailableError)
    assert done.error.uncertain
    assert "Run the same action again, do not do it another way" in str(done.error)


def test_an_own_claim_without_a_task_was_not_sent_and_is_claimed_anew() -> None:
    step = begin(Run(plan(unsent=frozenset({"n-other"}))), Existing(record()), at(9))
    assert isinstance(step, Reservation)
    assert (step.claim.record.generation, step.claim.record.open_attempts) == (1, 1)


@pytest.mark.parametrize(
    "row", [record(open_attempts=2), record(claim_nonce="n-2")], ids=["taken over", "another claim"]
)
def test_what_was_taken_over_since_is_no_own_claim_any_more(row: object) -> None:
    assert isinstance(row, type(record()))
    step = begin(Run(plan(unsent=frozenset({"n-other"}))), Existing(row), at(9))
    assert isinstance(step, Renew)


# Another host's holder


def test_a_holder_that_cannot_be_probed_is_alive_until_its_lease_ends() -> None:
    elsewhere = record(boot_id="boot-of-another-host")
    assert isinstance(begin(Run(plan(started=at(65))), Existing(elsewhere, alive=True), at(65)), Await)
    assert isinstance(begin(Run(plan(started=at(66))), Existing(elsewhere, alive=True), at(66)), Renew)


# Frozen bytes


def test_a_rerun_sends_the_frozen_bytes_of_the_first_run() -> None:
    first = body(b'{"total":1,"sent_at":"a"}', "/sent_at")
    there = world(answer(200), rows=[record(first)])
    done = there.run(body(b'{"total":1,"sent_at":"b"}', "/sent_at"))
    assert done.error is None
    assert there.sends[0].frozen is not None
    assert there.sends[0].frozen.body == b'{"total":1,"sent_at":"a"}'


def test_without_a_kept_body_a_rerun_must_bring_the_same_bytes() -> None:
    bare = replace(body(b'{"total":1,"sent_at":"a"}', "/sent_at"), freeze="nothing")
    row = record(bare, status=Status.UNKNOWN)
    same = begin(Run(bare), Existing(row), at(9))
    assert isinstance(same, Renew)
    assert same.frozen.body is None
    other = begin(Run(body(b'{"total":1,"sent_at":"b"}', "/sent_at")), Existing(row), at(9))
    assert isinstance(other, Done)
    assert isinstance(other.error, KeyReusedError)
    assert other.error.changed == ("body",)


def test_a_stream_is_sent_once_in_a_run() -> None:
    stream = plan(request=outgoing(body=None, fingerprint="file-1"), freeze="nothing")
    there = world(TIMEOUT)
    assert isinstance(there.run(stream).error, OutcomeUnknownError)
    assert len(there.sends) == 1


def test_the_first_send_is_the_request_as_it_was_built() -> None:
    step = start(plan())
    assert isinstance(step, Reservation)
    there = world(answer(200))
    there.run(step)
    assert there.sends[0].frozen is None


@pytest.mark.parametrize("stamp", [None, "note"])
def test_what_was_sent_without_a_key_is_checked_and_never_taken_over(stamp: str | None) -> None:
    contract = Contract(stamp=stamp)
    row = record(plan(KEYLESS, contract=contract), status=Status.UNKNOWN)
    assert decide(plan(GENERIC, contract=contract), Existing(row), at(1)) == Check(row, "keyless")


def test_a_key_that_went_elsewhere_is_left_as_it_is() -> None:
    row = record(plan(GENERIC), status=Status.UNKNOWN)
    decision = decide(plan(replace(GENERIC, key_header="X-Key")), Existing(row), at(1))
    assert isinstance(decision, Refuse)
    assert isinstance(decision.error, KeyReusedError)
    assert isinstance(decide(plan(GENERIC), Existing(row), at(1)), TakeOver)
