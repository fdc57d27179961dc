"""Counting a store, for the signals: what a store may offer beside the contract, and the slow way for those that do not.

A store that can count where its rows are has `tally`; all it returns is small, however many records there are. Of a
store without it every record and every timeline is read.
"""

from datetime import datetime
from itertools import chain
from typing import Final, Protocol, runtime_checkable

from samekey._core.tally import Counter, Tally
from samekey.stores._contract import AsyncStore, Portable, Store
from samekey.stores.encrypted import EncryptedAsyncStore, EncryptedStore

_BEGINNINGS: Final = tuple(f"{number:02x}" for number in range(256))
"""Of keys, which are UUIDs: a store is read in so many parts, so that none fills the memory."""


@runtime_checkable
class Tallies(Protocol):
    """What a store has that counts by itself."""

    def tally(self, *, since: datetime | None, operation_name: str | None, stretch_seconds: int | None) -> Tally:
        """The store in numbers.

        Args:
            since: only records first claimed, and events, at or after this time; what is unsettled counts in any case.
            operation_name: only this operation.
            stretch_seconds: the length of the stretches by which records and events are counted apart; None for one.
        """


@runtime_checkable
class AsyncTallies(Protocol):
    """The same for event loops."""

    async def tally(self, *, since: datetime | None, operation_name: str | None, stretch_seconds: int | None) -> Tally:
        """See `Tallies.tally`."""


def tally(
    store: Store,
    *,
    since: datetime | None = None,
    operation_name: str | None = None,
    stretch_seconds: int | None = None,
) -> Tally:
    """Any store in numbers, see `Tallies.tally`. Of an encrypted one nothing has to be decrypted."""
    if isinstance(store, EncryptedStore):
        store = store.below
    if isinstance(store, Tallies):
        return store.tally(since=since, operation_name=operation_name, stretch_seconds=stretch_seconds)
    counter = Counter(since, stretch_seconds)
    if isinstance(store, Portable):  # its records come with their timelines, many at once
        for entry in store.export():
            if operation_name in {None, entry.record.operation_name}:
                counter.add(entry.record, entry.events)
        return counter.tally()
    for record in chain.from_iterable(
        store.find(key_prefix=each, operation_name=operation_name) for each in _BEGINNINGS
    ):
        counter.add(record, store.events(record.idempotency_key))
    return counter.tally()


async def tally_async(
    store: AsyncStore,
    *,
    since: datetime | None = None,
    operation_name: str | None = None,
    stretch_seconds: int | None = None,
) -> Tally:
    """Any store of an event loop in numbers, see `tally`."""
    if isinstance(store, EncryptedAsyncStore):
        store = store.below
    if isinstance(store, AsyncTallies):
        return await store.tally(since=since, operation_name=operation_name, stretch_seconds=stretch_seconds)
    counter = Counter(since, stretch_seconds)
    for each in _BEGINNINGS:
        for record in await store.find(key_prefix=each, operation_name=operation_name):
            counter.add(record, await store.events(record.idempotency_key))
    return counter.tally()
