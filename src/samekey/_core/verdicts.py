"""From a judgement to what is written down and what the caller is told."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from samekey._core import words
from samekey._core.classify import Judgement, Kind, replayed
from samekey._core.fingerprint import fingerprint
from samekey._core.model import Event, Moment, Record, Reply, Result, later
from samekey._core.plan import Plan
from samekey._core.reading import reference_of, result_of, withheld
from samekey._core.resolve import DID_NOT_HAPPEN
from samekey._core.states import Move
from samekey._core.values import fixed
from samekey._core.verbs import Expect, Renewal, Settlement
from samekey._core.window import Window
from samekey.errors import SamekeyError, StoreError

SHORT_WINDOW_SECONDS: Final = 3600.0
"""Up to this window a lost settlement might not be repaired by a replay in time, so it is written durably (R7b)."""


EXPIRED: Final = frozenset({"window_closed", "clock_jumped"})
"""Reasons that make of a resend an expired-key block."""
_STOPS: Final = {"key_reused_by_server": "server_conflict"}


@fixed
class Verdict:
    """What the caller is told once it is written down.

    Attributes:
        kind: the meaning of the last attempt.
        summary: a few words about it.
        status: its HTTP status, if it had one.
        reason: why automation stops; "" if it does not.
        retry_after: seconds to wait before a rerun.
        retry_until: a rerun must come before.
        running: the API itself says it is still on it.
        attempts: sends made in this run.
        spent: seconds since this run began.
        looked_up: whether it is a look-up's answer that comes too early to count.
    """

    kind: Kind
    summary: str = ""
    status: int | None = None
    reason: str = ""
    retry_after: float | None = None
    retry_until: datetime | None = None
    running: bool = False
    attempts: int = 1
    spent: float = 0.0
    looked_up: bool = False

    def error(self, record: Record) -> SamekeyError | None:
        """The exception that says it; None for a success."""
        if self.kind is Kind.SUCCESS and not self.reason:
            return None
        if self.reason == "key_reused_by_server":
            return words.key_reused_by_server(record)
        if self.reason:
            return words.needs_review(record, self.reason)
        if self.looked_up:
            return words.absent_too_early(record, self.summary, self.retry_after or 0.0)
        if record.reason == DID_NOT_HAPPEN:
            return words.ruled_out(record, self.summary)
        match self.kind:
            case Kind.REFUSED:
                return words.rejected(record, summary=self.summary, stored=False, in_front=False)
            case Kind.IN_FRONT if self.status != 429:
                return words.rejected(record, summary=self.summary, stored=False, in_front=True)
            case Kind.IN_FRONT | Kind.NOT_SENT if record.open_attempts == 0:
                return words.not_sent(
                    record,
                    summary=self.summary,
                    attempts=self.attempts,
                    spent=self.spent,
                    retry_after=self.retry_after,
                )
            case _ if self.running:
                return words.server_in_progress(record, self.retry_after or 1.0)
            case _:
                return words.unknown(
                    record, summary=self.summary, retry_after=self.retry_after, retry_until=self.retry_until
                )

    def unrecorded(self, record: Record, window: Window, failed: StoreError) -> SamekeyError:
        """What is told where the store could not write it: never that nothing happened (R7)."""
        if self.reason or not window.open:
            return words.needs_review(record, self.reason or window.reason)
        summary = f"{self.summary or 'no answer'}; it could not be recorded: {failed}"
        return words.unknown(record, summary=summary, retry_after=None, retry_until=window.closes_at)


def expect(record: Record) -> Expect:
    """The row as it was seen."""
    return Expect(record.generation, record.fence, record.status)


def renewal(plan: Plan, record: Record, now: Moment, *, take_over: bool, open_attempts: int, event: Event) -> Renewal:
    """Permission for a further attempt, to be written before it is made (R5)."""
    return Renewal(
        identity=record.identity,
        expect=expect(record),
        holder=record.holder,
        new_holder=plan.holder,
        new_fence=record.fence + take_over,
        lease_expires_at=later(now.wall, plan.lease_seconds),
        open_attempts=open_attempts,
        at=now.wall,
        nonce=plan.nonce,
        event=event,
    )


def success(plan: Plan, record: Record, reply: Reply, now: Moment) -> Settlement:
    """The API confirmed it; where it says that it did so before, its key has prevented a duplicate."""
    event = Event(now.wall, "server_replay", f"HTTP {reply.status}") if replayed(plan.profile, reply) else None
    result = result_of(reply, reference_of(reply, plan.contract.reference), whole=plan.keep == "response")
    return found(plan, record, result, now, event)


def found(plan: Plan, record: Record, result: Result, now: Moment, event: Event | None = None) -> Settlement:
    """It is known to have happened."""
    window = plan.window_seconds
    if record.window_seconds is not None:
        window = record.window_seconds if window is None else min(window, record.window_seconds)
    return Settlement(
        identity=record.identity,
        expect=expect(record),
        holder=record.holder,
        nonce=record.claim_nonce,
        move=Move.SUCCESS,
        at=now.wall,
        durable=not plan.profile.keyed or window is None or window <= SHORT_WINDOW_SECONDS,
        result=withheld(result, plan.contract.secret_response),
        expires_at=_expiry(plan, record, now),
        field_digests=_digests(plan, record),
        event=event,
    )


def with_result(record: Record, settlement: Settlement) -> Record:
    """The record as its caller sees it where the result of a success could not be stored."""
    result = settlement.result or Result(None)
    return replace(
        record,
        response_status=result.status,
        response_headers=result.headers,
        response_body=result.body,
        response_reference=result.reference,
    )


def refusal(plan: Plan, record: Record, reply: Reply, summary: str, now: Moment) -> Settlement:
    """The API definitely refused."""
    return Settlement(
        identity=record.identity,
        expect=expect(record),
        holder=record.holder,
        nonce=record.claim_nonce,
        move=Move.REFUSAL,
        at=now.wall,
        durable=True,
        result=withheld(result_of(reply, None, whole=plan.keep == "response"), plan.contract.secret_response),
        expires_at=_expiry(plan, record, now),
        field_digests=_digests(plan, record),
        error_summary=summary,
    )


def ruled_out(plan: Plan, record: Record, evidence: str, now: Moment) -> Settlement:
    """A look-up shows that it did not happen, and will not (R3)."""
    return Settlement(
        identity=record.identity,
        expect=expect(record),
        holder=record.holder,
        nonce=record.claim_nonce,
        move=Move.RULED_OUT,
        at=now.wall,
        durable=True,
        expires_at=_expiry(plan, record, now),
        field_digests=_digests(plan, record),
        error_summary=evidence,
        reason=DID_NOT_HAPPEN,
        event=Event(now.wall, "look_up", evidence),
    )


def nothing_done(plan: Plan, record: Record, summary: str, now: Moment, kind: str = "not_sent") -> Settlement:
    """Every attempt provably never ran: the key is fresh again (R6)."""
    return Settlement(
        identity=record.identity,
        expect=expect(record),
        holder=record.holder,
        nonce=record.claim_nonce,
        move=Move.NOT_SENT,
        at=now.wall,
        durable=True,
        clear_first_sent=True,
        error_summary=summary,
        field_digests=_digests(plan, record),
        event=Event(now.wall, kind, summary),
    )


def no_answer(
    record: Record, judgement: Judgement, now: Moment, *, kind: str | None = None, reason: str | None = None
) -> Settlement:
    """It may have happened; the same key may be sent again, unless there is a reason against it."""
    proven = judgement.kind in {Kind.NOT_SENT, Kind.IN_FRONT}
    return Settlement(
        identity=record.identity,
        expect=expect(record),
        holder=record.holder,
        nonce=record.claim_nonce,
        move=Move.NO_ANSWER,
        at=now.wall,
        durable=True,
        open_attempts=record.open_attempts - proven,
        error_summary=judgement.summary,
        reason=reason,
        window_seconds=0.0 if reason else None,
        event=Event(now.wall, kind or "unknown", judgement.summary),
    )


def stop(record: Record, reason: str, summary: str, now: Moment) -> Settlement:
    """It may have happened, and automation stops; because of an expired key, also where a look-up was asked first."""
    kind = "expired_key" if EXPIRED & {reason, summary.partition(";")[0]} else _STOPS.get(reason, "review")
    return Settlement(
        identity=record.identity,
        expect=expect(record),
        holder=record.holder,
        nonce=record.claim_nonce,
        move=Move.STOP,
        at=now.wall,
        durable=True,
        open_attempts=record.open_attempts,
        error_summary=summary or record.error_summary,
        reason=reason,
        event=Event(now.wall, kind, f"{reason}: {summary}" if summary else reason),
    )


def _digests(plan: Plan, record: Record) -> Mapping[str, str] | None:
    """The field digests of the request, which stay when the request itself is erased; None if they are there already."""
    if record.field_digests:
        return None
    if record.volatile == plan.contract.volatile:
        return plan.digest.fields
    return fingerprint(plan.secret, plan.outgoing, plan.content, record.volatile).fields


def _expiry(plan: Plan, record: Record, now: Moment) -> datetime:
    """Settlement plus retention, never before the window ends."""
    expires = later(now.wall, plan.contract.retention.total_seconds())
    window = max(plan.window_seconds or 0.0, record.window_seconds or 0.0)
    return max(expires, later(record.first_sent_at or now.wall, window))
