"""The rules when an action is begun: every state, data, window, holder and contract, against the design's table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import pytest

from samekey._core.model import Moment, Record, later
from samekey._core.plan import Contract, Plan
from samekey._core.run import Done, Run
from samekey._core.states import Status
from samekey._core.steps import Await, Renew, Reservation, Settle, Step, begin
from samekey._core.verbs import Existing
from samekey.errors import (
    ActionAbandonedError,
    ActionInProgressError,
    ActionRejectedError,
    KeyReusedError,
    NeedsReviewError,
)
from tests.core.driving import DAY, GENERIC, KEYLESS, T0, at, outgoing, plan, record

OPEN, CLOSED, UNKNOWN = "open", "closed", "unknown"

OnRejected = Literal["if_changed", "raise", "new_generation"]
OnInProgress = Literal["wait", "raise"]


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    status: Status
    same_data: bool
    same_origin: bool
    window: str
    keyed: bool
    alive: bool
    on_rejected: OnRejected
    on_in_progress: OnInProgress

    @property
    def now(self) -> Moment:
        # A live holder's lease has not run out, so a window that is closed beside one is a short one.
        return at(10 if self.alive else 2 * DAY if self.window == CLOSED else 3600)

    @property
    def seconds(self) -> float | None:
        return None if self.window == UNKNOWN else 150.0 if self.window == CLOSED else DAY

    def plan(self) -> Plan:
        request = outgoing()
        if not self.same_data:
            request = replace(request, body=b'{"total":"20.00"}')
        if not self.same_origin:
            request = replace(request, origin="https://sandbox.example:443")
        profile = replace(GENERIC if self.keyed else KEYLESS, window_seconds=self.seconds)
        contract = Contract(on_rejected=self.on_rejected, on_in_progress=self.on_in_progress)
        return plan(profile, request=request, contract=contract, started=self.now)

    def record(self) -> Record:
        profile = replace(GENERIC if self.keyed else KEYLESS, window_seconds=self.seconds)
        row = record(plan(profile), status=self.status)
        if self.status is Status.REJECTED:
            row = replace(row, completed_at=later(T0, 5), response_status=422, holder=None)
        return row


def expected(case: Case) -> str:
    """What the design's table says, row by row."""
    changed = not (case.same_data and case.same_origin)
    if case.status is Status.REJECTED:
        if case.on_rejected == "new_generation" or (case.on_rejected == "if_changed" and changed):
            return "generation 2"
        return "ActionRejectedError"
    if case.status is Status.PENDING:
        return "generation 1"
    if not case.same_origin:
        return "KeyReusedError origin"
    if not case.same_data:
        return "KeyReusedError /total"
    if case.status is Status.SUCCEEDED:
        return "stored result"
    if case.status is Status.NEEDS_REVIEW:
        return "NeedsReviewError"
    if case.status is Status.ABANDONED:
        return "ActionAbandonedError"
    if case.status is Status.IN_FLIGHT and case.alive:
        return "wait" if case.on_in_progress == "wait" else "ActionInProgressError"
    if not case.keyed:
        return "stop keyless"
    if case.window == OPEN:
        return "take over"
    if case.window == CLOSED:
        return "stop window_closed"
    return "unknown, left open"


def name_of(step: Step) -> str:
    """A step in the table's words."""
    match step:
        case Reservation(claim=claim):
            return f"generation {claim.record.generation}"
        case Await():
            return "wait"
        case Renew():
            return "take over"
        case Settle(settlement=settlement) if settlement.reason:
            return f"stop {settlement.reason}"
        case Settle():
            return "unknown, left open"
        case Done(error=None):
            return "stored result"
        case Done(error=NeedsReviewError(reason="window_unknown")):
            return "unknown, left open"
        case Done(error=KeyReusedError() as error):
            return f"KeyReusedError {' '.join(error.changed)}"
        case Done(error=error):
            return type(error).__name__
        case _:
            raise AssertionError(step)


def cases(status: Status) -> Iterator[Case]:
    rejected: tuple[OnRejected, ...] = ("if_changed", "raise", "new_generation")
    in_progress: tuple[OnInProgress, ...] = ("wait", "raise")
    both = (True, False)
    for facts in product(both, both, (OPEN, CLOSED, UNKNOWN), both, both, rejected, in_progress):
        yield Case(status, *facts)


@pytest.mark.parametrize("status", Status, ids=lambda status: status.value)
def test_begin_follows_the_table(status: Status) -> None:
    wrong = []
    for case in cases(status):
        step = begin(Run(case.plan()), Existing(case.record(), alive=case.alive), case.now)
        if name_of(step) != expected(case):
            wrong.append((case, name_of(step), expected(case)))
    assert wrong == []


@pytest.mark.parametrize("status", Status, ids=lambda status: status.value)
def test_what_is_raised_at_begin_names_the_action_and_ends_with_a_full_stop(status: Status) -> None:
    for case in cases(status):
        step = begin(Run(case.plan()), Existing(case.record(), alive=case.alive), case.now)
        if isinstance(step, Done) and step.error is not None:
            assert str(step.error).startswith("create_order(customer=42, cart='c-9'): ")
            assert str(step.error).endswith(".")
            assert step.error.key == case.record().idempotency_key
            assert step.error.status is status


def test_the_first_begin_claims() -> None:
    from samekey._core.steps import start

    step = start(plan())
    assert isinstance(step, Reservation)
    assert step.claim.replaces is None
    assert step.claim.record.status is Status.IN_FLIGHT
    assert step.claim.record.first_sent_at == T0


def test_a_waiting_begin_waits_no_longer_than_its_deadline() -> None:
    existing = Existing(record(), alive=True)
    run = Run(plan())
    step = begin(run, existing, at(12))
    assert isinstance(step, Await)
    assert step.seconds == 48
    over = begin(run, Existing(replace(existing.record, lease_expires_at=later(T0, 99)), alive=True), at(60))
    assert isinstance(over, Done)
    assert isinstance(over.error, ActionInProgressError)
    assert over.error.retry_after == 39
    assert over.error.retry_safe


@pytest.mark.parametrize(
    ("status", "note"),
    [
        (Status.SUCCEEDED, "replay"),
        (Status.REJECTED, "refused_again"),
        (Status.NEEDS_REVIEW, "blocked"),
        (Status.ABANDONED, "blocked"),
    ],
)
def test_what_is_answered_from_the_record_leaves_an_event(status: Status, note: str) -> None:
    step = begin(Run(plan()), Existing(record(status=status)), at(1))
    assert isinstance(step, Done)
    assert step.note is not None
    assert step.note.kind == note


def test_a_conflict_leaves_an_event_on_the_record() -> None:
    other = plan(request=outgoing(body=b"{}"))
    step = begin(Run(other), Existing(record(status=Status.SUCCEEDED)), at(1))
    assert isinstance(step, Done)
    assert step.note is not None
    assert (step.note.kind, step.note.detail) == ("conflict", "KeyReusedError")


@pytest.mark.parametrize(
    ("status", "error"),
    [(Status.REJECTED, ActionRejectedError), (Status.ABANDONED, ActionAbandonedError)],
)
def test_settled_failures_are_raised_again(status: Status, error: type[Exception]) -> None:
    step = begin(Run(plan()), Existing(record(status=status, response_status=422)), at(1))
    assert isinstance(step, Done)
    assert type(step.error) is error
