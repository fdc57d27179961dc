"""One class per step, each with a typed `next`.

A driver performs a step and hands what came of it to `next`, with the clocks; what it gets back is the next step, until
`Done`. A driver that was interrupted asks `interrupted` instead, performs that, and lets the interruption go on.
"""

from dataclasses import replace
from datetime import datetime

from samekey._core import verdicts, words
from samekey._core.begin import Check, Refuse, Replay, Reserve, TakeOver, WaitFor, decide, window_now
from samekey._core.classify import Judgement, Kind, judge
from samekey._core.drift import drift
from samekey._core.freezing import unfreeze
from samekey._core.looking import Again, Doubt, Settles, Stays, hear
from samekey._core.model import Event, Failure, Frozen, Moment, Record, Reply
from samekey._core.plan import Plan
from samekey._core.policy import next_pause
from samekey._core.run import INCONCLUSIVE, NEVER_MADE, Attempt, Done, LookedUp, Run
from samekey._core.states import Status
from samekey._core.values import fixed
from samekey._core.verbs import (
    Claim,
    Claimed,
    DuplicateFound,
    Existing,
    Renewal,
    Renewed,
    ScopeNamesDiffer,
    Settled,
    Settlement,
    StoreFailed,
)
from samekey._core.verdicts import Verdict


@fixed
class Reservation:
    """Step: write a claim (`Store.claim`)."""

    run: Run
    claim: Claim

    def next(self, reply: Claimed | Existing | DuplicateFound | ScopeNamesDiffer | StoreFailed, now: Moment) -> "Step":
        """The claim is ours, or the store knows better."""
        plan = self.run.plan
        match reply:
            case Claimed():
                return _first_send(self.run, reply, now)
            case Existing():
                return begin(self.run, reply, now)
            case DuplicateFound():
                note = Event(now.wall, "duplicate", "the same data under another scope")
                return Done(self.run, None, words.duplicate(plan, reply.other, now), note=note, about=reply.other)
            case ScopeNamesDiffer():
                return Done(self.run, None, words.scope_names_differ(plan, reply.names))
            case StoreFailed():  # pragma: no branch - the types allow nothing else
                return Done(self.run, None, words.store_failed(plan, reply.error, None, uncertain=reply.uncertain))

    def interrupted(self, now: Moment) -> "Step":
        """The claim may have been written; nothing was sent."""
        return _settle_not_sent(self.run, self.claim.record, now)


@fixed
class Await:
    """Step: wait for a live holder (`Store.wait`, then `Store.get`), at most `seconds`."""

    run: Run
    existing: Existing
    seconds: float

    def next(self, reply: Existing | StoreFailed | None, now: Moment) -> "Step":
        """The holder ended, or is still on it."""
        run = replace(self.run, waited=self.existing.record.generation)
        match reply:
            case StoreFailed():
                record = self.existing.record
                return Done(run, record, words.store_failed(run.plan, reply.error, record, uncertain=False))
            case None if run.plan.recovering:
                return Done(run, None)
            case None:
                return Reservation(run, run.plan.claim(now))
            case Existing():  # pragma: no branch - the types allow nothing else
                return begin(run, reply, now)

    def interrupted(self, now: Moment) -> "Step":
        """Nothing to write."""
        return Done(self.run, self.existing.record)


@fixed
class Renew:
    """Step: record a further attempt before it is made (`Store.renew`)."""

    run: Run
    record: Record
    renewal: Renewal
    frozen: Frozen
    closes_at: datetime
    last: Judgement | None

    def next(self, reply: Renewed | Existing | StoreFailed, now: Moment) -> "Step":
        """The attempt may be made, or someone else was faster."""
        match reply:
            case Renewed():
                return _send(self.run, reply.record, self.frozen, self.closes_at, now)
            case Existing():
                return begin(self.run, reply, now)
            case StoreFailed():  # pragma: no branch - the types allow nothing else
                return self._failed(reply)

    def _failed(self, reply: StoreFailed) -> Done:
        plan, record, last = self.run.plan, self.record, self.last
        if last is None:
            return Done(self.run, record, words.store_failed(plan, reply.error, record, uncertain=reply.uncertain))
        summary = f"{last.summary}; then {reply.error}"
        error = words.unknown(record, summary=summary, retry_after=None, retry_until=self.closes_at)
        return Done(self.run, record, error)

    def interrupted(self, now: Moment) -> "Step":
        """The attempt may be recorded; it was not made."""
        renewed = replace(
            self.record,
            status=Status.IN_FLIGHT,
            claim_nonce=self.renewal.nonce,
            fence=self.renewal.new_fence,
            holder=self.renewal.new_holder,
            open_attempts=self.renewal.open_attempts,
        )
        return _settle_not_sent(self.run, renewed, now)


