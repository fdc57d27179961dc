"""What is cancelled is whole or nothing, a store goes from loop to loop, and nothing is left over."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from samekey._core.states import Status
from samekey._core.verbs import Claim, Existing
from samekey.errors import UsageError
from samekey.stores import AsyncSQLiteStore, SQLiteStore, _keeper
from samekey.stores._locks import FileLock
from tests.stores.builders import at, done, record, renewal, stored
from tests.stores.tasks import Gate, act, gated, opened, reached, together

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _no_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keeper, "DELAY", 3_600.0)  # its syncs are not the callers'


# --- cancellation --------------------------------------------------------------------------------------------


async def test_a_claim_that_is_cancelled_on_its_way_to_the_disk_is_whole_and_dead(tmp_path: Path) -> None:
    async with gated(tmp_path) as (store, gate):
        row, queued = record(store), record(store, "queued")  # type: ignore[arg-type]
        gate.free.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(store.claim, Claim(row))
            await reached(gate)
            group.start_soon(store.claim, Claim(queued))
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        gate.free.set()
        assert await store.get(row.identity) == Existing(row, high_water=at(0))
        assert await store.get(queued.identity) is None
        assert not len(store._holder.running)  # type: ignore[union-attr]


async def test_a_claim_that_is_cancelled_before_the_worker_writes_it_leaves_no_task(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        lock = FileLock(store._files.lock)
        lock.acquire()
        row = record(store)  # type: ignore[arg-type]
        async with anyio.create_task_group() as group:
            group.start_soon(store.claim, Claim(row))
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        lock.close()
        found = await store.get(row.identity)
        assert found is None or found == Existing(row, high_water=at(0))
        assert not len(store._holder.running)  # type: ignore[union-attr]


async def test_a_renewal_that_is_cancelled_on_its_way_keeps_the_task_that_ran_before(tmp_path: Path) -> None:
    async with gated(tmp_path) as (store, gate):
        row = record(store)  # type: ignore[arg-type]
        await store.claim(Claim(row))
        gate.reached.clear()
        gate.free.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(store.renew, renewal(row, store, new_fence=1, nonce=row.claim_nonce))  # type: ignore[arg-type]
            await reached(gate)
            group.cancel_scope.cancel()
        gate.free.set()
        found = await store.get(row.identity)
        assert found is not None
        assert found.alive
        assert found.record.attempts == 2


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("samekey-store")]


async def test_nothing_is_left_over_after_the_end(tmp_path: Path) -> None:
    def descriptors() -> list[str]:
        found = (os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
        return [target for target in found if target.startswith(str(tmp_path)) and ".holders/" not in target]

    async with opened(tmp_path) as store:
        await together(*[partial(act, store, str(number)) for number in range(20)])
        async with anyio.create_task_group() as group:
            group.start_soon(act, store, "cancelled")
            group.cancel_scope.cancel()
        assert descriptors()
        assert ours()
    assert not ours()
    assert not descriptors()


# --- loops ---------------------------------------------------------------------------------------------------


def in_a_thread(work: Callable[[], object]) -> object:
    brought: list[object] = []

    def call() -> None:
        try:
            brought.append(work())
        except Exception as error:  # noqa: BLE001 - it is what the work brought
            brought.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(60)
    return brought[0]


def run(backend: str, work: Callable[[], Awaitable[object]]) -> object:
    return anyio.run(work, backend=backend)


@pytest.mark.parametrize("then", ["asyncio", "trio"])
def test_a_second_loop_goes_on_where_the_first_has_ended(tmp_path: Path, anyio_backend: str, then: str) -> None:
    gates: list[Gate] = []

    def open_gate(uri: str) -> Gate:
        gates.append(Gate(uri))
        return gates[-1]

    store = AsyncSQLiteStore(tmp_path / "samekey.db", _connect=open_gate)
    row: list[Any] = []

    async def first() -> None:
        await store.secret(None)
        row.append(record(store))  # type: ignore[arg-type]
        gates[-1].free.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(store.claim, Claim(row[0]))
            await reached(gates[-1])
            group.cancel_scope.cancel()

    async def second() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(act, store, "second")
            await anyio.lowlevel.checkpoint()
            gates[-1].free.set()  # only now the first loop's commit ends
        assert await store.get(row[0].identity) == Existing(row[0], high_water=at(0))
        await store.aclose()

    run(anyio_backend, first)
    run(then, second)
    later = SQLiteStore(tmp_path / "samekey.db")
    assert {each.idempotency_key for each in later.find()} == {"key-c-9-1", "key-second-1"}
    later.close()


async def test_two_loops_at_once_are_refused(tmp_path: Path, anyio_backend: str) -> None:
    async with gated(tmp_path) as (store, gate):
        gate.free.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(act, store, "one")
            await reached(gate)
            other = await anyio.to_thread.run_sync(
                partial(in_a_thread, partial(run, anyio_backend, partial(act, store, "two")))
            )
            assert isinstance(other, UsageError)
            assert "another event loop" in str(other)
            gate.free.set()
        assert [each.idempotency_key for each in await store.find()] == ["key-first-1", "key-one-1"]


async def test_a_store_that_was_not_opened_says_so_when_it_is_asked_for_its_holder(tmp_path: Path) -> None:
    store = AsyncSQLiteStore(tmp_path / "samekey.db")
    with pytest.raises(UsageError, match=r"await its secret\(\)"):
        _ = store.holder
    store.release("nothing", 1, 1)
    await store.aclose()


def test_a_store_that_was_forgotten_leaves_no_payload_and_no_thread(tmp_path: Path) -> None:
    async def forgetful() -> None:
        store = AsyncSQLiteStore(tmp_path / "samekey.db")
        await store.secret(None)
        await act(store, "one")

    asyncio.run(forgetful())
    import gc

    gc.collect()
    for thread in ours():
        thread.join(30)
    assert not ours()
    log = tmp_path / "samekey.db-wal"
    assert not log.exists() or not log.stat().st_size
    store = SQLiteStore(tmp_path / "samekey.db")
    assert stored(store, "one").status is Status.SUCCEEDED
    assert done(store, "two").settled
    store.close()
