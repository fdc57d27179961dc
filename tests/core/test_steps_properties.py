"""Whatever the world answers: a run ends, records before it sends, and keeps its key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from samekey._core.model import Failure, Moment, Record, Reply, Result, later
from samekey._core.plan import Contract
from samekey._core.policy import Backoff
from samekey._core.run import Done, LookedUp
from samekey._core.states import Status
from samekey._core.steps import Await, LookUp, Renew, Reservation, Send, Settle, Sleep, Step, start
from samekey._core.verbs import (
    Claimed,
    DuplicateFound,
    Existing,
    Renewed,
    ScopeNamesDiffer,
    Settled,
    StoreFailed,
)
from samekey.errors import StoreFormatError, StoreUnavailableError
from samekey.stores import _rows
from tests.core.driving import BOOT, DAY, GENERIC, HTML, JSON, KEYLESS, STRIPE, T0, outgoing, plan, record

if TYPE_CHECKING:
    from samekey._core.plan import Plan, Profile

PROFILES: list[Profile] = [
    GENERIC,
    STRIPE,
    KEYLESS,
    replace(GENERIC, window_seconds=None),
    replace(GENERIC, window_seconds=300.0, after_5xx=None),
    replace(GENERIC, after_timeout=False, pins_credential=True),
]
BODIES = [
    b"",
    b"{}",
    b"<",
    b'{"error":{"code":"idempotency_key_in_use"}}',
    b'{"error":{"type":"idempotency_error"}}',
]

replies = st.builds(
    Reply,
    st.integers(100, 599),
    st.sampled_from(
        [
            JSON,
            HTML,
            (),
            (("retry-after", "2"),),
            (("retry-after", "9999"),),
            (("stripe-should-retry", "true"), ("idempotent-replayed", "true"), *JSON),
            (("date", "Tue, 24 Nov 2020 05:10:00 GMT"),),
        ]
    ),
    st.sampled_from(
        [
            b"",
            b"{}",
            b"<",
            b'{"error":{"code":"idempotency_key_in_use"}}',
            b'{"error":{"type":"idempotency_error"}}',
        ]
    ),
    st.booleans(),
)
failures = st.builds(Failure, st.booleans(), st.sampled_from(["reset", "no route"]), st.booleans())
store_failures = st.builds(
    StoreFailed,
    st.sampled_from([StoreUnavailableError("full."), StoreFormatError("damaged.")]),
    st.booleans(),
)
look_ups = st.builds(
    LookedUp,
    st.sampled_from(["found", "absent", "inconclusive"]),
    st.just("seen"),
    st.one_of(st.none(), st.just(Result(200, (), b"{}", "ord_9"))),
)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    on_rejected: list[Literal["if_changed", "raise", "new_generation"]] = [
        "if_changed",
        "raise",
        "new_generation",
    ]
    on_server_error: list[Literal["profile", "resend", "review"]] = ["profile", "resend", "review"]
    return Contract(
        on_rejected=draw(st.sampled_from(on_rejected)),
        on_in_progress="wait" if draw(st.booleans()) else "raise",
        on_server_error=draw(st.sampled_from(on_server_error)),
        looks_up=draw(st.booleans()),
        duplicates="warn" if draw(st.booleans()) else "allow",
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    return plan(
        draw(st.sampled_from(PROFILES)),
        contract=draw(contracts()),
        request=outgoing(
            body=draw(st.sampled_from([b'{"total":"19.99"}', b"{}", None])),
            credentials=draw(st.sampled_from([(), (("authorization", "a"),), (("authorization", "b"),)])),
        ),
        backoff=Backoff(attempts=draw(st.integers(1, 4))),
        freeze="request" if draw(st.booleans()) else "nothing",
    )


@st.composite
def rows(draw: st.DrawFn, of: Plan) -> Record:
    changes: dict[str, Any] = {
        "status": draw(st.sampled_from(Status)),
        "generation": draw(st.integers(1, 3)),
        "fence": draw(st.integers(1, 3)),
        "open_attempts": draw(st.integers(0, 2)),
        "holder": draw(st.sampled_from([None, "h.200.other", "h.100.me"])),
        "lease_expires_at": draw(st.sampled_from([None, T0, later(T0, 99)])),
        "first_sent_at": draw(st.sampled_from([None, T0])),
        "completed_at": draw(st.sampled_from([None, T0, later(T0, 5)])),
        "response_status": draw(st.sampled_from([None, 422])),
        "frozen_request": draw(st.sampled_from([None, b"damaged", of.frozen()])),
        "reason": draw(st.sampled_from([None, "keyless", "a new word"])),
        "window_seconds": draw(st.sampled_from([None, 300.0, DAY])),
    }
    return record(of, **changes)


@st.composite
def existing(draw: st.DrawFn, of: Plan) -> Existing:
    return Existing(
        draw(rows(of)),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from([None, T0, later(T0, 500)])),
    )


class AnyWorld:
    """Answers each step with anything its types allow, for as long as it likes; then it is kind."""

    def __init__(self, data: st.DataObject, of: Plan, whims: int) -> None:
        self.data, self.of, self.whims = data, of, whims
        self.seconds = 0.0
        self.recorded: Record | None = None
        self.sent: list[Send] = []
        self.maybe_done = False

    def draw(self, strategy: st.SearchStrategy[Any]) -> Any:
        return self.data.draw(strategy)

    @property
    def now(self) -> Moment:
        self.seconds += self.draw(st.sampled_from([0.0, 0.5, 70.0]))
        boot = self.draw(st.sampled_from([BOOT, BOOT, "boot-2", None]))
        return Moment(later(T0, self.seconds), boot, 1000.0 + self.seconds, 0.5)

    def store(self, kind: Any) -> Any:
        """A whim of the store, or the kind answer."""
        if self.whims <= 0:
            return kind
        self.whims -= 1
        return self.draw(st.one_of(st.just(kind), existing(self.of), store_failures))

    def perform(self, step: Step) -> Step:
        match step:
            case Reservation():
                answer = self.store(Claimed(step.claim.record))
                if self.whims > 0 and self.draw(st.booleans()):
                    answer = self.draw(st.sampled_from([answer, DuplicateFound(record()), ScopeNamesDiffer(("x",))]))
                self.recorded = answer.record if isinstance(answer, Claimed) else None
                return step.next(answer, self.now)
            case Renew():
                answer = self.store(Renewed(_rows.renewed(replace(step.record, status=Status.IN_FLIGHT), step.renewal)))
                self.recorded = answer.record if isinstance(answer, Renewed) else None
                return step.next(answer, self.now)
            case Send():
                return self.send(step)
            case Settle():
                row = replace(step.record, status=Status.IN_FLIGHT)
                settled = Settled(_rows.settled(row, step.settlement), contradiction=self.draw(st.booleans()))
                return step.next(self.store(settled), self.now)
            case Await():
                self.seconds += step.seconds
                return step.next(self.draw(st.one_of(st.none(), existing(self.of), store_failures)), self.now)
            case Sleep():
                return step.next(self.draw(st.booleans()), self.now)
            case LookUp():
                return step.next(self.draw(look_ups), self.now)
            case Done():
                return step

    def send(self, step: Send) -> Step:
        assert self.recorded is step.record, "sent without a claim or renewal just before"
        self.recorded = None
        for other in self.sent:
            if (other.record.identity, other.record.generation) == (
                step.record.identity,
                step.record.generation,
            ):
                assert other.record.idempotency_key == step.record.idempotency_key
        if not self.of.profile.keyed:
            assert not self.maybe_done, "a keyless write that may have happened was sent again"
            self.whims = 0  # no store says "pending" of what may have happened
        self.sent.append(step)
        answer = self.draw(st.one_of(replies, failures))
        if isinstance(answer, Failure):
            self.maybe_done |= answer.sent
        else:
            self.maybe_done |= answer.status >= 500 or answer.status < 300 or answer.status == 408
        return step.next(answer, self.now)


@given(plans(), st.integers(0, 8), st.data())
@settings(max_examples=150)
def test_a_run_always_ends_records_each_send_and_keeps_its_key(of: Plan, whims: int, data: st.DataObject) -> None:
    there = AnyWorld(data, of, whims)
    step: Step = start(of)
    for _ in range(200):
        if isinstance(step, Done):
            break
        step = there.perform(step)
    assert isinstance(step, Done)
    if step.error is not None:
        assert str(step.error).endswith(".")
        assert ": " in str(step.error)
    assert len(there.sent) <= of.backoff.attempts + whims


@given(plans(), st.integers(0, 4), st.integers(0, 12), st.data())
@settings(max_examples=150)
def test_an_interrupted_run_ends_without_another_send(of: Plan, whims: int, until: int, data: st.DataObject) -> None:
    there = AnyWorld(data, of, whims)
    step: Step = start(of)
    for _ in range(until):
        step = there.perform(step)
    sent = len(there.sent)
    for _ in range(50):
        if isinstance(step, Done):
            break
        step = there.perform(step) if isinstance(step, Settle) else step.interrupted(there.now)
    assert isinstance(step, Done)
    assert len(there.sent) == sent


@given(plans(), st.data())
@settings(max_examples=150)
def test_every_record_whatsoever_leads_to_a_step(of: Plan, data: st.DataObject) -> None:
    step = start(of)
    assert isinstance(step, Reservation)
    found = data.draw(existing(of))
    following = step.next(found, Moment(later(T0, 10), BOOT, 1010.0, 0.5))
    if found.record.status in {Status.SUCCEEDED, Status.NEEDS_REVIEW, Status.ABANDONED}:
        assert isinstance(following, Done)
    assert not isinstance(following, Send)
