"""From a store to its signals."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Final

from samekey.errors import UsageError
from samekey.stores._tally import tally, tally_async
from samekey.telemetry.signals import Stats, stats_of

if TYPE_CHECKING:
    from samekey.stores import AsyncStore, Store

_LOOKS: Final = 5
_NOBODY: Final = "0" * 64
"""An identity that no action has."""


def stats(store: Store, *, since: datetime | timedelta | None = None, operation: str | None = None) -> Stats:
    """The signals of a whole store.

    Args:
        store: where the records are.
        since: a time, or how long ago.
        operation: the name of an operation; None for all.

    Raises:
        UsageError: `since` is a time without a time zone.
        StoreError: the store cannot be used.
    """
    now = datetime.now(UTC)
    begin = begin_of(since, now)
    counted = tally(store, since=begin, operation_name=operation)
    return stats_of(counted, at=now, since=begin, operation=operation, store_latency=latency(store))


async def stats_async(
    store: AsyncStore, *, since: datetime | timedelta | None = None, operation: str | None = None
) -> Stats:
    """The same of a store for event loops, see `stats`."""
    now = datetime.now(UTC)
    begin = begin_of(since, now)
    counted = await tally_async(store, since=begin, operation_name=operation)
    looks = []
    for _ in range(_LOOKS):
        started = time.perf_counter()
        await store.get(_NOBODY)
        looks.append(time.perf_counter() - started)
    return stats_of(counted, at=now, since=begin, operation=operation, store_latency=median(looks))


def latency(store: Store) -> float:
    """Seconds that the store takes to look for one record: the middle one of some tries."""
    looks = []
    for _ in range(_LOOKS):
        started = time.perf_counter()
        store.get(_NOBODY)
        looks.append(time.perf_counter() - started)
    return median(looks)


def begin_of(since: datetime | timedelta | None, now: datetime) -> datetime | None:
    """The time from which on things count.

    Raises:
        UsageError: it has no time zone.
    """
    if isinstance(since, timedelta):
        try:
            return now - since
        except OverflowError:
            return None
    if since is not None and since.tzinfo is None:
        raise UsageError(
            "since= is a time without a time zone, so nobody can say when it is; give datetime.now(UTC) - …"
        )
    return since
