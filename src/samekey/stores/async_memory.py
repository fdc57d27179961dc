"""The store in memory for event loops: `MemoryStore`, which never waits for anything but the end of a task."""

from collections.abc import Collection
from datetime import datetime, timedelta

from samekey._core.model import Event, Record
from samekey._core.states import Status
from samekey._core.tally import Tally
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
from samekey.stores.memory import MemoryStore
from samekey.unpicklable import Unpicklable


class AsyncMemoryStore(Unpicklable):
    """Keeps records in this process and forgets them with it: for tests, outside the promises.

    Args:
        lease: how long an attempt may hold an action; None lets the client derive it from its time-outs.
        inner: a `MemoryStore` whose records it is to share; None for records of its own.
    """

    def __init__(self, *, lease: timedelta | None = None, inner: MemoryStore | None = None) -> None:
        self._inner = inner if inner is not None else MemoryStore(lease=lease)

    def __repr__(self) -> str:
        """Shows how much it holds."""
        return f"<Async{repr(self._inner)[1:]}"

    @property
    def location(self) -> str:
        """`memory://`."""
        return self._inner.location

    @property
    def claim_durable(self) -> bool:
        """False: nothing survives the process."""
        return self._inner.claim_durable

    @property
    def lease(self) -> timedelta | None:
        """How long an attempt may hold an action."""
        return self._inner.lease

    @property
    def holder(self) -> str:
        """Names this process."""
        return self._inner.holder

    async def secret(self, given: bytes | None) -> bytes:
        """Returns the store's secret, bound at the first call. See `Store.secret`."""
        return self._inner.secret(given)

    async def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """Writes a claim. See `Store.claim`."""
        return self._inner.claim(claim)

    async def renew(self, renewal: Renewal) -> Renewed | Existing:
        """Records a further attempt before it is made. See `Store.renew`."""
        return self._inner.renew(renewal)

    async def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """Writes what became of an action and ends the running task. See `Store.settle`."""
        return self._inner.settle(settlement)

    async def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """Writes what a person decided. See `Store.resolve`."""
        return self._inner.resolve(resolution)

    async def purge(self, at: datetime, *, limit: int) -> int:
        """Turns settled records that have expired into tombstones. See `Store.purge`."""
        return self._inner.purge(at, limit=limit)

    async def get(self, identity: str) -> Existing | None:
        """The highest generation of an identity and whether its holder is alive."""
        return self._inner.get(identity)

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
        """Records that match all that is given, oldest first unless told otherwise."""
        return self._inner.find(
            key_prefix=key_prefix,
            statuses=statuses,
            operation_name=operation_name,
            actor_id=actor_id,
            origin=origin,
            newest_first=newest_first,
            limit=limit,
        )

    async def events(self, idempotency_key: str) -> list[Event]:
        """The timeline of one generation, oldest first."""
        return self._inner.events(idempotency_key)

    async def tally(self, *, since: datetime | None, operation_name: str | None, stretch_seconds: int | None) -> Tally:
        """The store in numbers. See `Tallies.tally`."""
        return self._inner.tally(since=since, operation_name=operation_name, stretch_seconds=stretch_seconds)

    async def note(self, record: Record, event: Event) -> None:
        """Adds an event to a generation and moves its `last_seen_at`."""
        self._inner.note(record, event)

    async def wait(self, existing: Existing, seconds: float) -> None:
        """Returns when the task of `existing` has ended, at the latest after `seconds`."""
        record = existing.record
        await self._inner.running.sleep((record.identity, record.generation, record.fence), seconds)

    def release(self, identity: str, generation: int, fence: int) -> None:
        """Says that the task which claimed or renewed this no longer runs."""
        self._inner.release(identity, generation, fence)

    async def tidy(self) -> None:
        """Does nothing: there are no files."""

    async def aclose(self) -> None:
        """Does nothing: the records stay for as long as the object lives."""
