"""Tasks of one loop share commits, the loop never waits for the disk, and what is cancelled is whole or nothing."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Claimed, Existing
from samekey.errors import StoreUnavailableError
from samekey.stores import AsyncSQLiteStore, SQLiteStore, _async_engine, _keeper, _sql
from samekey.stores._connection import Connection, read_write
from samekey.stores._keeper import Extent
from samekey.stores._locks import UNDER_WAY, FileLock
from samekey.stores._plans import Plan
from tests.stores.builders import at, claimed, record, resolution, settlement
from tests.stores.tasks import Gate, Threads, act, gated, opened, reached, together

_names = (f"async-counting-{number}" for number in itertools.count())

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _no_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keeper, "DELAY", 3_600.0)  # its syncs are not the callers'


@pytest.fixture
def vfs() -> Iterator[Threads]:
    vfs = Threads(next(_names))
    yield vfs
    vfs.unregister()


# --- sharing -------------------------------------------------------------------------------------------------


async def test_many_tasks_share_their_syncs_and_none_is_made_on_the_loop(tmp_path: Path, vfs: Threads) -> None:
    async with opened(tmp_path, _connect=vfs.connect) as store:
        await act(store, "first")
        vfs.counts.clear()

        async def work(number: int) -> None:
            for turn in range(5):
                await act(store, f"{number}-{turn}")

        await together(*[partial(work, number) for number in range(64)])
        assert len(await store.find(statuses={Status.SUCCEEDED})) == 64 * 5 + 1
        assert 0 < vfs.counts["-wal"] <= 64 * 5 // 10
        assert threading.get_ident() not in vfs.waited


async def test_a_lone_action_syncs_once_and_commits_its_settlement_on_the_loop(tmp_path: Path) -> None:
    async with gated(tmp_path) as (store, gate):
        await act(store, "one")
        (claim, settle) = gate.commits
        assert claim[0] == "FULL"
        assert claim[1] != threading.get_ident()
        assert settle == ("NORMAL", threading.get_ident())


async def test_all_that_comes_while_a_commit_is_on_its_way_goes_into_the_next(tmp_path: Path) -> None:
    async with gated(tmp_path) as (store, gate):
        gate.free.clear()
        rows = [record(store, str(number)) for number in range(9)]  # type: ignore[arg-type]

        async def let_through() -> None:
            await reached(gate)
            for _ in range(5):  # by then all the others have asked
                await anyio.lowlevel.checkpoint()
            gate.free.set()

        first, *others = [partial(store.claim, Claim(row)) for row in rows]

        async def later(verb: Callable[[], Awaitable[object]]) -> object:
            await reached(gate)
            return await verb()

        brought = await together(first, let_through, *[partial(later, verb) for verb in others])
        assert [type(each) for each in brought] == [Claimed, type(None)] + [Claimed] * 8
        assert [level for level, _ in gate.commits] == ["FULL", "FULL"]


async def test_a_commit_is_put_off_for_what_comes_in_the_next_turns(tmp_path: Path) -> None:
    async with gated(tmp_path) as (store, gate):
        store._engine._clock = lambda: 0.0
        busy = [record(store, f"busy-{number}") for number in range(16)]  # type: ignore[arg-type]
        rows = [record(store, str(number)) for number in range(3)]  # type: ignore[arg-type]
        for row in busy:
            await store.claim(Claim(row))
        gate.commits.clear()

        async def later(row: Any, turns: int) -> None:
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            await store.claim(Claim(row))

        await together(*[partial(later, row, turns) for turns, row in zip((0, 2, 4), rows, strict=True)])
        assert [level for level, _ in gate.commits] == ["FULL"]


async def test_turns_that_take_long_are_few(tmp_path: Path) -> None:
    async with gated(tmp_path) as (store, _):
        for number in range(16):
            await store.claim(Claim(record(store, f"busy-{number}")))  # type: ignore[arg-type]
        looks = itertools.count()
        store._engine._clock = lambda: next(looks) * _async_engine.LONGEST_WAIT
        await store.claim(Claim(record(store, "late")))  # type: ignore[arg-type]
        assert next(looks) == 2  # one when it was put off, one a turn later


@pytest.mark.parametrize(("at_work", "enough"), [(16, 4), (8 * _async_engine.ENOUGH, _async_engine.ENOUGH)])
async def test_enough_jobs_wait_for_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_work: int, enough: int
) -> None:
    async with gated(tmp_path) as (store, gate):
        store._engine._clock = lambda: 0.0  # the turns are to be too many, not to take too long
        busy = [record(store, f"busy-{number}") for number in range(at_work)]  # type: ignore[arg-type]
        await together(*[partial(store.claim, Claim(row)) for row in busy])
        monkeypatch.setattr(_async_engine, "TURNS", 1_000_000_000)
        rows = [record(store, str(number)) for number in range(enough)]  # type: ignore[arg-type]
        gate.commits.clear()
        with anyio.fail_after(60):
            await together(*[partial(store.claim, Claim(row)) for row in rows])
        assert [level for level, _ in gate.commits] == ["FULL"]


@pytest.mark.parametrize("by", ["keeper", "tidy", "another store"])
async def test_a_settlement_after_the_log_was_emptied_does_not_sync_on_the_loop(
    tmp_path: Path, vfs: Threads, by: str
) -> None:
    async with opened(tmp_path, _connect=vfs.connect) as store:
        row = record(store)  # type: ignore[arg-type]
        await store.claim(Claim(row))
        if by == "keeper":
            await anyio.to_thread.run_sync(store._engine.emptier.empty, Extent.REST)
            store._engine.emptier.rest()
        elif by == "tidy":
            await store.tidy()
        else:
            other = SQLiteStore(tmp_path / "samekey.db", _connect=vfs.connect)
            await anyio.to_thread.run_sync(other.tidy)
            await anyio.to_thread.run_sync(other.close)
        vfs.counts.clear()
        await store.settle(settlement(row))
        assert vfs.counts["-wal"] == 1  # SQLite syncs the head of a log that begins anew
        assert threading.get_ident() not in vfs.waited
        await act(store, "next")
        assert vfs.counts["-wal"] == 2


async def test_a_verb_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        row = record(store)  # type: ignore[arg-type]
        await store.claim(Claim(row))
        await store.settle(settlement(row, Move.STOP))
        found = await store.get(row.identity)
        assert found is not None
        wrong = settlement(found.record, Move.NOT_SENT, at=at(5))
        two, three = (record(store, name) for name in ("two", "three"))  # type: ignore[arg-type]
        brought = await together(
            partial(store.claim, Claim(two)), partial(store.settle, wrong), partial(store.claim, Claim(three))
        )
        assert [type(each).__name__ for each in brought] == ["Claimed", "IllegalMoveError", "Claimed"]
        # trio starts tasks in an order of its own.
        assert {each.idempotency_key for each in await store.find()} == {"key-c-9-1", "key-two-1", "key-three-1"}


async def test_a_transaction_that_begins_again_does_not_sync_on_the_loop(tmp_path: Path, vfs: Threads) -> None:
    async with opened(tmp_path, _connect=vfs.connect) as store:
        await act(store, "first")
        engine, begun = store._engine, list[bool]()

        def put(connection: Connection) -> int:
            return connection.execute("INSERT INTO meta (name, value) VALUES ('job', 'x')").rowcount

        def fails(_connection: Connection) -> None:
            if not begun:  # the first half of what the keeper may do just then
                begun.append(True)
                engine.emptier.lock.leave_mark(UNDER_WAY)
                apart = vfs.connect(read_write(store.location))
                apart.execute(_sql.PASSIVE).fetchall()
                apart.close()
                vfs.waited.clear()
            raise ValueError

        brought = await together(*[partial(engine.perform, Plan(work, full=False), at_work=2) for work in (put, fails)])
        assert [type(each) for each in brought] == [int, ValueError]
        assert vfs.waited  # SQLite syncs the head of the log that begins anew
        assert threading.get_ident() not in vfs.waited


def unsynced(store: AsyncSQLiteStore) -> bool:
    return store._engine._unsynced


async def test_a_commit_that_fails_is_uncertain_for_all_and_leaves_no_task(tmp_path: Path) -> None:
    class Failing(Gate):
        broken = False

        def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
            if sql == "COMMIT" and Failing.broken:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
                raise error
            return super().execute(sql, parameters)

    async with opened(tmp_path, _connect=Failing) as store:
        await act(store, "first")
        rows = [record(store, str(number)) for number in range(4)]  # type: ignore[arg-type]
        Failing.broken = True
        brought = await together(*[partial(store.claim, Claim(row)) for row in rows])
        Failing.broken = False
        assert all(isinstance(each, StoreUnavailableError) and each.uncertain for each in brought)
        assert unsynced(store)
        for row in rows:
            assert await store.claim(Claim(row)) == Claimed(row)
        assert not unsynced(store)  # the log was copied back first
        assert len(await store.find()) == 5


# --- the loop goes on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["secret", "claim", "settle", "note", "resolve", "purge", "tidy"])
async def test_the_loop_goes_on_while_another_process_holds_the_lock(tmp_path: Path, verb: str) -> None:
    async with opened(tmp_path) as store:
        row = record(store)  # type: ignore[arg-type]
        await store.claim(Claim(row))
        asked: dict[str, Callable[[], Awaitable[object]]] = {
            "secret": partial(store.secret, None),
            "claim": partial(store.claim, Claim(record(store, "two"))),  # type: ignore[arg-type]
            "settle": partial(store.settle, settlement(row)),
            "note": partial(store.note, row, resolution(row).event),
            "resolve": partial(store.resolve, resolution(row)),
            "purge": partial(store.purge, at(0), limit=1),
            "tidy": store.tidy,
        }
        lock = FileLock(store._files.lock)  # flock tells files that were opened twice apart, as two processes
        lock.acquire()
        answered = anyio.Event()

        async def ask() -> None:
            await asked[verb]()
            answered.set()

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            for _ in range(200):
                await anyio.lowlevel.checkpoint()
            assert not answered.is_set()
            lock.close()
            with anyio.fail_after(30):
                await answered.wait()


async def test_the_loop_goes_on_while_a_program_that_knows_no_lock_file_writes(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = sqlite3.connect(tmp_path / "samekey.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        row = record(store)  # type: ignore[arg-type]
        answered = anyio.Event()

        async def ask() -> None:
            assert await store.claim(Claim(row)) == Claimed(row)
            answered.set()

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            for _ in range(200):
                await anyio.lowlevel.checkpoint()
            assert not answered.is_set()
            other.execute("ROLLBACK")
            with anyio.fail_after(30):
                await answered.wait()
        other.close()


async def test_reading_and_releasing_do_not_wait_for_a_commit_on_the_loop(tmp_path: Path) -> None:
    async with gated(tmp_path) as (store, gate):
        row = record(store)  # type: ignore[arg-type]
        gate.free.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(store.claim, Claim(row))
            await reached(gate)
            group.start_soon(store.get, row.identity)
            group.start_soon(partial(store.find, limit=1))
            group.start_soon(store.events, row.idempotency_key)
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            store.release(row.identity, row.generation, row.fence)
            gate.free.set()
        assert await store.get(row.identity) == Existing(row, high_water=at(0))


async def test_a_thousand_tasks_wait_for_one_of_their_own_without_threads(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        row = record(store)  # type: ignore[arg-type]
        await store.claim(Claim(row))
        existing = await store.get(row.identity)
        assert existing is not None
        woken = 0

        async def wait() -> None:
            nonlocal woken
            await store.wait(existing, 60)
            woken += 1

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                before = threading.active_count()
                for _ in range(1_000):
                    group.start_soon(wait)
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                assert threading.active_count() == before
                # Through the other store on the same file, in another thread.
                other = SQLiteStore(tmp_path / "samekey.db")
                await anyio.to_thread.run_sync(other.settle, settlement(row))
                await anyio.to_thread.run_sync(other.close)
        assert woken == 1_000


async def test_both_stores_of_one_process_have_one_holder(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = SQLiteStore(tmp_path / "samekey.db")
        row = await anyio.to_thread.run_sync(claimed, other)
        assert store.holder == other.holder
        existing = await store.get(row.identity)
        assert existing is not None
        assert existing.own
        store.release(row.identity, row.generation, row.fence)
        assert not (await anyio.to_thread.run_sync(other.get, row.identity)).alive  # type: ignore[union-attr]
        await anyio.to_thread.run_sync(other.close)
