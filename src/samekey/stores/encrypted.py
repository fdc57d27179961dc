"""A store of any kind whose requests and answers are encrypted before they reach it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import cast, overload

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
from samekey.stores._contract import AsyncStore, Store
from samekey.stores._vault import Keys, Vault, configured
from samekey.unpicklable import Unpicklable


class EncryptedStore(Unpicklable):
    """Encrypts frozen requests and stored answers on their way into another store.

    `Client(encryption=…)` and `SAMEKEY_ENCRYPTION_KEY` make one. What was stored without encryption stays readable.

    Args:
        store: the store below.
        keys: a Fernet key (32 bytes in URL-safe base64), or several: the first encrypts, all of them decrypt. A text
            may have several, separated by commas; "keyring" takes them from the system's keyring.

    Raises:
        UsageError: there is no such key, or `samekey[crypto]` is not installed.
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self._inner = store
        self._vault = Vault(keys)

    def __repr__(self) -> str:
        """The store below and the ids of the keys; no key."""
        return f"<EncryptedStore {self._inner!r} {self._vault!r}>"

    @property
    def below(self) -> Store:
        """The store below, whose contents are encrypted."""
        return self._inner

    @property
    def location(self) -> str:
        """Where the store below is."""
        return self._inner.location

    @property
    def claim_durable(self) -> bool:
        """As of the store below."""
        return self._inner.claim_durable

    @property
    def lease(self) -> timedelta | None:
        """As of the store below."""
        return self._inner.lease

    @property
    def holder(self) -> str:
        """As of the store below."""
        return self._inner.holder

    def secret(self, given: bytes | None) -> bytes:
        """See `Store.secret`. Which is another secret than the keys of the encryption."""
        return self._inner.secret(given)

    def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """See `Store.claim`."""
        return self._vault.answer(self._inner.claim(self._vault.claim(claim)))

    def renew(self, renewal: Renewal) -> Renewed | Existing:
        """See `Store.renew`."""
        return self._vault.answer(self._inner.renew(renewal))

    def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """See `Store.settle`."""
        return self._vault.answer(self._inner.settle(self._vault.settlement(settlement)))

    def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """See `Store.resolve`."""
        return self._vault.answer(self._inner.resolve(resolution))

    def purge(self, at: datetime, *, limit: int) -> int:
        """See `Store.purge`."""
        return self._inner.purge(at, limit=limit)

    def get(self, identity: str) -> Existing | None:
        """See `Store.get`."""
        return self._vault.answer(self._inner.get(identity))

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
        found = self._inner.find(
            key_prefix=key_prefix,
            statuses=statuses,
            operation_name=operation_name,
            actor_id=actor_id,
            origin=origin,
            newest_first=newest_first,
            limit=limit,
        )
        return [self._vault.opened(record) for record in found]

    def events(self, idempotency_key: str) -> list[Event]:
        """See `Store.events`."""
        return self._inner.events(idempotency_key)

    def note(self, record: Record, event: Event) -> None:
        """See `Store.note`."""
        self._inner.note(record, event)

    def wait(self, existing: Existing, seconds: float) -> None:
        """See `Store.wait`."""
        self._inner.wait(existing, seconds)

    def release(self, identity: str, generation: int, fence: int) -> None:
        """See `Store.release`."""
        self._inner.release(identity, generation, fence)

    def tidy(self) -> None:
        """See `Store.tidy`."""
        self._inner.tidy()

    def close(self) -> None:
        """See `Store.close`."""
        self._inner.close()


class EncryptedAsyncStore(Unpicklable):
    """The twin of `EncryptedStore` for event loops. Encrypting takes microseconds, so it is done in the loop.

    Args:
        store: the store below.
        keys: as for `EncryptedStore`.

    Raises:
        UsageError: there is no such key, or `samekey[crypto]` is not installed.
    """

    def __init__(self, store: AsyncStore, keys: Keys) -> None:
        self._inner = store
        self._vault = Vault(keys)

    def __repr__(self) -> str:
        """The store below and the ids of the keys; no key."""
        return f"<EncryptedAsyncStore {self._inner!r} {self._vault!r}>"

    @property
    def below(self) -> AsyncStore:
        """The store below, whose contents are encrypted."""
        return self._inner

    @property
    def location(self) -> str:
        """Where the store below is."""
        return self._inner.location

    @property
    def claim_durable(self) -> bool:
        """As of the store below."""
        return self._inner.claim_durable

    @property
    def lease(self) -> timedelta | None:
        """As of the store below."""
        return self._inner.lease

    @property
    def holder(self) -> str:
        """As of the store below."""
        return self._inner.holder

    async def secret(self, given: bytes | None) -> bytes:
        """See `Store.secret`. Which is another secret than the keys of the encryption."""
        return await self._inner.secret(given)

    async def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """See `Store.claim`."""
        return self._vault.answer(await self._inner.claim(self._vault.claim(claim)))

    async def renew(self, renewal: Renewal) -> Renewed | Existing:
        """See `Store.renew`."""
        return self._vault.answer(await self._inner.renew(renewal))

    async def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """See `Store.settle`."""
        return self._vault.answer(await self._inner.settle(self._vault.settlement(settlement)))

    async def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """See `Store.resolve`."""
        return self._vault.answer(await self._inner.resolve(resolution))

    async def purge(self, at: datetime, *, limit: int) -> int:
        """See `Store.purge`."""
        return await self._inner.purge(at, limit=limit)

    async def get(self, identity: str) -> Existing | None:
        """See `Store.get`."""
        return self._vault.answer(await self._inner.get(identity))

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
        found = await self._inner.find(
            key_prefix=key_prefix,
            statuses=statuses,
            operation_name=operation_name,
            actor_id=actor_id,
            origin=origin,
            newest_first=newest_first,
            limit=limit,
        )
        return [self._vault.opened(record) for record in found]

    async def events(self, idempotency_key: str) -> list[Event]:
        """See `Store.events`."""
        return await self._inner.events(idempotency_key)

    async def note(self, record: Record, event: Event) -> None:
        """See `Store.note`."""
        await self._inner.note(record, event)

    async def wait(self, existing: Existing, seconds: float) -> None:
        """See `Store.wait`."""
        await self._inner.wait(existing, seconds)

    def release(self, identity: str, generation: int, fence: int) -> None:
        """See `Store.release`."""
        self._inner.release(identity, generation, fence)

    async def tidy(self) -> None:
        """See `Store.tidy`."""
        await self._inner.tidy()

    async def aclose(self) -> None:
        """See `Store.close`."""
        await self._inner.aclose()


@overload
def encrypted(store: Store, keys: Keys | None) -> Store: ...
@overload
def encrypted(store: AsyncStore, keys: Keys | None) -> AsyncStore: ...
def encrypted(store: Store | AsyncStore, keys: Keys | None) -> Store | AsyncStore:
    """The store behind the encryption that is asked for, by `keys` or `SAMEKEY_ENCRYPTION_KEY`; itself if there is none.

    Raises:
        UsageError: there is no such key, or `samekey[crypto]` is not installed.
    """
    found = configured(keys)
    if found is None or isinstance(store, EncryptedStore | EncryptedAsyncStore):
        return store
    if hasattr(store, "aclose"):
        return EncryptedAsyncStore(cast("AsyncStore", store), found)
    return EncryptedStore(store, found)
