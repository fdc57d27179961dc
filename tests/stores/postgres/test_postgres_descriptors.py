"""Stores on servers leave no open connection, pipe or file when they are closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from samekey._core.verbs import Claim
from samekey.stores import AsyncPostgresStore, PostgresStore
from tests.stores.builders import claimed, done, leaves_no_descriptor, record

if TYPE_CHECKING:
    from tests.servers.postgres import Postgres


def test_a_store_for_threads_leaves_none(postgres: Postgres, schema: str) -> None:
    def use(number: int) -> None:
        store, other = (PostgresStore(postgres.url, schema=f"{schema}_{number}") for _ in range(2))
        done(store, "one")
        row = claimed(store, "two")
        store._listener.turn(row.identity, listen=True)  # as somebody who waits for another process does
        other.find()
        store.close()
        other.close()

    leaves_no_descriptor(use)


def test_a_store_for_event_loops_leaves_none(postgres: Postgres, schema: str) -> None:
    def use(number: int) -> None:
        async def main() -> None:
            store = AsyncPostgresStore(postgres.url, schema=f"{schema}_{number}")
            await store.secret(None)
            row = record(store, "one")  # type: ignore[arg-type] # of which it asks for the holder only
            await store.claim(Claim(row))
            await store.aclose()

        asyncio.run(main())

    leaves_no_descriptor(use)