@fixed
class Send:
    """Step: make one attempt.

    Attributes:
        run: the run.
        record: the record, with this attempt counted.
        frozen: what to send; None for the request as it was built (a first send).
        not_after: nothing may be written after this (R2).
        seconds: what is left for it; shrinks its time-outs.
        fresh: whether it must go out on a new connection.
    """

    run: Run
    record: Record
    frozen: Frozen | None
    not_after: datetime
    seconds: float
    fresh: bool

    def next(self, reply: Reply | Failure, now: Moment) -> "Step":
        """Judges what the attempt brought."""
        plan = self.run.plan
        alone, json = self.record.open_attempts <= 1, plan.kind == "json"
        judgement = judge(plan.profile, plan.contract, reply, alone=alone, json_sent=json, now=now.wall)
        match judgement.kind:
            case Kind.SUCCESS if isinstance(reply, Reply):
                settlement = verdicts.success(plan, self.record, reply, now)
                return Settle(self.run, self.record, settlement, Verdict(Kind.SUCCESS), reply)
            case Kind.DONE_BEFORE:
                record = replace(self.record, response_reference=judgement.reference or "")
                return LookUp(self.run, record, "done_before", judgement.summary)
            case Kind.REFUSED if isinstance(reply, Reply):
                settlement = verdicts.refusal(plan, self.record, reply, judgement.summary, now)
                verdict = Verdict(Kind.REFUSED, judgement.summary, reply.status)
                return Settle(self.run, self.record, settlement, verdict, reply)
            case _:
                interrupted = isinstance(reply, Failure) and reply.interrupted
                answer = reply if isinstance(reply, Reply) else None
                return _again_or_not(Attempt(self.run, self.record, judgement, answer, interrupted), now)

    def interrupted(self, now: Moment) -> "Step":
        """The driver never came to send."""
        return _settle_not_sent(self.run, self.record, now)


@fixed
class Sleep:
    """Step: ask the retry budget, then wait `seconds`."""

    run: Run
    attempt: Attempt
    seconds: float

    def next(self, granted: bool, now: Moment) -> "Step":
        """Time to send again, if the budget granted it and the window is still open."""
        if not granted:
            return _give_up(self.attempt, now, retry_after=self.seconds, kind="budget_stop")
        record, judgement = self.attempt.record, self.attempt.judgement
        window = window_now(self.run.plan, record, now) if self.attempt.open_before_next else None
        if window is not None and not window.open:
            return _review(self.attempt, window.reason, now)
        plan, event = self.run.plan, Event(now.wall, "retry", judgement.summary)
        lease_over = record.lease_expires_at is None or now.wall >= record.lease_expires_at
        count = record.open_attempts + self.attempt.maybe_done
        renewal = verdicts.renewal(plan, record, now, take_over=lease_over, open_attempts=count, event=event)
        closes_at = window.closes_at if window else renewal.lease_expires_at
        return Renew(self.run, record, renewal, unfreeze(record.frozen_request or b""), closes_at, judgement)

    def interrupted(self, now: Moment) -> "Step":
        """Stopped between two attempts."""
        return _give_up(replace(self.attempt, interrupted=True), now, retry_after=None)


@fixed
class LookUp:
    """Step: wait `seconds`, then look up what became of the action; the `asked` times before settled nothing."""

    run: Run
    record: Record
    reason: str
    summary: str
    asked: int = 0
    seconds: float = 0.0

    def next(self, reply: LookedUp, now: Moment) -> "Step":
        """Found settles; the rest is asked again, and then as `hear` says."""
        match hear(self.run, self.record, reply, self.asked + 1, now):
            case Again(seconds):
                return replace(self, asked=self.asked + 1, seconds=seconds)
            case Settles(settlement, verdict):
                return Settle(self.run, self.record, settlement, verdict, None)
            case Stays(error, note):
                return Done(self.run, self.record, error, note=note)
            case Doubt(reason, evidence):  # pragma: no branch - the types allow nothing else
                return _stop(self.run, self.record, reason, f"{self.reason}; {self.summary}; {evidence}", now, None)

    def interrupted(self, now: Moment) -> "Step":
        """Nothing to write where the next begin looks up again."""
        if self.record.response_reference is not None:
            return self.next(LookedUp(INCONCLUSIVE, "interrupted", final=True), now)
        return Done(self.run, self.record)


