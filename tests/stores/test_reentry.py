"""What comes in the middle of a transaction, in the same thread: a signal handler, and a store that is collected."""

from __future__ import annotations

import asyncio
import gc
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from samekey._core.verbs import Claim, Claimed
from samekey.errors import StoreUnavailableError
from samekey.stores import AsyncSQLiteStore, SQLiteStore
from tests.stores.builders import record, settlement
from tests.stores.watched import Watched

pytestmark = pytest.mark.timeout(60)  # without the guards they wait for themselves


def meanwhile(uri: str, at: str, do: list[Callable[[], object]]) -> Watched:
    """A connection that does something at a statement, once, in the middle of a transaction."""

    def before(sql: str) -> None:
        if sql.lstrip().startswith(at):
            while do:
                do.pop()()

    return Watched(uri, before)


@pytest.mark.parametrize("at", ["COMMIT", "INSERT INTO actions", "BEGIN"])
@pytest.mark.parametrize("own", [True, False], ids=["the same store", "another object"])
def test_a_signal_handler_that_writes_in_the_middle_of_a_write_is_refused_and_the_write_goes_on(
    tmp_path: Path, at: str, *, own: bool
) -> None:
    do: list[Callable[[], object]] = []
    store = SQLiteStore(tmp_path / "samekey.db", _connect=lambda uri: meanwhile(uri, at, do))
    other = store if own else SQLiteStore(tmp_path / "samekey.db")
    for each in {store, other}:
        each.secret(None)
    told: list[StoreUnavailableError] = []

    def handler(*_: object) -> None:
        for verb in (lambda: other.claim(Claim(record(other, "handler"))), other.find):
            with pytest.raises(
                StoreUnavailableError, match="signal handler has interrupted, so nothing was sent"
            ) as caught:
                verb()
            told.append(caught.value)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        row = record(store, "main")
        do.append(lambda: signal.raise_signal(signal.SIGUSR1))
        assert store.claim(Claim(row)) == Claimed(row)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(told) == 2
    store.settle(settlement(row))
    assert isinstance(other.claim(Claim(record(other, "handler"))), Claimed)  # afterwards it may
    assert len(store.find()) == 2
    for each in {store, other}:
        each.close()


def test_a_handler_that_closes_the_store_lets_the_write_go_on(tmp_path: Path) -> None:
    """As handlers of SIGTERM do, before they exit."""
    do: list[Callable[[], object]] = []
    store = SQLiteStore(tmp_path / "samekey.db", _connect=lambda uri: meanwhile(uri, "COMMIT", do))
    store.secret(None)

    def handler(*_: object) -> None:
        store.tidy()
        store.close()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        row = record(store, "main")
        do.append(lambda: signal.raise_signal(signal.SIGUSR1))
        assert store.claim(Claim(row)) == Claimed(row)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert store.find() == [row]
    store.close()
    assert not (tmp_path / "samekey.db-wal").exists()


def test_a_handler_that_writes_while_the_store_is_closed_is_refused(tmp_path: Path) -> None:
    do: list[Callable[[], object]] = []
    store = SQLiteStore(tmp_path / "samekey.db", _connect=lambda uri: meanwhile(uri, "PRAGMA wal_checkpoint", do))
    store.claim(Claim(record(store, "one")))

    def write() -> None:
        with pytest.raises(StoreUnavailableError, match="signal handler has interrupted"):
            store.claim(Claim(record(store, "two")))

    do.append(write)
    store.close()
    assert not do
    assert len(store.find()) == 1
    store.close()


def test_a_handler_that_interrupts_an_event_loops_store_is_refused_by_the_threads_store(tmp_path: Path) -> None:
    do: list[Callable[[], object]] = []
    loops = AsyncSQLiteStore(tmp_path / "samekey.db", _connect=lambda uri: meanwhile(uri, "INSERT INTO actions", do))
    threads = SQLiteStore(tmp_path / "samekey.db")
    threads.secret(None)
    told: list[str] = []

    def write() -> None:
        with pytest.raises(StoreUnavailableError, match="signal handler has interrupted") as caught:
            threads.claim(Claim(record(threads, "two")))
        told.append(str(caught.value))

    async def main() -> None:
        await loops.secret(None)
        do.append(write)
        await loops.claim(Claim(record(threads, "one")))
        await loops.aclose()

    asyncio.run(main())
    assert len(told) == 1
    assert len(threads.find()) == 1
    threads.close()


def test_a_store_that_is_collected_in_the_middle_of_a_write_waits_for_nobody(tmp_path: Path) -> None:
    do: list[Callable[[], object]] = []
    store = SQLiteStore(tmp_path / "samekey.db", _connect=lambda uri: meanwhile(uri, "COMMIT", do))
    forgotten = SQLiteStore(tmp_path / "samekey.db")
    row = record(forgotten, "forgotten")
    forgotten.claim(Claim(row))
    engine = forgotten._engine
    gc.collect()

    def forget() -> None:
        nonlocal forgotten
        del forgotten
        gc.collect()

    do.append(forget)
    one = record(store, "one")
    assert store.claim(Claim(one)) == Claimed(one)
    assert engine._connection is None
    assert {each.idempotency_key for each in store.find()} == {row.idempotency_key, one.idempotency_key}
    store.close()
    assert not (tmp_path / "samekey.db-wal").exists()


def test_a_store_that_is_collected_leaves_no_payload_behind(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    store.claim(Claim(record(store, "one")))
    assert (tmp_path / "samekey.db-wal").stat().st_size
    del store
    gc.collect()
    assert not (tmp_path / "samekey.db-wal").exists()
    database = sqlite3.connect(tmp_path / "samekey.db")
    assert database.execute("SELECT count(*) FROM actions").fetchone() == (1,)
    database.close()
