"""Stores on a Redis server leave no connection and no file open when they are closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from samekey._core.verbs import Claim
from samekey.stores import AsyncRedisStore, RedisStore
from tests.stores.builders import claimed, leaves_no_descriptor, record

if TYPE_CHECKING:
    from tests.servers.redis import RedisServer


def test_a_store_for_threads_leaves_none(clean_server: RedisServer) -> None:
    def use(number: int) -> None:
        store = RedisStore(clean_server.url, prefix=f"s{number}")
        claimed(store, "one")
        store.close()

    leaves_no_descriptor(use)


def test_a_store_for_event_loops_leaves_none(clean_server: RedisServer) -> None:
    def use(number: int) -> None:
        async def main() -> None:
            store = AsyncRedisStore(clean_server.url, prefix=f"s{number}")
            await store.secret(None)
            row = record(store, "one")  # type: ignore[arg-type] # of which it asks for the holder only
            await store.claim(Claim(row))
            await store.aclose()

        asyncio.run(main())

    leaves_no_descriptor(use)