@fixed
class Settle:
    """Step: write what became of the action (`Store.settle`), shielded from interruption."""

    run: Run
    record: Record
    settlement: Settlement
    verdict: Verdict
    reply: Reply | None
    then: LookUp | None = None

    def next(self, reply: Settled | Existing | StoreFailed | None, now: Moment) -> "Step":
        """Written; or another was faster; or the store is gone; or there is nothing to settle (None)."""
        match reply:
            case None:
                return Done(self.run, self.record, self.verdict.error(self.record), self.reply)
            case Settled(record, contradiction=True):
                return Done(self.run, record, words.needs_review(record, "effect_after_close"))
            case Settled(record) if self.then is not None:
                return replace(self.then, record=record)
            case Settled(record):
                return Done(self.run, record, self.verdict.error(record), self.reply, told=self.settlement.event)
            case Existing() if self.run.interrupted:
                return Done(self.run, reply.record)
            case Existing():
                return begin(replace(self.run, waited=reply.record.generation), reply, now)
            case StoreFailed():  # pragma: no branch - the types allow nothing else
                return self._failed(reply, now)

    def _failed(self, failed: StoreFailed, now: Moment) -> Done:
        """Only a success may be told unrecorded (R7)."""
        if self.verdict.kind is Kind.SUCCESS:
            told = verdicts.with_result(self.record, self.settlement)
            return Done(self.run, told, None, self.reply, unrecorded=self.settlement)
        error = self.verdict.unrecorded(self.record, window_now(self.run.plan, self.record, now), failed.error)
        return Done(self.run, self.record, error, unrecorded=self.settlement)

    def interrupted(self, now: Moment) -> "Step":
        """Settling is idempotent: do it again."""
        return self


Step = Reservation | Await | Renew | Send | Sleep | LookUp | Settle | Done


def start(plan: Plan) -> Step:
    """The first step of an action: try to claim it; the store answers if it is known."""
    return Reservation(Run(plan), plan.claim(plan.started))


def resume(plan: Plan, existing: Existing, now: Moment) -> Step:
    """The first step of `client.recover()`: the record is at hand."""
    return begin(Run(plan), existing, now)


def begin(run: Run, existing: Existing, now: Moment) -> Step:
    """The step that follows from what the store knows."""
    plan, decision = run.plan, decide(run.plan, existing, now, waited=run.waited)
    run = replace(run, drift=changed) if (changed := drift(plan, existing.record)) else run
    match decision:
        case Reserve():
            return Reservation(run, plan.claim(now, decision.replaced, decision.generation))
        case Replay():
            kind = "awaited" if run.waited == decision.record.generation else "replay"
            return Done(run, decision.record, note=Event(now.wall, kind, "stored result"))
        case Refuse():
            note = Event(now.wall, decision.note, type(decision.error).__name__) if decision.note else None
            return Done(run, decision.record, decision.error, note=note)
        case WaitFor():
            if plan.contract.on_in_progress == "raise" or run.left(now) <= 0:
                return Done(run, existing.record, words.in_progress(existing, now), note=Event(now.wall, "in_progress"))
            return Await(run, existing, run.left(now))
        case TakeOver():
            return _take_over(run, decision, now)
        case Check() if plan.recovering:
            return Done(run, decision.record)
        case Check():  # pragma: no branch - the types allow nothing else
            return _look_up_or_stop(run, decision.record, decision.reason, "", now, None)


def _first_send(run: Run, claimed: Claimed, now: Moment) -> Send:
    run, record = Run(run.plan, run.sent + 1, run.waited, run.recovered, claimed.duplicate), claimed.record
    return Send(run, record, None, record.lease_expires_at or now.wall, run.left(now), run.plan.fresh_connection)


def _send(run: Run, record: Record, frozen: Frozen, closes_at: datetime, now: Moment) -> Send:
    run = replace(run, sent=run.sent + 1)
    not_after = min(record.lease_expires_at or now.wall, closes_at)
    return Send(run, record, frozen, not_after, run.left(now), run.plan.fresh_connection)


