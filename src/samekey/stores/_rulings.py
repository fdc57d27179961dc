"""What a person's decision and old age make of rows: pure, and the same for every store."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from samekey._core.model import Event, Record, changed
from samekey._core.states import UNSETTLED, Move, Status, after
from samekey._core.values import fixed
from samekey._core.verbs import Resolution, Resolved
from samekey.stores._rows import clean, matches, reviewed, reviewed_with_a_later

PURGED: Final = "purged"


@fixed
class Ruled:
    """What a decision does to the generations of an identity.

    Attributes:
        rows: the rows to write.
        events: what to add to the timelines.
        answer: what the caller gets; None where the decision is refused.
    """

    rows: tuple[Record, ...] = ()
    events: tuple[tuple[Record, Event], ...] = ()
    answer: Resolved | None = None


def resolve(generations: Sequence[Record], resolution: Resolution, *, alive: bool) -> Ruled:
    """Decides a resolution over all generations of its identity, oldest first (R12).

    Args:
        generations: the rows.
        resolution: what a person decided about one of them, as it was shown to them.
        alive: whether the holder of that one is known to be at work; else its lease decides (R5b).

    Raises:
        IllegalMoveError: the move does not exist in the row's state.
    """
    row = next((row for row in generations if row.generation == resolution.expect.generation), None)
    if row is None:
        return Ruled()
    if row.claim_nonce == resolution.nonce and row.fence == resolution.expect.fence + 1:
        return Ruled(answer=Resolved(row))
    reopened_too_late = resolution.move is Move.REOPEN and row is not generations[-1]
    if not matches(row, resolution.expect) or may_be_sending(row, resolution.at, alive=alive) or reopened_too_late:
        return Ruled(events=((row, resolution.refused),))
    new = _resolved(row, resolution)
    doubtful: tuple[Record, ...] = ()
    if resolution.move is Move.SUCCESS:
        # As for a late success of the API itself: whatever came after it may be a second effect (R11).
        doubtful = tuple(
            reviewed(other, resolution.at)
            for other in generations
            if other.generation > row.generation and other.status in reviewed_with_a_later
        )
    return Ruled((new, *doubtful), ((new, resolution.event),), Resolved(new))


def may_be_sending(row: Record, at: datetime, *, alive: bool) -> bool:
    """Whether an attempt may be under way: its holder runs, or its lease does (R12)."""
    if row.status is not Status.IN_FLIGHT:
        return False
    return alive or row.lease_expires_at is None or at <= row.lease_expires_at


def _resolved(row: Record, resolution: Resolution) -> Record:
    target = after(row.status, resolution.move)
    final = target not in UNSETTLED
    changes: dict[str, Any] = {
        "status": target,
        "holder": None,
        "fence": row.fence + 1,
        "claim_nonce": resolution.nonce,
        "last_seen_at": max(resolution.at, row.last_seen_at),
        "open_attempts": resolution.open_attempts,
        "reason": resolution.reason,
        "expires_at": resolution.expires_at,
    }
    if target is not row.status:
        changes["completed_at"] = resolution.at if final else None
    if final:
        changes["frozen_request"] = None
    if resolution.reference is not None:
        changes["response_reference"] = clean(resolution.reference)
    return changed(row, changes)


def is_due(row: Record, at: datetime) -> bool:
    """Whether a record is settled and its retention over; what is unsettled is never purged by age."""
    return row.settled and not row.purged and row.expires_at is not None and row.expires_at <= at


ERASED: Final[Mapping[str, Any]] = {
    "actor_id": "",
    "scope": {},
    "request_fingerprint": "",
    "method": "",
    "url": "",
    "origin": "",
    "field_digests": {},
    "frozen_request": None,
    "credential_digest": None,
    "response_headers": (),
    "response_body": None,
    "error_summary": None,
    "correlation_id": None,
    "trace_context": None,
    "expires_at": None,
    "volatile": (),
    "claim_nonce": "",
    "holder": None,
    "guarded": False,
}
"""What a purge takes from a record (R8)."""


def tombstone(row: Record, at: datetime) -> Record:
    """What is left of a purged record for ever: that it was, under which key, and how it ended (R8)."""
    return changed(row, {**ERASED, "last_seen_at": max(at, row.last_seen_at)})
