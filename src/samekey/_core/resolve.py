"""What a person may decide about an action, and what then becomes of it.

One pure function from (record, decision, clocks) to what is written, or to a sentence that says why not. Its laws:

1. "It happened" settles; a success is never unmade, and what the API refused is not made a success.
2. "It did not happen" opens the way for a new key only if the old one is forgotten *and* no request can still be on
   its way (R3). Until the key is forgotten the same key is sent again, which is safe even if the person is wrong.
3. "Try again" reopens: under the same key while the API remembers it, or, after a refusal, under a new one.
4. "Abandon" closes what is open.

The store refuses all of them if the row is not the one that was shown, or while somebody may be sending (R12).
"""

import json
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from samekey._core.model import Event, Moment, Record, later
from samekey._core.states import UNSETTLED, Move, Status
from samekey._core.values import fixed
from samekey._core.verbs import Expect, Resolution
from samekey._core.window import CLOCK_MARGIN_SECONDS

DID_NOT_HAPPEN: Final = "did_not_happen"
TRY_AGAIN: Final = "try_again"
AGAIN: Final = frozenset({DID_NOT_HAPPEN, TRY_AGAIN})
"""Reasons on a `rejected` record with which the next begin raises the generation, whatever the data."""

RETENTION_SECONDS: Final = 30 * 86400.0
"""How long a resolved record is kept where its contract is not at hand: the default of `Operation`."""


class Decision(StrEnum):
    """What a person can say."""

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did-not-happen"
    TRY_AGAIN = "try-again"
    ABANDON = "abandon"


@fixed(kw_only=True)
class Ruling:
    """A person's decision.

    Attributes:
        decision: what they say.
        by: who they are.
        note: why.
        evidence: what they looked at.
        reference: the object's id at the API, if it happened.
        nonce: names this decision.
        keyless: whether the API is known to take no keys.
    """

    decision: Decision
    by: str
    nonce: str
    note: str = ""
    evidence: str = ""
    reference: str | None = None
    keyless: bool = False


@fixed
class Refusal:
    """The decision cannot be carried out.

    Attributes:
        text: why, and what to do instead.
        until: from when on it can be, if waiting helps.
    """

    text: str
    until: datetime | None = None


def resolve(record: Record, ruling: Ruling, now: Moment) -> Resolution | Refusal:
    """What a decision makes of a record.

    Args:
        record: as it was shown to the person.
        ruling: what they decided.
        now: the clocks.
    """
    if record.purged:
        return Refusal("it was settled, and its record has been purged; there is nothing left to decide")
    match ruling.decision:
        case Decision.HAPPENED:
            return _happened(record, ruling, now)
        case Decision.DID_NOT_HAPPEN:
            return _did_not_happen(record, ruling, now)
        case Decision.TRY_AGAIN:
            return _try_again(record, ruling, now)
        case Decision.ABANDON:  # pragma: no branch - the types allow nothing else
            return _abandon(record, ruling, now)


def _happened(record: Record, ruling: Ruling, now: Moment) -> Resolution | Refusal:
    if record.status is Status.SUCCEEDED:
        return Refusal(f"it has succeeded already{_named(record)}")
    if record.status is Status.REJECTED:
        return Refusal("the API refused it, and a refusal is not made a success; name a new action for what you found")
    return _resolution(record, ruling, now, Move.SUCCESS)


def _did_not_happen(record: Record, ruling: Ruling, now: Moment) -> Resolution | Refusal:
    if record.status is Status.PENDING:
        return Refusal("nothing was sent, so that is known; run the script again")
    if record.settled:
        return Refusal(_settled(record))
    silent_at = quiet_at(record)
    over_at = window_over_at(record, keyless=ruling.keyless)
    quiet, over = now.wall > silent_at, is_over(record, over_at, now)
    if over and quiet:
        return _resolution(record, ruling, now, Move.RULED_OUT, reason=DID_NOT_HAPPEN)
    if over:
        return Refusal(
            f"its last request may still be on its way until {_clock(silent_at)}, so nobody can say yet that it will not "
            f"happen; look again after that",
            silent_at,
        )
    if record.frozen_request is None:
        when = "" if over_at is None else f"; wait until {_clock(max(over_at, silent_at))}"
        return Refusal(f"its key may still be known to the API, and its request was not kept to send it again{when}")
    return _resolution(record, ruling, now, Move.REOPEN, open_attempts=record.open_attempts)