def _take_over(run: Run, decision: TakeOver, now: Moment) -> Step:
    record, plan = decision.record, run.plan
    kind = "credential_changed" if decision.credential_changed else "recovery"
    event = Event(now.wall, kind, f"attempt {record.attempts + 1}")
    renewal = verdicts.renewal(plan, record, now, take_over=True, open_attempts=record.open_attempts + 1, event=event)
    return Renew(replace(run, recovered=True), record, renewal, decision.frozen, decision.closes_at, None)


def _again_or_not(attempt: Attempt, now: Moment) -> Step:
    """After an attempt that neither succeeded nor was refused: again, look up, stop, or tell."""
    run, judgement, plan = attempt.run, attempt.judgement, attempt.run.plan
    if judgement.kind is Kind.MISMATCH:
        return _stop(run, attempt.record, judgement.review, judgement.summary, now, attempt.reply)
    if judgement.review:
        return _review(attempt, judgement.review, now)
    if attempt.open_before_next:
        reason = "clock_jumped" if judgement.skewed else window_now(plan, attempt.record, now).reason
        if reason:
            return _review(attempt, reason, now)
    if judgement.kind is Kind.IN_PROGRESS and plan.contract.on_in_progress == "raise":
        return _give_up(attempt, now, retry_after=judgement.hint or 1.0)
    pause = next_pause(plan.backoff, attempt=run.sent, elapsed=run.elapsed(now), jitter=now.jitter, hint=judgement.hint)
    if not judgement.resend or attempt.interrupted or pause.stop or plan.outgoing.body is None:
        return _give_up(attempt, now, retry_after=pause.seconds if judgement.resend else None)
    return Sleep(run, attempt, pause.seconds)


def _review(attempt: Attempt, reason: str, now: Moment) -> Step:
    run, record, judgement, reply = attempt.run, attempt.record, attempt.judgement, attempt.reply
    if attempt.interrupted and run.plan.contract.looks_up:
        return _give_up(attempt, now, retry_after=None)
    step = _look_up_or_stop(run, record, reason, judgement.summary, now, reply)
    if isinstance(step, LookUp) and (judgement.review or judgement.skewed):
        # What this answer forbids is written first: whoever comes after a crash in the look-up must not send again.
        settlement = verdicts.no_answer(record, judgement, now, reason=reason)
        return Settle(run, record, settlement, Verdict(Kind.UNKNOWN, judgement.summary, reason=reason), reply, step)
    return step


def _give_up(attempt: Attempt, now: Moment, *, retry_after: float | None, kind: str | None = None) -> Step:
    """No further attempt in this run: write what is true and tell it."""
    run, record, judgement = attempt.run, attempt.record, attempt.judgement
    if not attempt.maybe_done and record.open_attempts <= 1:
        verdict = attempt.verdict(now, retry_after=retry_after if judgement.hint else None, retry_until=None)
        settlement = verdicts.nothing_done(run.plan, record, judgement.summary, now, kind or "not_sent")
        return Settle(run, record, settlement, verdict, attempt.reply)
    window = window_now(run.plan, record, now)
    verdict = attempt.verdict(now, retry_after=retry_after, retry_until=window.closes_at if window.open else None)
    return Settle(run, record, verdicts.no_answer(record, judgement, now, kind=kind), verdict, attempt.reply)


def _look_up_or_stop(run: Run, record: Record, reason: str, summary: str, now: Moment, reply: Reply | None) -> Step:
    if run.plan.contract.looks_up and not run.plan.recovering:
        return LookUp(run, record, reason, summary)
    return _stop(run, record, reason, summary, now, reply)


def _stop(run: Run, record: Record, reason: str, summary: str, now: Moment, reply: Reply | None) -> Step:
    verdict = Verdict(Kind.UNKNOWN, summary, reply.status if reply else None, reason)
    if reason != "window_unknown":
        return Settle(run, record, verdicts.stop(record, reason, summary, now), verdict, reply)
    # The missing fact may be declared tomorrow: the record stays open for it.
    if record.status is Status.UNKNOWN:
        return Done(run, record, verdict.error(record), note=Event(now.wall, "blocked", reason))
    settlement = verdicts.no_answer(record, Judgement(Kind.UNKNOWN, summary or reason), now, kind="no_window")
    return Settle(run, record, settlement, verdict, reply)


def _settle_not_sent(run: Run, record: Record, now: Moment) -> Step:
    """An attempt that was permitted and provably not made."""
    attempt = Attempt(replace(run, interrupted=True), record, NEVER_MADE, None, interrupted=True)
    return _give_up(attempt, now, retry_after=None)
