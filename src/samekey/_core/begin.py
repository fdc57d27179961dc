"""The rules when an action is begun and the store already knows it.

One pure function from (record, request, contract, clocks) to a decision. Its laws:

1. Another origin, another pinned credential or other data is a conflict, whatever the state, except for `rejected`
   (corrected data is what a refusal asks for) and `pending` (nothing was done, so there is nothing to be in conflict with).
2. Nothing is sent for an action whose effect is known, or that a person has to see.
3. A live holder is waited for. A dead one is taken over only by the same key inside its window; else look up or stop.
4. The generation is raised only after a refusal, or a person's ruling, that was complete before this begin started
   (R15).
5. Of a purged record only the end is known, and nothing is sent for it (R8).
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from samekey._core import words
from samekey._core.fingerprint import Fingerprint, body_digest, changed_fields, fingerprint, read_content
from samekey._core.freezing import unfreeze
from samekey._core.model import Frozen, Moment, Record
from samekey._core.plan import NO_PLACE, Plan
from samekey._core.resolve import AGAIN
from samekey._core.states import Status
from samekey._core.values import fixed
from samekey._core.verbs import Existing
from samekey._core.window import Window, window_of
from samekey.errors import SamekeyError, StoreFormatError


@fixed
class Reserve:
    """Claim: the pending generation anew, or the next one."""

    replaced: Record
    generation: int


@fixed
class Replay:
    """Answer with the stored result."""

    record: Record


@fixed
class Refuse:
    """Raise; nothing is sent. `note` is the kind of event that tells of it, if any."""

    error: SamekeyError
    record: Record
    note: str = ""


@fixed
class WaitFor:
    """A live holder is on it."""

    existing: Existing


@fixed
class TakeOver:
    """Send again: same key, frozen bytes, not after `closes_at`."""

    record: Record
    frozen: Frozen
    closes_at: datetime
    credential_changed: bool


@fixed
class Check:
    """It may have happened and may not be sent again: look up, else stop."""

    record: Record
    reason: str


_NOTHING_DONE: Final = (Status.PENDING, Status.REJECTED)

Decision = Reserve | Replay | Refuse | WaitFor | TakeOver | Check


def decide(plan: Plan, existing: Existing, now: Moment, *, waited: int | None = None) -> Decision:
    """Decides what to do about an action the store knows.

    Args:
        plan: the action as it is begun.
        existing: its highest generation.
        now: the clocks.
        waited: the generation this begin has waited for, if any.
    """
    record = existing.record
    if record.purged:
        return _purged(plan, record)
    if conflict := _conflict_of(plan, record):
        return Refuse(words.key_reused(plan, record, conflict), record, "conflict")
    match record.status:
        case Status.SUCCEEDED:
            return Replay(record)
        case Status.REJECTED:
            return _after_refusal(plan, record, waited)
        case Status.PENDING:
            return _anew(plan, record)
        case Status.IN_FLIGHT if _alive(existing, now):
            return WaitFor(existing)
        case Status.IN_FLIGHT | Status.UNKNOWN:
            return _after_unknown(plan, existing, now)
        case Status.NEEDS_REVIEW:
            return Refuse(words.needs_review(record, record.reason or ""), record, "blocked")
        case Status.ABANDONED:  # pragma: no branch - the types allow nothing else
            return Refuse(words.abandoned(record), record, "blocked")


def _purged(plan: Plan, record: Record) -> Decision:
    """Of a tombstone only the end is known: it is told, and nothing is sent, whatever the data (R8)."""
    record = replace(record, scope=plan.identity.scope, actor_id=plan.identity.actor_id)
    if record.status is Status.SUCCEEDED:
        return Replay(record)
    error = words.abandoned(record) if record.status is Status.ABANDONED else words.rejected_long_ago(record)
    return Refuse(error, record, "blocked")


def window_now(plan: Plan, record: Record, now: Moment, existing: Existing | None = None) -> Window:
    """The record's window under this plan; closed for an API that takes no keys.

    Args:
        plan: the action as it was begun.
        record: its record.
        now: the clocks.
        existing: as the store answered, where the first attempt was another run's.
    """
    if not plan.profile.keyed:
        return Window("keyless", now.wall)
    if not plan.profile.after_timeout:
        return Window("server_error", now.wall)
    return window_of(
        record,
        now,
        window_seconds=plan.window_seconds,
        attempt_seconds=plan.outgoing.attempt_seconds,
        lease_seconds=plan.lease_seconds,
        max_delay_seconds=plan.max_delay_seconds,
        high_water=None if existing is None else existing.high_water,
        first_sent_ago=None if existing is None or existing.by_store is None else existing.by_store.first_sent_ago,
    )


def _alive(existing: Existing, now: Moment) -> bool:
    if existing.by_store is not None and existing.by_store.lease_left is not None:
        return existing.alive and existing.by_store.lease_left >= 0
    lease = existing.record.lease_expires_at
    return existing.alive and lease is not None and now.wall <= lease


def _conflict_of(plan: Plan, record: Record) -> tuple[str, ...]:
    """What speaks against this request under this record; where nothing was done, nothing (law 1)."""
    if record.status in _NOTHING_DONE:
        return ()
    return _credential_conflict(plan, record) if plan.recovering else _conflict(plan, record)


def _conflict(plan: Plan, record: Record) -> tuple[str, ...]:
    if record.origin != plan.outgoing.origin:
        return ("origin",)
    digest = plan.digest
    if record.volatile != plan.contract.volatile:
        digest = fingerprint(plan.secret, plan.outgoing, plan.content, record.volatile)
    if record.request_fingerprint != digest.digest:
        return _changed(plan, record, digest)
    return _credential_conflict(plan, record)


def _changed(plan: Plan, record: Record, digest: Fingerprint) -> tuple[str, ...]:
    """What differs, told by the digests of a settled record, or by the frozen request of an open one."""
    before = record.field_digests
    if not before and record.frozen_request is not None:
        frozen = unfreeze(record.frozen_request)
        kind = next((value for name, value in frozen.headers if name == "content-type"), "")
        first = replace(plan.outgoing, method=frozen.method, url=frozen.url, body=frozen.body, content_type=kind)
        before = fingerprint(plan.secret, first, read_content(first), record.volatile).fields
    return changed_fields(before, digest.fields) if before else ("body",)


def _credential_conflict(plan: Plan, record: Record) -> tuple[str, ...]:
    pinned = plan.profile.pins_credential
    return ("credential",) if pinned and _credential_changed(plan, record) else ()


def _credential_changed(plan: Plan, record: Record) -> bool:
    mine = plan.credential_digest
    return record.credential_digest is not None and mine is not None and mine != record.credential_digest


def _anew(plan: Plan, record: Record) -> Decision:
    """Nothing was sent under this key: claim it again, but never from a recovery (R12)."""
    if plan.recovering:
        error = words.not_sent(record, summary="never sent", attempts=1, spent=0.0, retry_after=None)
        return Refuse(error, record)
    return Reserve(record, record.generation)


def _after_refusal(plan: Plan, record: Record, waited: int | None) -> Decision:
    stored = Refuse(
        words.rejected(record, summary=record.error_summary or "", stored=True, in_front=False), record, "refused_again"
    )
    fresh = record.completed_at is not None and record.completed_at > plan.started.wall
    if waited == record.generation or fresh or plan.recovering:
        return stored
    if record.reason in AGAIN:
        return Reserve(record, record.generation + 1)
    rule = plan.contract.on_rejected
    if rule == "raise" or (rule == "if_changed" and not _conflict(plan, record)):
        return stored
    return Reserve(record, record.generation + 1)


def _after_unknown(plan: Plan, existing: Existing, now: Moment) -> Decision:
    record = existing.record
    if record.claim_nonce in plan.unsent and record.open_attempts == 1:
        return _anew(plan, record)
    moved = _key_has_moved(plan, record)
    if moved is not None:
        return moved
    window = window_now(plan, record, now, existing)
    if not window.open:
        return Check(record, record.reason or window.reason)
    if record.frozen_request is None:
        return Check(record, "not_frozen")
    try:
        frozen = unfreeze(record.frozen_request)
    except StoreFormatError as error:
        return Refuse(words.store_failed(plan, error, record, uncertain=False), record)
    if frozen.body is None and (plan.recovering or frozen.body_digest != _body_digest(plan)):
        if plan.recovering:
            return Refuse(words.needs_review(record, "not_frozen"), record)
        return Refuse(words.key_reused(plan, record, ("body",)), record, "conflict")
    return TakeOver(record, frozen, window.closes_at, _credential_changed(plan, record))


def _key_has_moved(plan: Plan, record: Record) -> Decision | None:
    """The API knows the key from where it was sent; elsewhere in the request it would be a new one, or none."""
    try:
        first = unfreeze(record.frozen_request or b"").place
    except StoreFormatError:
        return None  # told where the bytes are needed
    if first == plan.place:
        return None
    if first.partition(" ")[0] == NO_PLACE:
        return Check(record, "keyless")
    return Refuse(words.key_moved(plan, record), record, "conflict")


def _body_digest(plan: Plan) -> str:
    return body_digest(plan.secret, plan.outgoing.body)
