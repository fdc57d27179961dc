"""An `AsyncStore` as the suite sees it: the same verbs, each performed on an event loop in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from anyio.from_thread import BlockingPortal

from samekey._core.model import Event, Record
from samekey._core.states import Status
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
from samekey.stores import AsyncStore


class Blocking:
    """Presents an `AsyncStore` as a `Store`.

    Args:
        inner: the store.
        portal: where its loop runs.
    """

    def __init__(self, inner: AsyncStore, portal: BlockingPortal) -> None:
        self.inner = inner
        self.portal = portal

    @property
    def location(self) -> str:
        """See `Store.location`."""
        return self.inner.location

    @property
    def claim_durable(self) -> bool:
        """See `Store.claim_durable`."""
        return self.inner.claim_durable

    @property
    def lease(self) -> timedelta | None:
        """See `Store.lease`."""
        return self.inner.lease

    @property
    def holder(self) -> str:
        """See `AsyncStore.holder`."""
        return self.inner.holder

    def secret(self, given: bytes | None) -> bytes:
        """See `Store.secret`."""
        return self.portal.call(self.inner.secret, given)

    def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """See `Store.claim`."""
        return self.portal.call(self.inner.claim, claim)

    def renew(self, renewal: Renewal) -> Renewed | Existing:
        """See `Store.renew`."""
        return self.portal.call(self.inner.renew, renewal)

    def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """See `Store.settle`."""
        return self.portal.call(self.inner.settle, settlement)

    def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """See `Store.resolve`."""
        return self.portal.call(self.inner.resolve, resolution)

    def purge(self, at: datetime, *, limit: int) -> int:
        """See `Store.purge`."""

        async def purge() -> int:
            return await self.inner.purge(at, limit=limit)

        return self.portal.call(purge)

    def get(self, identity: str) -> Existing | None:
        """See `Store.get`."""
        return self.portal.call(self.inner.get, identity)

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
        """See `Store.find`."""

        async def find() -> list[Record]:
            return await self.inner.find(
                key_prefix=key_prefix,
                statuses=statuses,
                operation_name=operation_name,
                actor_id=actor_id,
                origin=origin,
                newest_first=newest_first,
                limit=limit,
            )

        return self.portal.call(find)

    def events(self, idempotency_key: str) -> list[Event]:
        """See `Store.events`."""
        return self.portal.call(self.inner.events, idempotency_key)

    def note(self, record: Record, event: Event) -> None:
        """See `Store.note`."""
        self.portal.call(self.inner.note, record, event)

    def wait(self, existing: Existing, seconds: float) -> None:
        """See `Store.wait`."""
        self.portal.call(self.inner.wait, existing, seconds)

    def release(self, identity: str, generation: int, fence: int) -> None:
        """See `AsyncStore.release`: not awaited, but on the loop."""

        async def release() -> None:
            call: Callable[[str, int, int], object] = self.inner.release
            answer = call(identity, generation, fence)
            assert answer is None, "release() is called, not awaited: it must be no coroutine"

        self.portal.call(release)

    def tidy(self) -> None:
        """See `Store.tidy`."""
        self.portal.call(self.inner.tidy)

    def close(self) -> None:
        """See `AsyncStore.aclose`."""
        self.portal.call(self.inner.aclose)
