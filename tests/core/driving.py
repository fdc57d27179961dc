"""Drives the core's steps without a store, a network or a clock: what a step brings comes from a script."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from samekey._core.fingerprint import fingerprint, read_content
from samekey._core.keys import identify
from samekey._core.model import Failure, Moment, Outgoing, Record, Reply, later
from samekey._core.plan import Contract, Plan, Profile
from samekey._core.policy import Backoff
from samekey._core.run import Done, LookedUp
from samekey._core.steps import Await, LookUp, Renew, Reservation, Send, Settle, Sleep, Step, start
from samekey._core.verbs import Claimed, Existing, Renewed, Settled
from samekey.providers import load
from samekey.stores import _rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SECRET = b"s" * 32
T0 = datetime(2026, 11, 24, 5, 10, tzinfo=UTC)
BOOT = "boot-1"
ORIGIN = "https://api.example:443"
DAY = 86400.0

GENERIC = Profile(name="generic", window_seconds=DAY, after_5xx="resend")
"""An API whose codes nobody knows, with a declared window."""
STRIPE = load("stripe-v1").profile()
KEYLESS = load("keyless").profile()

JSON = (("content-type", "application/json"),)
HTML = (("content-type", "text/html; charset=utf-8"),)

TIMEOUT = Failure(sent=True, summary="no answer within 30 s")
REFUSED_CONNECTION = Failure(sent=False, summary="connection refused")
INTERRUPTED = Failure(sent=True, summary="interrupted", interrupted=True)


def at(seconds: float = 0.0, *, boot_id: str | None = BOOT, jitter: float = 0.5) -> Moment:
    """The clocks, `seconds` after the beginning."""
    return Moment(later(T0, seconds), boot_id, 1000.0 + seconds, jitter)


def outgoing(**changes: Any) -> Outgoing:
    """A request."""
    facts: dict[str, Any] = {
        "method": "POST",
        "url": "https://api.example/orders",
        "shown_url": "https://api.example/orders",
        "origin": ORIGIN,
        "headers": JSON,
        "body": b'{"total":"19.99"}',
        "content_type": "application/json",
        "attempt_seconds": 35.0,
    }
    return Outgoing(**(facts | changes))


def plan(
    profile: Profile = GENERIC,
    *,
    contract: Contract | None = None,
    request: Outgoing | None = None,
    backoff: Backoff | None = None,
    started: Moment | None = None,
    **changes: Any,
) -> Plan:
    """An action that is begun."""
    request = request or outgoing()
    contract = contract or Contract()
    content = read_content(request)
    facts: dict[str, Any] = {
        "identity": identify("default", "create_order", {"customer": "42", "cart": "c-9"}),
        "outgoing": request,
        "kind": content.kind,
        "digest": fingerprint(SECRET, request, content, contract.volatile),
        "profile": profile,
        "contract": contract,
        "backoff": backoff or Backoff(),
        "window_seconds": profile.window_seconds,
        "max_delay_seconds": 120.0,
        "lease_seconds": 65.0,
        "holder": "h.100.me",
        "secret": SECRET,
        "nonce": "n-me",
        "started": started or at(),
    }
    return Plan(**(facts | changes))


def record(of: Plan | None = None, when: Moment | None = None, **changes: Any) -> Record:
    """The row of an action that another process claimed."""
    of = of or plan()
    made = of.claim(when or at()).record
    return replace(made, **({"holder": "h.200.other", "claim_nonce": "n-other"} | changes))


def answer(status: int, body: bytes = b'{"id":"ord_9"}', headers: tuple[tuple[str, str], ...] = JSON) -> Reply:
    """A complete reply."""
    return Reply(status, headers, body)


@dataclass
class World:
    """Performs steps by a script, with rows that behave as a store's do.

    Attributes:
        answers: what the sends bring.
        rows: the generations of the action.
        faults: what the store says instead of doing it, by step.
        look_ups: what look-ups bring; the last one again and again.
        grants: what the retry budget says; it grants when they run out.
        interrupt: steps before whose performance the caller interrupts.
        after: steps after whose performance, but before its result is seen, the caller interrupts.
        takes: seconds that a send takes.
        while_away: called while the driver sleeps or waits.
    """

    answers: deque[Reply | Failure] = field(default_factory=deque)
    rows: list[Record] = field(default_factory=list)
    alive: bool = False
    faults: dict[type, deque[Any]] = field(default_factory=dict)
    look_ups: deque[LookedUp] = field(default_factory=deque)
    grants: deque[bool] = field(default_factory=deque)
    interrupt: set[type] = field(default_factory=set)
    after: set[type] = field(default_factory=set)
    takes: float = 0.0
    seconds: float = 0.0
    while_away: Callable[[World], None] | None = None
    steps: list[Step] = field(default_factory=list)

    @property
    def now(self) -> Moment:
        return at(self.seconds)

    @property
    def row(self) -> Record:
        return self.rows[-1]

    @property
    def sends(self) -> list[Send]:
        return [step for step in self.steps if isinstance(step, Send)]

    @property
    def settlements(self) -> list[Settle]:
        return [step for step in self.steps if isinstance(step, Settle)]

    @property
    def names(self) -> list[str]:
        return [type(step).__name__ for step in self.steps]

    def run(self, step: Step | Plan) -> Done:
        """Performs steps to the end, as a driver does."""
        if isinstance(step, Plan):
            step = start(step)
        interrupted = False
        for _ in range(100):
            self.steps.append(step)
            if isinstance(step, Done):
                return step
            if interrupted and not isinstance(step, Settle):
                step = step.interrupted(self.now)
            elif type(step) in self.interrupt and not interrupted:
                interrupted = True
                step = step.interrupted(self.now)
            else:
                following = self.perform(step)
                if type(step) in self.after and not interrupted:
                    interrupted = True
                    following = step.interrupted(self.now)
                step = following
        raise AssertionError(f"no end: {self.names}")

    def perform(self, step: Step) -> Step:
        fault = self.faults.get(type(step))
        given = fault.popleft() if fault else None
        match step:
            case Reservation():
                return step.next(given or self.claim(step), self.now)
            case Renew():
                return step.next(given or self.renew(step), self.now)
            case Settle():
                return step.next(given or self.settle(step), self.now)
            case Await():
                self.away(step.seconds)
                return step.next(given or (self.existing() if self.rows else None), self.now)
            case Send():
                answer = self.answers.popleft()
                self.seconds += self.takes
                return step.next(answer, self.now)
            case Sleep():
                granted = self.grants.popleft() if self.grants else True
                if granted:
                    self.away(step.seconds)
                return step.next(granted, self.now)
            case LookUp():
                self.away(step.seconds)
                reply = self.look_ups[0] if len(self.look_ups) == 1 else self.look_ups.popleft()
                return step.next(reply, self.now)
            case Done():
                return step

    def away(self, seconds: float) -> None:
        if self.while_away is None:
            self.seconds += seconds
        else:
            self.while_away(self)

    def existing(self) -> Existing:
        return Existing(self.row, alive=self.alive and self.row.holder is not None)

    def claim(self, step: Reservation) -> Claimed | Existing:
        new, highest = step.claim.record, self.rows[-1] if self.rows else None
        if not _rows.may_claim(highest, step.claim):
            return self.existing()
        if highest is not None and highest.generation == new.generation:
            self.rows[-1] = new
        else:
            self.rows.append(new)
        return Claimed(new)

    def renew(self, step: Renew) -> Renewed | Existing:
        if not _rows.matches(self.row, step.renewal.expect, step.renewal.holder):
            return self.existing()
        self.rows[-1] = _rows.renewed(self.row, step.renewal)
        return Renewed(self.row)

    def settle(self, step: Settle) -> Settled | Existing:
        if not self.rows:
            raise LookupError("no row")
        verdict = _rows.settle(self.rows, step.settlement)
        for new in verdict.rows:
            self.rows = [new if row.generation == new.generation else row for row in self.rows]
        return verdict.answer or self.existing()


def world(*answers: Reply | Failure, **facts: Any) -> World:
    """A world whose sends bring these answers."""
    for name in ("look_ups", "grants"):
        if name in facts:
            facts[name] = deque(facts[name])
    return World(deque(answers), **facts)


def faults(**by_step: Iterable[Any]) -> dict[type, deque[Any]]:
    """What the store says instead, by the step's name."""
    steps = {step.__name__: step for step in (Reservation, Renew, Settle, Await)}
    return {steps[name]: deque(items) for name, items in by_step.items()}


def seconds(value: float) -> timedelta:
    """A duration."""
    return timedelta(seconds=value)
