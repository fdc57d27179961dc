"""The whole table of the unknown: state x window x profile x look-up x contract, and what is sent, raised and stored.

A second opinion: `expected` is written from the rules and knows nothing of the code. No combination is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import pytest

from samekey._core.model import Failure, Record, Reply, Result, later
from samekey._core.plan import Contract, Plan, Profile
from samekey._core.policy import Backoff
from samekey._core.run import LookedUp
from samekey._core.states import Status
from samekey.errors import NeedsReviewError
from tests.core.driving import DAY, GENERIC, KEYLESS, T0, TIMEOUT, answer, at, plan, record, world

S = Status
NOTHING, FOUND, ABSENT, SURE, UNSURE = "none", "found", "absent", "absent for sure", "inconclusive"
KEYED, NO_KEYS, UNDECLARED = "keyed", "keyless", "unknown window"
OPEN, CLOSED = "open", "closed"

LOOK_UPS = {
    FOUND: LookedUp("found", "GET", Result(None, (), None, "ord_1")),
    ABSENT: LookedUp("absent", "GET"),
    SURE: LookedUp("absent", "GET", consistent=True),
    UNSURE: LookedUp("inconclusive", "GET"),
}

OnRejected = Literal["if_changed", "raise", "new_generation"]
OnServerError = Literal["profile", "resend", "review"]


@dataclass(frozen=True)
class Case:
    """One line of the table. Without a state the action is new, and its first attempt gets no answer, or a 500."""

    status: Status | None
    window: str
    profile: str
    look_up: str
    on_rejected: OnRejected = "if_changed"
    on_server_error: OnServerError = "profile"
    first: str = ""

    @property
    def api(self) -> Profile:
        if self.profile == NO_KEYS:
            return KEYLESS
        # A closed one is too short for any resend (R1), so that new actions can meet it too.
        seconds = None if self.profile == UNDECLARED else 150.0 if self.window == CLOSED else DAY
        return replace(GENERIC, window_seconds=seconds)

    def plan(self, seconds: float) -> Plan:
        contract = Contract(
            looks_up=self.look_up != NOTHING, on_rejected=self.on_rejected, on_server_error=self.on_server_error
        )
        return plan(self.api, contract=contract, backoff=Backoff(attempts=1), started=at(seconds))

    def row(self) -> Record:
        row = record(plan(self.api), status=self.status, reason="keyless" if self.status is S.NEEDS_REVIEW else None)
        if row.settled:
            row = replace(row, completed_at=later(T0, 5), response_status=422, holder=None, frozen_request=None)
        return row if self.status is S.IN_FLIGHT else replace(row, holder=None)


@dataclass(frozen=True)
class Outcome:
    """What is sent, raised and stored."""

    sent: int
    raised: str
    stored: Status
    generation: int = 1


DONE = Outcome(1, "", S.SUCCEEDED)


def expected(case: Case) -> Outcome:
    """What the rules say."""
    match case.status:
        case S.SUCCEEDED:
            return Outcome(0, "", S.SUCCEEDED)
        case S.REJECTED if case.on_rejected == "new_generation":
            return Outcome(1, "", S.SUCCEEDED, 2)
        case S.REJECTED:
            return Outcome(0, "ActionRejectedError", S.REJECTED)
        case S.PENDING:
            return DONE
        case S.NEEDS_REVIEW:
            return Outcome(0, "NeedsReviewError keyless", S.NEEDS_REVIEW)
        case S.ABANDONED:
            return Outcome(0, "ActionAbandonedError", S.ABANDONED)
        case S.IN_FLIGHT | S.UNKNOWN:
            return DONE if resends(case) else settled_by_look_up(case, 0, why(case), late=True)
        case None:
            return after_first(case)


def resends(case: Case) -> bool:
    return case.profile == KEYED and case.window == OPEN


def why(case: Case) -> str:
    return {NO_KEYS: "keyless", UNDECLARED: "window_unknown", KEYED: "window_closed"}[case.profile]


def after_first(case: Case) -> Outcome:
    """The one attempt of this run has brought no answer, or a 500."""
    if case.first == "500" and case.profile != NO_KEYS and case.on_server_error == "review":
        return settled_by_look_up(case, 1, "server_error", late=False)
    if resends(case):
        return Outcome(1, "OutcomeUnknownError", S.UNKNOWN)
    return settled_by_look_up(case, 1, why(case), late=False)


def settled_by_look_up(case: Case, sent: int, reason: str, *, late: bool) -> Outcome:
    """The same key must not be sent again: the look-up tells, else a person."""
    if case.look_up == FOUND:
        return Outcome(sent, "", S.SUCCEEDED)
    if case.look_up == NOTHING:
        stays_open = reason == "window_unknown"  # which may be declared tomorrow
        return Outcome(sent, f"NeedsReviewError {reason}", S.UNKNOWN if stays_open else S.NEEDS_REVIEW)
    forgotten = case.profile == NO_KEYS or (case.profile == KEYED and case.window == CLOSED and late)
    if case.look_up == SURE and forgotten:
        if late:
            return Outcome(sent, "NotSentError", S.REJECTED)
        return Outcome(sent, "OutcomeUnknownError", S.UNKNOWN)
    word = "inconclusive" if case.look_up == UNSURE else "absent"
    return Outcome(sent, f"NeedsReviewError look_up_{word}", S.NEEDS_REVIEW)


def actual(case: Case) -> Outcome:
    if case.status is None:
        first: Failure | Reply = TIMEOUT if case.first == "time-out" else answer(500)
        there = world(first, look_ups=[LOOK_UPS[case.look_up]] if case.look_up != NOTHING else [])
        done = there.run(case.plan(0))
    else:
        there = world(answer(200), rows=[case.row()], seconds=3600)
        if case.look_up != NOTHING:
            there.look_ups.append(LOOK_UPS[case.look_up])
        done = there.run(case.plan(3600))
    raised = "" if done.error is None else type(done.error).__name__
    if isinstance(done.error, NeedsReviewError):
        raised += f" {done.error.reason}"
    return Outcome(len(there.sends), raised, there.row.status, there.row.generation)


COMMON = list(product((OPEN, CLOSED), (KEYED, NO_KEYS, UNDECLARED), (NOTHING, *LOOK_UPS)))


@pytest.mark.parametrize("status", Status, ids=lambda status: status.value)
def test_what_the_store_knows(status: Status) -> None:
    rejected: tuple[OnRejected, ...] = ("if_changed", "raise", "new_generation")
    errors: tuple[OnServerError, ...] = ("profile", "resend", "review")
    cases = [Case(status, *facts, *rules) for facts in COMMON for rules in product(rejected, errors)]
    assert len(cases) == 2 * 3 * 5 * 9
    assert wrong(cases) == []


@pytest.mark.parametrize("first", ["time-out", "500"])
def test_what_the_first_attempt_brings(first: str) -> None:
    errors: tuple[OnServerError, ...] = ("profile", "resend", "review")
    cases = [Case(None, *facts, on_server_error=rule, first=first) for facts in COMMON for rule in errors]
    assert wrong(cases) == []


def wrong(cases: list[Case]) -> list[tuple[Case, Outcome, Outcome]]:
    found = [(case, actual(case), expected(case)) for case in cases]
    return [(case, is_so, should) for case, is_so, should in found if is_so != should]