def _try_again(record: Record, ruling: Ruling, now: Moment) -> Resolution | Refusal:
    if record.status is Status.REJECTED:
        return _resolution(record, ruling, now, Move.REOPEN, reason=TRY_AGAIN)
    if record.status in {Status.PENDING, Status.UNKNOWN, Status.IN_FLIGHT}:
        return Refusal("it is open, so a rerun of the script tries again as it is")
    if record.settled:
        return Refusal(_settled(record))
    if record.frozen_request is None:
        return Refusal("its request was not kept, so it cannot be sent again; say whether it happened")
    over_at = window_over_at(record, keyless=ruling.keyless)
    if over_at is None or now.wall >= over_at or record.reason in {"keyless", "window_closed"}:
        return Refusal(
            "the API does not know its key for certain, so a second send may double it; say whether it happened"
        )
    return _resolution(record, ruling, now, Move.REOPEN, open_attempts=record.open_attempts)


def _abandon(record: Record, ruling: Ruling, now: Moment) -> Resolution | Refusal:
    if record.settled:
        return Refusal(_settled(record))
    return _resolution(record, ruling, now, Move.ABANDON)


def window_over_at(record: Record, *, keyless: bool = False, window_seconds: float | None = None) -> datetime | None:
    """When the API has forgotten the key, by the clocks' margin later than its window; None if nobody can say.

    What automation has judged to be over (`keyless`, `window_closed` without a stored window) is over since the send.

    Args:
        record: the record.
        keyless: whether the API is known to take no keys.
        window_seconds: another window that is known of; the longer of both counts.
    """
    sent = record.first_sent_at or record.created_at
    if keyless or record.reason == "keyless":
        return sent
    known = [seconds for seconds in (record.window_seconds, window_seconds) if seconds is not None]
    if not known:
        return sent if record.reason == "window_closed" else None
    width = max(known)
    return later(sent, width + (CLOCK_MARGIN_SECONDS if width else 0.0))


def is_over(record: Record, over_at: datetime | None, now: Moment) -> bool:
    """Whether the window is over by every clock: one that jumped ahead must not close it."""
    if over_at is None or now.wall <= over_at:
        return False
    sent = record.first_sent_at or record.created_at
    if now.boot_id is None or record.boot_id != now.boot_id or record.boot_time is None:
        return True
    return now.boot_time - record.boot_time > (over_at - sent).total_seconds()


def quiet_at(record: Record) -> datetime:
    """When no request of it can be on its way any more."""
    last = record.lease_expires_at or record.last_seen_at
    return later(last, record.max_delay_seconds)


def _resolution(
    record: Record,
    ruling: Ruling,
    now: Moment,
    move: Move,
    *,
    open_attempts: int = 0,
    reason: str | None = None,
) -> Resolution:
    detail = detail_of(record, ruling)
    final = move is not Move.REOPEN or record.status not in UNSETTLED
    return Resolution(
        identity=record.identity,
        expect=Expect(record.generation, record.fence, record.status),
        move=move,
        at=now.wall,
        nonce=ruling.nonce,
        event=Event(now.wall, "resolved", detail),
        refused=Event(now.wall, "resolve_refused", detail),
        open_attempts=open_attempts,
        reason=reason,
        reference=ruling.reference,
        expires_at=_expiry(record, now) if final else None,
    )


def detail_of(record: Record, ruling: Ruling) -> str:
    """What the audit keeps of a decision, as JSON."""
    told: dict[str, Any] = {
        "by": ruling.by,
        "decision": ruling.decision.value,
        "note": ruling.note,
        "evidence": ruling.evidence,
        "before": {
            "status": record.status.value,
            "reason": record.reason,
            "generation": record.generation,
            "fence": record.fence,
            "attempts": record.attempts,
            "open_attempts": record.open_attempts,
        },
    }
    if ruling.reference is not None:
        told["reference"] = ruling.reference
    return json.dumps(told)


def _expiry(record: Record, now: Moment) -> datetime:
    kept = later(now.wall, RETENTION_SECONDS)
    return max(kept, later(record.first_sent_at or now.wall, record.window_seconds or 0.0))


def _settled(record: Record) -> str:
    match record.status:
        case Status.SUCCEEDED:
            return f"it has succeeded{_named(record)}, and a success is never unmade"
        case Status.REJECTED:
            return "the API refused it and nothing happened; 'try again' lets the next run send it under a new key"
        case _:
            return "it was closed by a person; name a new action if it is wanted after all"


def _named(record: Record) -> str:
    return f" as {record.response_reference}" if record.response_reference else ""


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
