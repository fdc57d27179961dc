"""A process that opens many stores, one after the other, has no more open files in the end."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
import pytest

import samekey
from samekey.stores import AsyncSQLiteStore, SQLiteStore
from samekey.testing import FlakyServer
from tests.stores.builders import claimed, done, leaves_no_descriptor, record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("settled", [True, False])
def test_a_store_for_threads_leaves_no_descriptor(tmp_path: Path, settled: bool) -> None:
    def use(number: int) -> None:
        store = SQLiteStore(tmp_path / f"{number}.db")
        done(store, "one") if settled else claimed(store, "one")
        store.close()
        store.find()  # opens it again
        store.close()

    leaves_no_descriptor(use)


def test_a_store_that_is_not_closed_leaves_none_when_nobody_has_it_any_more(tmp_path: Path) -> None:
    def use(number: int) -> None:
        claimed(SQLiteStore(tmp_path / f"{number}.db"), "one")

    leaves_no_descriptor(use)


def test_a_store_that_cannot_be_opened_leaves_none(tmp_path: Path) -> None:
    def use(number: int) -> None:
        SQLiteStore(tmp_path / f"{number}.db").secret(bytes(32))
        store = SQLiteStore(tmp_path / f"{number}.db")
        with pytest.raises(samekey.StoreFormatError):
            store.secret(bytes(31) + b"1")
        store.close()

    leaves_no_descriptor(use)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_store_for_event_loops_leaves_none(tmp_path: Path, backend: str) -> None:
    def use(number: int) -> None:
        async def main() -> None:
            store = AsyncSQLiteStore(tmp_path / f"{number}.db")
            await store.secret(None)
            row = record(store, "one")  # type: ignore[arg-type] # of which it asks for the holder only
            await store.claim(samekey._core.verbs.Claim(row))
            await store.aclose()

        anyio.run(main, backend=backend)

    leaves_no_descriptor(use)


def test_a_client_leaves_none(tmp_path: Path) -> None:
    with FlakyServer() as server:

        def use(number: int) -> None:
            path = tmp_path / f"{number}.db"
            with (
                samekey.Client(server.url, window=timedelta(days=1), store=str(path)) as client,
                client.action("create_order", scope={"order": 1}) as action,
            ):
                action.post("/orders", json={})

        leaves_no_descriptor(use)


def test_while_a_store_is_in_use_its_process_is_not_taken_for_dead(tmp_path: Path) -> None:
    """Two store objects are one process to others: the lock stays until the last one has gone."""
    path = tmp_path / "samekey.db"
    first, second = SQLiteStore(path), SQLiteStore(path)
    name = first.holder
    assert second.holder == name
    first.close()
    del first
    assert os.listdir(f"{path}.holders") == [name]
    assert second.holder == name
    second.close()
    del second
    assert os.listdir(f"{path}.holders") == []
