"""What the verbs make of a row: pure, and the same for every store, so that stores cannot differ in it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from samekey._core.model import Event, Record, changed
from samekey._core.states import UNSETTLED, Move, Status, after
from samekey._core.tally import SECOND_EFFECT, told_reference
from samekey._core.values import fixed
from samekey._core.verbs import Claim, Expect, Renewal, Settled, Settlement

FIELDS: Final = tuple(field.name for field in fields(Record))
values_of: Final[Callable[[Record], tuple[Any, ...]]] = attrgetter(*FIELDS)

reviewed_with_a_later: Final = frozenset({Status.PENDING, Status.UNKNOWN, Status.REJECTED})
_CONTRADICTION: Final = "effect_after_close"


def matches(record: Record, expect: Expect, holder: str | None = None) -> bool:
    """Whether the row is still as its caller saw it; without a holder the fence has to tell."""
    return (
        record.generation == expect.generation
        and record.fence == expect.fence
        and record.status is expect.status
        and (holder is None or record.holder == holder)
    )


# --- claim ---------------------------------------------------------------------------------------------------


def may_claim(highest: Record | None, claim: Claim) -> bool:
    """Whether the highest generation is the one that the claim expects."""
    if highest is None or claim.replaces is None:
        return highest is None and claim.replaces is None
    return matches(highest, claim.replaces)


def is_same_claim(highest: Record, claim: Claim) -> bool:
    """Whether this very claim was written before, by a commit whose end its caller did not see."""
    record = claim.record
    return (
        record.claim_nonce != ""
        and highest.claim_nonce == record.claim_nonce
        and highest.generation == record.generation
        and highest.fence == record.fence
        and highest.attempts == record.attempts
        and highest.status is record.status
    )


def used_at(record: Record) -> datetime:
    """When its data were last claimed: of an action that was pending for a while, that may be long after it was made."""
    return record.first_sent_at or record.created_at


def is_duplicate(other: Record, claim: Claim) -> bool:
    """Whether another action carries the same payload, recently enough (R16)."""
    return (
        claim.duplicates_since is not None
        and other.guarded
        and other.identity != claim.record.identity
        and other.operation_name == claim.record.operation_name
        and other.request_fingerprint == claim.record.request_fingerprint
        and used_at(other) >= claim.duplicates_since
    )


def same_names(known: Iterable[str], given: Iterable[str]) -> bool:
    """Whether two lists of scope names are the same; their order means nothing."""
    known, given = tuple(known), tuple(given)
    return known == given or sorted(known) == sorted(given)


# --- renew ---------------------------------------------------------------------------------------------------


def renewed(record: Record, renewal: Renewal) -> Record:
    """The row with one attempt more.

    Raises:
        IllegalMoveError: the row's state permits no further attempt.
    """
    move = Move.RESEND if renewal.new_fence == record.fence else Move.TAKE_OVER
    return changed(
        record,
        {
            "status": after(record.status, move),
            "attempts": record.attempts + 1,
            "open_attempts": renewal.open_attempts,
            "holder": renewal.new_holder,
            "fence": renewal.new_fence,
            "lease_expires_at": renewal.lease_expires_at,
            "claim_nonce": renewal.nonce,
            "last_seen_at": renewal.at,
        },
    )


def is_same_renewal(record: Record, renewal: Renewal) -> bool:
    """Whether this very take-over was written before, by a commit whose end its caller did not see."""
    return (
        renewal.new_fence != renewal.expect.fence
        and record.fence == renewal.new_fence
        and record.claim_nonce == renewal.nonce
        and record.holder == renewal.new_holder
        and record.status is Status.IN_FLIGHT
        and same_time(record.lease_expires_at, renewal.lease_expires_at)
    )


# --- settle --------------------------------------------------------------------------------------------------


@fixed
class Verdict:
    """What a settlement does to the generations of an identity.

    Attributes:
        rows: the rows to write.
        events: what to add to the timelines.
        answer: what the caller gets; None where the row is another by now.
    """

    rows: tuple[Record, ...] = ()
    events: tuple[tuple[Record, Event], ...] = ()
    answer: Settled | None = None


def settle(generations: Sequence[Record], settlement: Settlement) -> Verdict:
    """Decides a settlement over all generations of its identity, oldest first (R11).

    Raises:
        IllegalMoveError: the move does not exist in the row's state.
    """
    row = next((row for row in generations if row.generation == settlement.expect.generation), None)
    if row is None:
        return Verdict()
    if is_same_settlement(row, settlement):
        return Verdict(answer=Settled(row, contradiction=row.reason == _CONTRADICTION))
    if settlement.move is Move.SUCCESS:
        if row.status is Status.REJECTED or generations[-1].generation > row.generation:
            return _contradiction(generations, row, settlement)
        if row.status is Status.SUCCEEDED:
            return Verdict(events=_second_effect(row, settlement))
    elif not is_own(row, settlement):
        return Verdict()
    new = settled(row, settlement)
    events = () if settlement.event is None else ((new, settlement.event),)
    return Verdict((new,), events, Settled(new))


def _second_effect(row: Record, settlement: Settlement) -> tuple[tuple[Record, Event], ...]:
    """What is told of a success that names another object than the one before: the API did it twice."""
    other = None if settlement.result is None else settlement.result.reference
    if other is None or row.response_reference in {None, clean(other)}:
        return ()
    return ((row, Event(settlement.at, SECOND_EFFECT, told_reference(other))),)


def is_own(row: Record, settlement: Settlement) -> bool:
    """Whether the row is still as the task that settles it saw it."""
    return row.claim_nonce == settlement.nonce and matches(row, settlement.expect, settlement.holder)


def settled(row: Record, settlement: Settlement) -> Record:
    """The row after an ordinary settlement.

    Raises:
        IllegalMoveError: the move does not exist in the row's state.
    """
    target = after(row.status, settlement.move)
    final = target not in UNSETTLED
    changes: dict[str, Any] = {
        "status": target,
        "holder": None,
        "last_seen_at": settlement.at,
        "open_attempts": settlement.open_attempts,
        "completed_at": settlement.at if final else None,
        "expires_at": settlement.expires_at,
        "reason": settlement.reason,
    }
    if final or settlement.move is Move.NOT_SENT:
        changes["frozen_request"] = None
    if settlement.clear_first_sent:
        changes.update(first_sent_at=None, boot_id=None, boot_time=None)
    if settlement.error_summary is not None:
        changes["error_summary"] = clean(settlement.error_summary)
    if settlement.window_seconds is not None:
        changes["window_seconds"] = settlement.window_seconds
    if settlement.field_digests is not None:
        changes["field_digests"] = settlement.field_digests
    if (result := settlement.result) is not None:
        changes["response_status"] = result.status
        changes["response_headers"] = result.headers
        changes["response_body"] = result.body
        changes["response_reference"] = None if result.reference is None else clean(result.reference)
    return changed(row, changes)


def is_same_settlement(row: Record, settlement: Settlement) -> bool:
    """Whether this very settlement was written before."""
    if row.fence != settlement.expect.fence or row.claim_nonce != settlement.nonce:
        return False
    if not (same_time(row.completed_at, settlement.at) or same_time(row.last_seen_at, settlement.at)):
        return False
    if settlement.move is Move.SUCCESS and row.status is Status.NEEDS_REVIEW:
        return row.reason == _CONTRADICTION
    try:
        return row.status is after(settlement.expect.status, settlement.move) is not settlement.expect.status
    except RuntimeError:
        return False


def same_time(one: datetime | None, other: datetime) -> bool:
    """Whether two times are the same once they were stored."""
    return one is not None and one.timestamp() == other.timestamp()


def _contradiction(generations: Sequence[Record], row: Record, settlement: Settlement) -> Verdict:
    """A success came for what was closed: nothing is settled, and a person must look at all that is doubtful."""
    concerned = {other.generation for other in generations if other.status in reviewed_with_a_later}
    if row.status is not Status.SUCCEEDED:
        concerned.add(row.generation)
    rows = tuple(reviewed(other, settlement.at) for other in generations if other.generation in concerned)
    reference = None if settlement.result is None else settlement.result.reference
    told = "the API confirmed an effect without a reference" if reference is None else told_reference(reference)
    event = Event(settlement.at, _CONTRADICTION, told)
    answer = next((new for new in rows if new.generation == row.generation), row)
    extra = () if settlement.event is None else ((answer, settlement.event),)
    return Verdict(rows, (*((new, event) for new in (rows or (row,))), *extra), Settled(answer, contradiction=True))


def reviewed(row: Record, at: datetime) -> Record:
    """The row in the hands of a person, because an effect has shown up that contradicts it (R11)."""
    changes: dict[str, Any] = {
        "status": after(row.status, Move.CONTRADICTION),
        "reason": _CONTRADICTION,
        "holder": None,
        "last_seen_at": at,
        "completed_at": None,
        "expires_at": None,
    }
    return changed(row, changes)


def clean(text: str) -> str:
    """Text that every store can keep: an answer may hold half a surrogate pair, which UTF-8 has no bytes for."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
