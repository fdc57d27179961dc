"""What a store is asked, and what it answers. Frozen values; the verbs themselves are in `samekey.stores`."""

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime

from samekey._core.model import Event, Record, Result
from samekey._core.states import Move, Status
from samekey._core.values import fixed
from samekey.errors import StoreError


@fixed
class Expect:
    """What a compare-and-set insists on: the row as it was seen."""

    generation: int
    fence: int
    status: Status


@fixed
class Claim:
    """A claim to write: permission for the first attempt of a generation.

    Attributes:
        record: the row to write, `in_flight`, with holder, lease and nonce.
        replaces: None to insert only where no generation of the identity exists. Else the highest generation as it
            was seen: the row is revived in place if `record.generation` equals it, or followed by a new row.
        duplicates_since: search guarded records of the same operation and fingerprint under another identity that
            were created at or after this time; None to skip. Refuse on a match if `refuse_duplicates`.
        refuse_duplicates: whether a match refuses the claim instead of riding along in the answer.
        event: written with it.
        meanwhile: something to do while a disk is at work. A store may call it, once, when the claim is written and nothing
            but the disk can fail any more. It must not use the store, and what it has done is worthless if the claim fails.
    """

    record: Record
    replaces: Expect | None = None
    duplicates_since: datetime | None = None
    refuse_duplicates: bool = False
    event: Event | None = None
    meanwhile: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def using_time(self, meanwhile: Callable[[], None]) -> "Claim":
        """The same claim, with something to do while a disk is at work."""
        return Claim(self.record, self.replaces, self.duplicates_since, self.refuse_duplicates, self.event, meanwhile)


@fixed
class Renewal:
    """Permission for a further attempt, written before it is made (R5).

    Attributes:
        identity: which action.
        expect: generation, fence and status as last seen.
        holder: who expects to hold it now; None where the old holder is dead or gone.
        new_holder: who holds it afterwards.
        new_fence: `expect.fence` to go on under one's own unexpired lease; `expect.fence + 1` to take over.
        lease_expires_at: nothing of the new attempt is written after this.
        open_attempts: attempts with an unproven fate, the new one included.
        at: now.
        nonce: becomes the row's `claim_nonce`, so that two tasks of one process cannot be taken for each other.
        event: written with it.
    """

    identity: str
    expect: Expect
    holder: str | None
    new_holder: str
    new_fence: int
    lease_expires_at: datetime
    open_attempts: int
    at: datetime
    nonce: str
    event: Event | None = None


@fixed(kw_only=True)
class Settlement:
    """What became of an action, to be written over the row as it was seen.

    Attributes:
        identity: which action.
        expect: generation, fence and status as last seen.
        holder: who expects to hold it; None where nobody does any more.
        nonce: the row's `claim_nonce` as seen.
        move: SUCCESS, REFUSAL, NOT_SENT, NO_ANSWER, STOP or RULED_OUT.
        at: now.
        durable: whether the commit must survive a power loss before it returns (R7, R7b).
        open_attempts: attempts that stay unproven.
        clear_first_sent: whether the window starts anew at the next claim (R6).
        result: the response to keep; None to leave what is there.
        expires_at: when the record may be purged.
        error_summary: the last failure in a few words.
        reason: why automation stopped.
        window_seconds: a new, shorter window; None leaves it.
        field_digests: written where the frozen request is erased, which told as much until then; None leaves them.
        event: written with it.
    """

    identity: str
    expect: Expect
    holder: str | None
    nonce: str
    move: Move
    at: datetime
    durable: bool
    open_attempts: int = 0
    clear_first_sent: bool = False
    result: Result | None = None
    expires_at: datetime | None = None
    error_summary: str | None = None
    reason: str | None = None
    window_seconds: float | None = None
    field_digests: Mapping[str, str] | None = field(default=None, repr=False)
    event: Event | None = None


@fixed(kw_only=True)
class Resolution:
    """What a person decided about an action, to be written over the row as it was shown (R12).

    Attributes:
        identity: which action.
        expect: generation, fence and status as they were shown.
        move: SUCCESS, RULED_OUT, REOPEN or ABANDON.
        at: now.
        nonce: names this decision; becomes the row's `claim_nonce`.
        event: who, why, on what evidence, and the state before; written with it.
        refused: the same, written in its place if the decision comes too late or too early.
        open_attempts: attempts that stay unproven.
        reason: why a further generation is allowed; None otherwise.
        reference: the object's id, where the person names one.
        expires_at: when the record may be purged, if it is settled now.
    """

    identity: str
    expect: Expect
    move: Move
    at: datetime
    nonce: str
    event: Event
    refused: Event
    open_attempts: int = 0
    reason: str | None = None
    reference: str | None = None
    expires_at: datetime | None = None


@fixed
class Claimed:
    """The claim is durable: the attempt may be made.

    Attributes:
        record: the row as written.
        duplicate: another action that carries the same payload, if one was searched for and found.
    """

    record: Record
    duplicate: Record | None = None


@fixed
class StoreClock:
    """What the clock of a store that several hosts share says of a record: their own clocks may differ (R10).

    Attributes:
        first_sent_ago: seconds since the first attempt was permitted; None if none was.
        lease_left: seconds until the lease of the last one ends, negative after that; None if there is none.
    """

    first_sent_ago: float | None
    lease_left: float | None


@fixed
class Existing:
    """The identity has a record that the request did not match; nothing was changed.

    Attributes:
        record: the highest generation.
        alive: whether its holder still works on it (R5b).
        own: whether that holder is a running task of this very process.
        high_water: the latest time at which this store saw anything, so that a clock set back is noticed.
        by_store: the same moments by the store's own clock, if it has one. Of no two readings the same, so not compared.
    """

    record: Record
    alive: bool = False
    own: bool = False
    high_water: datetime | None = None
    by_store: StoreClock | None = field(default=None, compare=False)


@fixed
class DuplicateFound:
    """The claim was refused because another action carries the same payload; nothing was changed."""

    other: Record


@fixed
class ScopeNamesDiffer:
    """The operation is known with other scope names; nothing was changed."""

    names: tuple[str, ...]


@fixed
class Renewed:
    """The further attempt is recorded and may be made."""

    record: Record


@fixed
class Settled:
    """The settlement is written.

    Attributes:
        record: the row as written.
        contradiction: a success met `rejected` or a later generation: the row went to `needs_review` instead (R11).
    """

    record: Record
    contradiction: bool = False


@fixed
class Resolved:
    """The person's decision is on disk.

    Attributes:
        record: the row as written.
    """

    record: Record


@fixed
class StoreFailed:
    """The store could not do it.

    Attributes:
        error: what it raised.
        uncertain: whether the write may have reached the disk all the same.
    """

    error: StoreError
    uncertain: bool = False
