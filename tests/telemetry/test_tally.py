"""A store that counts by itself and one that is read record by record come to the same numbers."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from samekey._core.model import Event
from samekey._core.states import Status
from samekey.stores import AsyncMemoryStore, AsyncSQLiteStore, MemoryStore, SQLiteStore, _counting
from samekey.stores._tally import AsyncTallies, Tallies, tally, tally_async
from tests.telemetry.stories import OPERATIONS, T0, Story, by_chance, into_memory, into_sqlite, make

if TYPE_CHECKING:
    from pathlib import Path

    from samekey._core.tally import Tally


class Plain:
    """A store without a tally of its own."""

    def __init__(self, store: MemoryStore | AsyncMemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name == "tally":
            raise AttributeError(name)
        return getattr(self._store, name)


async def of_loop(path: Path, **asked: Any) -> Tally:
    """What the store for event loops tells of the same file."""
    store = AsyncSQLiteStore(path)
    try:
        return await tally_async(store, **asked)
    finally:
        await store.aclose()


def both(tmp_path: Path, stories: list[Story]) -> tuple[SQLiteStore, MemoryStore]:
    sqlite, memory = SQLiteStore(tmp_path / "samekey.db"), MemoryStore()
    into_sqlite(sqlite, stories)
    into_memory(memory, stories)
    return sqlite, memory


@pytest.mark.parametrize("seed", range(4))
def test_every_way_of_counting_comes_to_the_same(tmp_path: Path, seed: int) -> None:
    luck = random.Random(seed)
    sqlite, memory = both(tmp_path, by_chance(luck, 120))
    plain: Any = Plain(memory)
    counting = AsyncMemoryStore(inner=memory)
    loop: Any = Plain(counting)
    assert isinstance(sqlite, Tallies)
    assert isinstance(memory, Tallies)
    assert not isinstance(plain, Tallies)
    assert isinstance(counting, AsyncTallies)
    assert isinstance(AsyncSQLiteStore(tmp_path / "samekey.db"), AsyncTallies)
    assert not isinstance(loop, AsyncTallies)
    for since in (None, T0, T0 + timedelta(hours=luck.randrange(120)), T0 + timedelta(days=90)):
        for operation in (None, *OPERATIONS, "unheard_of"):
            for stretch in (None, 3600, 86_400):
                asked: dict[str, Any] = {"since": since, "operation_name": operation, "stretch_seconds": stretch}
                truth = tally(plain, **asked)
                assert tally(sqlite, **asked) == truth
                assert tally(memory, **asked) == truth
                if stretch == 3600:
                    assert asyncio.run(tally_async(loop, **asked)) == truth
                    assert asyncio.run(tally_async(counting, **asked)) == truth
    assert asyncio.run(of_loop(tmp_path / "samekey.db", since=T0)) == tally(plain, since=T0)
    sqlite.close()


def test_what_is_unsettled_counts_however_old_it_is(tmp_path: Path) -> None:
    stories = [
        Story(make(1, T0, status=Status.UNKNOWN, window_seconds=3600.0)),
        Story(make(2, T0 + timedelta(days=1), status=Status.UNKNOWN)),
        Story(make(3, T0 + timedelta(days=2), status=Status.NEEDS_REVIEW)),
    ]
    for store in both(tmp_path, stories):
        counted = tally(store, since=T0 + timedelta(days=30))
        unknown = counted.left["create_order", Status.UNKNOWN]
        assert (unknown.count, unknown.oldest, unknown.window_seconds) == (2, T0, 3600.0)
        assert counted.left["create_order", Status.NEEDS_REVIEW].count == 1
        assert counted.rows == {}


def test_a_clock_that_was_set_back_for_some_days_hides_nothing(tmp_path: Path) -> None:
    stories = [
        Story(make(number, T0 + timedelta(days=days)), [Event(T0 + timedelta(days=days), "replay")])
        for number, days in enumerate((0, 20, 21, 17, 18, 22, 23, 24))
    ]
    sqlite, memory = both(tmp_path, stories)
    since = T0 + timedelta(days=20)
    counted = tally(sqlite, since=since)
    assert counted == tally(memory, since=since)
    assert counted.rows["create_order", 0].actions == 5
    assert counted.events["create_order", 0, "replay"] == 5


def test_what_is_long_before_the_time_is_not_read(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    into_sqlite(store, [Story(make(number, T0 + timedelta(days=number))) for number in range(1000)])
    asked: list[str] = []

    def connect(uri: str) -> Any:
        connection: Any = store._connect(uri)
        connection.set_trace_callback(asked.append)
        return connection

    late = T0 + timedelta(days=990)
    _counting.tally(store._files, connect, late, None, None)
    first = next(text for text in asked if "sum(attempts)" in text)
    assert "actions.id >= 984" in first
    assert len(asked) < 40


def test_counting_goes_on_beside_a_writer(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    into_sqlite(store, [Story(make(1, T0))])
    with store._engine._mutex:  # as a verb of another thread holds it
        assert _counting.tally(store._files, store._connect, None, None, None).rows["create_order", 0].actions == 1
