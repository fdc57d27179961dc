"""What a store promises, and what it does when it cannot.

A store keeps records and knows no policy: it offers a few atomic verbs and returns what it found. Every verb is one
transaction: it happens whole or not at all, also across a crash. What holds for all of them:

- *Compare and set.* `claim`, `renew`, `settle` and `resolve` name the row as their caller saw it (`Expect`: generation, fence,
  status, and the holder). If the row is another by now, nothing changes and the row comes back as `Existing`.
- *Durability.* When `claim` or `renew` returns `Claimed` or `Renewed`, the row survives a power loss if `claim_durable`
  is true. `settle` survives one if it was asked to be `durable`; otherwise it survives the end of the process.
- *Failure.* A verb that could not be carried out raises `StoreUnavailableError`; a store that is not ours, damaged,
  newer, or bound to another secret raises `StoreFormatError`. Nothing was changed then, with one exception: a commit
  that reported an error may have happened, which `StoreUnavailableError.uncertain` says.
- *Order.* After a successful `claim` or `renew` its (identity, generation, fence) is a running task of this process
  until `settle` ends it or `release` is called.
- *Threads.* All verbs may be called from any thread. After a fork the child opens anew.

`AsyncStore` is the same contract for event loops. In addition:

- *The loop.* No verb blocks it: not for a disk, a server, a lock or another process. `release` and the properties do
  nothing that could; `secret` is awaited before them.
- *Cancellation.* A verb that is cancelled has happened whole or not at all, as after a crash. If it is `claim` or
  `renew`, no running task is left behind.
- *Loops.* One store object serves the tasks of one event loop at a time.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from samekey._core.model import Event, Record
from samekey._core.states import Status
from samekey._core.values import fixed
from samekey._core.verbs import (
    Claim,
    Claimed,
    DuplicateFound,
    Existing,
    Renewal,
    Renewed,
    Resolution,
    Resolved,
    ScopeNamesDiffer,
    Settled,
    Settlement,
)


@runtime_checkable
class Store(Protocol):
    """Where records live. Implement it to bring a store of your own; `samekey.testing.StoreContract` is the suite it must pass."""

    @property
    def location(self) -> str:
        """Where it is, for people: a path or a URL without a password."""

    @property
    def claim_durable(self) -> bool:
        """Whether an acknowledged claim survives a power loss or a failover (R17)."""

    @property
    def lease(self) -> timedelta | None:
        """How long an attempt may hold an action; None lets the client derive it from its time-outs."""

    @property
    def holder(self) -> str:
        """Names this process for as long as it runs; another one after a fork."""

    def secret(self, given: bytes | None) -> bytes:
        """Opens the store and returns the secret its keys are derived from.

        Args:
            given: the fleet's secret; None for the store's own, which is made on first use.

        Raises:
            StoreFormatError: the store was written under another secret, or its secret file is gone.
            StoreUnavailableError: it cannot be opened or created.
        """

    def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """Writes a claim, durably.

        With `replaces=None` the row is inserted unless the identity has any generation (`Existing`). Otherwise the
        highest generation must match `replaces`, else `Existing`; a claim of that generation revives the row in
        place, a claim of the next one follows it. An operation that is known with other scope names is
        `ScopeNamesDiffer`. The duplicate search leaves out generations of the same identity (R16). A store that waits for
        a disk may use the time for `claim.meanwhile`.
        """

    def renew(self, renewal: Renewal) -> Renewed | Existing:
        """Records a further attempt, durably, before it is made (R5): attempts + 1, lease, holder, fence."""

    def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """Writes what became of an action and ends the running task.

        Statuses move by `states.after`. A result that settles the action erases `frozen_request` in the same
        statement; so does NOT_SENT. The same settlement again (same fence, time and target) is `Settled` again.
        A SUCCESS settles an unsettled or abandoned row of its generation whatever its fence and holder (R11), unless
        a later generation exists; if one exists, or the row is rejected, nothing is settled: every generation that is
        pending, unknown or rejected, and this one unless it succeeded, goes to `needs_review`, with an
        `effect_after_close` event that names the reference, and the answer is `Settled(contradiction=True)`. None
        says that the identity has no record: the claim to be settled was never written.
        """

    def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """Writes what a person decided, durably (R7, R12).

        Only over the very row that they were shown, and never while its holder is alive or the lease of an attempt
        runs; the fence is raised, so that whoever was at work finds another row. A decision that comes too late or too
        early changes nothing but the timeline, where `resolution.refused` tells of it, and the highest generation
        comes back as `Existing`. To reopen needs the highest generation. A SUCCESS puts later generations that are
        pending, unknown or rejected before a person, as in `settle`. The same decision again is `Resolved` again. None
        says that the identity has no record.
        """

    def purge(self, at: datetime, *, limit: int) -> int:
        """Turns up to `limit` settled records whose `expires_at` is not after `at` into tombstones (R8).

        A tombstone keeps identity digest, generation, key, status, reason, operation name, reference, the answer's
        status and the times, for ever; everything else of the record and its timeline goes, but for one event that
        tells of it. Returns how many there were.
        """

    def get(self, identity: str) -> Existing | None:
        """The highest generation of an identity and whether its holder is alive."""

    def find(
        self,
        *,
        key_prefix: str | None = None,
        statuses: Collection[Status] | None = None,
        operation_name: str | None = None,
        actor_id: str | None = None,
        origin: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Record]:
        """Records that match all that is given, oldest first unless told otherwise."""

    def events(self, idempotency_key: str) -> list[Event]:
        """The timeline of one generation, oldest first."""

    def note(self, record: Record, event: Event) -> None:
        """Adds an event to a generation and moves its `last_seen_at`; not durable against a power loss."""

    def wait(self, existing: Existing, seconds: float) -> None:
        """Returns when the holder of `existing` may have ended or changed the row, at the latest after `seconds`."""

    def release(self, identity: str, generation: int, fence: int) -> None:
        """Says that the task which claimed or renewed this no longer runs; wakes those who wait. Never raises."""

    def tidy(self) -> None:
        """Erases from the files what was erased from the rows, where that is a step of its own."""

    def close(self) -> None:
        """Tidies and lets go of files and connections; a later verb opens them again."""


@runtime_checkable
class AsyncStore(Protocol):
    """Where records live, for event loops. Every verb does and raises what the one of `Store` does."""

    @property
    def location(self) -> str:
        """Where it is, for people: a path or a URL without a password."""

    @property
    def claim_durable(self) -> bool:
        """Whether an acknowledged claim survives a power loss or a failover (R17)."""

    @property
    def lease(self) -> timedelta | None:
        """How long an attempt may hold an action; None lets the client derive it from its time-outs."""

    @property
    def holder(self) -> str:
        """Names this process for as long as it runs; another one after a fork. Known once `secret` has returned."""

    async def secret(self, given: bytes | None) -> bytes:
        """See `Store.secret`."""

    async def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """See `Store.claim`."""

    async def renew(self, renewal: Renewal) -> Renewed | Existing:
        """See `Store.renew`."""

    async def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """See `Store.settle`."""

    async def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """See `Store.resolve`."""

    async def purge(self, at: datetime, *, limit: int) -> int:
        """See `Store.purge`."""

    async def get(self, identity: str) -> Existing | None:
        """See `Store.get`."""

    async def find(
        self,
        *,
        key_prefix: str | None = None,
        statuses: Collection[Status] | None = None,
        operation_name: str | None = None,
        actor_id: str | None = None,
        origin: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Record]:
        """See `Store.find`."""

    async def events(self, idempotency_key: str) -> list[Event]:
        """See `Store.events`."""

    async def note(self, record: Record, event: Event) -> None:
        """See `Store.note`."""

    async def wait(self, existing: Existing, seconds: float) -> None:
        """See `Store.wait`."""

    def release(self, identity: str, generation: int, fence: int) -> None:
        """See `Store.release`. Never blocks and never raises."""

    async def tidy(self) -> None:
        """See `Store.tidy`."""

    async def aclose(self) -> None:
        """See `Store.close`."""


@fixed
class Entry:
    """One generation of an action with its timeline, as it moves from one store to another.

    Attributes:
        record: the row.
        events: its timeline, oldest first.
    """

    record: Record
    events: tuple[Event, ...] = ()


@fixed
class Adopted:
    """What became of entries that were to be written into a store.

    Attributes:
        written: how many were not there before.
        conflicts: those that were not written, because the generation or its key is there and is another.
    """

    written: int
    conflicts: tuple[Record, ...] = ()


@runtime_checkable
class Portable(Protocol):
    """What a store has beyond `Store` if it can be copied with `samekey copy`: reading and writing records as they are.

    None of it is a transition: nothing is decided, no holder and no lease is looked at. Both stores must be at rest.
    """

    def operations(self) -> Mapping[str, tuple[str, ...]]:
        """The scope names of each operation."""

    def export(self) -> Iterator[Entry]:
        """Every generation of every action, tombstones too, in the order in which they were first written."""

    def adopt(self, operations: Mapping[str, tuple[str, ...]], entries: Sequence[Entry]) -> Adopted:
        """Writes what is not there yet, durably: in this order, each under its key, in its state, with its timeline.

        Of what is there already nothing changes. Operations must have been checked against those that are there.
        """

    def adopt_secret(self, secret: bytes) -> None:
        """Opens the store; one that has none yet keeps this one as its own.

        Raises:
            StoreFormatError: the store was made under another secret.
            StoreUnavailableError: it cannot be opened or created.
        """
