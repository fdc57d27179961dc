"""The same history has the same signals in every store: SQLite, memory, PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from samekey import measure
from samekey.stores import (
    AsyncPostgresStore,
    AsyncRedisStore,
    MemoryStore,
    PostgresStore,
    RedisStore,
    SQLiteStore,
)
from samekey.stores._contract import Entry
from samekey.stores._tally import AsyncTallies, Tallies, tally, tally_async
from tests.servers.postgres import Postgres
from tests.servers.redis import RedisServer
from tests.telemetry.stories import OPERATIONS, T0, Story, by_chance, into_memory, into_sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from samekey._core.tally import Tally

COUNT = 150
NAMES = dict.fromkeys(OPERATIONS, ("cart", "customer"))


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    luck = random.Random(8)
    made = by_chance(luck, COUNT)
    luck.shuffle(made)  # what was sent first need not be what was written first
    return made


@pytest.fixture(scope="module")
def memory(stories: list[Story]) -> MemoryStore:
    store = MemoryStore()
    into_memory(store, stories)
    return store


def filled(store: Any, stories: list[Story]) -> Any:
    store.secret(None)
    assert store.adopt(NAMES, [Entry(story.record, tuple(story.events)) for story in stories]).written == COUNT
    return store


@pytest.fixture(scope="module")
def postgres(stories: list[Story]) -> Iterator[str]:
    with Postgres() as server:
        with closing(filled(PostgresStore(server.url), stories)):
            pass
        yield server.url


@pytest.fixture(scope="module")
def redis(stories: list[Story], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        with closing(filled(RedisStore(server.url), stories)):
            pass
        yield server.url


def questions() -> Iterator[dict[str, Any]]:
    for since in (None, T0 + timedelta(hours=50), T0 + timedelta(days=90)):
        for operation in (None, OPERATIONS[0], "unheard_of"):
            for stretch in (None, 3600, 86_400):
                yield {"since": since, "operation_name": operation, "stretch_seconds": stretch}


async def asked_of_loop(store: Any, questions: list[dict[str, Any]]) -> list[Tally]:
    try:
        return [await tally_async(store, **asked) for asked in questions]
    finally:
        await store.aclose()


def test_postgresql_counts_by_itself_and_to_the_same(memory: MemoryStore, postgres: str) -> None:
    truth = [tally(memory, **asked) for asked in questions()]
    assert truth[0].clashes
    assert truth[0].left
    store = PostgresStore(postgres)
    assert isinstance(store, Tallies)
    with closing(store):
        assert [tally(store, **asked) for asked in questions()] == truth
    loop = AsyncPostgresStore(postgres)
    assert isinstance(loop, AsyncTallies)
    assert asyncio.run(asked_of_loop(loop, list(questions()))) == truth


def test_redis_is_read_and_comes_to_the_same(memory: MemoryStore, redis: str) -> None:
    truth = [tally(memory, **asked) for asked in questions()]
    with closing(RedisStore(redis)) as store:
        assert [tally(store, **asked) for asked in questions()] == truth
    assert asyncio.run(asked_of_loop(AsyncRedisStore(redis), list(questions())[:2])) == truth[:2]


def test_signals_are_the_same_everywhere(
    memory: MemoryStore, postgres: str, redis: str, stories: list[Story], tmp_path: Path
) -> None:
    sqlite = SQLiteStore(tmp_path / "samekey.db")
    into_sqlite(sqlite, stories)
    seen = []
    for store in (memory, sqlite, PostgresStore(postgres), RedisStore(redis)):
        with closing(store):
            stats = measure.stats(store)
        assert stats.store_latency is not None
        seen.append({
            name: getattr(stats, name)
            for name in stats.__slots__
            if name not in {"at", "store_latency", "oldest_unknown", "oldest_review"}  # those of the moment
        })  # fmt: skip
    assert seen[0]["actions"] == COUNT
    assert seen.count(seen[0]) == len(seen)
