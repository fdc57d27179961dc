"""Where a sync takes long, who has settled does not wait for it; who has claimed does, and is told the truth of it."""

from __future__ import annotations

import errno
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from samekey._core.model import Event
from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Claimed, Settled
from samekey.errors import StoreUnavailableError
from samekey.stores import AsyncSQLiteStore, _async_commits, _async_engine, _keeper, _log
from samekey.stores._connection import BUSY_TIMEOUT_MS
from tests.stores.builders import T0, at, record, renewal, seen, settlement
from tests.stores.tasks import act, gated, opened, together
from tests.stores.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from samekey._core.model import Record

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Disk:
    """The `os` module for the store's log, whose syncs can be held up or fail.

    Attributes:
        reached: a sync has begun.
        free: the sync may end.
        threads: those that have synced.
    """

    def __init__(self) -> None:
        self.reached, self.free = threading.Event(), threading.Event()
        self.free.set()
        self.fails = False
        self.threads: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fdatasync(self, descriptor: int) -> None:
        self.threads.append(threading.get_ident())
        self.reached.set()
        assert self.free.wait(10)
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fdatasync(descriptor)


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Every sync takes long here."""
    monkeypatch.setattr(_async_commits, "LONG", 0.0)
    monkeypatch.setattr(_keeper, "DELAY", 3_600.0)  # its syncs are not the callers'
    disk = Disk()
    monkeypatch.setattr(_log, "os", disk)
    return disk


def row(store: AsyncSQLiteStore, name: str, **changes: Any) -> Record:
    return record(store, name, **changes)  # type: ignore[arg-type] # it only needs the holder


async def busy(store: AsyncSQLiteStore) -> list[Record]:
    """So many actions that are at work that the next verbs share a commit, in whatever turns they come."""
    rows = [row(store, f"busy-{number}") for number in range(3 * _async_engine.SHARE)]
    for each in rows:
        assert isinstance(await store.claim(Claim(each)), Claimed)
    store._engine._clock = lambda: 0.0
    return rows


async def test_who_has_settled_goes_on_while_the_disk_is_at_work(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path) as store:
        await act(store, "first")
        settling, *_ = await busy(store)
        claimed: list[object] = []
        disk.threads.clear()
        disk.reached.clear()
        disk.free.clear()

        async def claim() -> None:
            claimed.append(await store.claim(Claim(row(store, "one"))))

        async def settle() -> None:
            assert isinstance(await store.settle(settlement(settling)), Settled)
            while not disk.reached.is_set():
                await anyio.lowlevel.checkpoint()
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert claimed == [], "it is not on the disk"
            disk.free.set()

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(claim)
                group.start_soon(settle)
        assert [type(each) for each in claimed] == [Claimed]
        assert len(disk.threads) == 1
        assert threading.get_ident() not in disk.threads


async def test_what_was_settled_stands_where_the_sync_fails_and_what_was_claimed_is_found_by_nobody(
    tmp_path: Path, disk: Disk
) -> None:
    async with opened(tmp_path) as store:
        await act(store, "first")
        settling, *others = await busy(store)
        disk.fails = True
        verbs: list[Callable[[], Awaitable[object]]] = [
            *[partial(store.claim, Claim(row(store, name))) for name in ("one", "two")],
            partial(store.settle, settlement(settling)),
        ]
        one, two, settled = await together(*verbs)
        disk.fails = False
        for failed in (one, two):
            assert isinstance(failed, StoreUnavailableError)
            assert failed.uncertain
            assert "nothing was sent" in str(failed)
            assert isinstance(failed.__cause__, OSError)
        assert isinstance(settled, Settled)
        assert await store.get("identity-one") is None
        assert await store.get("identity-two") is None
        found = await store.get(settling.identity)
        assert found is not None
        assert found.record.status is Status.SUCCEEDED
        assert store._holder is not None
        assert {each.identity for each in others} == {identity for identity, *_ in store._holder.running._tasks}
        await act(store, "next")


async def test_it_is_taken_back_although_another_program_writes(tmp_path: Path, disk: Disk) -> None:
    """Who wrote on the loop waits for nobody; the worker does."""
    told: list[str] = []

    def connect_told(uri: str) -> Any:
        return Watched(uri, told.append)

    async with opened(tmp_path, _connect=connect_told) as store:
        await act(store, "first")
        settling, *_ = await busy(store)
        disk.fails = True
        verbs: list[Callable[[], Awaitable[object]]] = [
            partial(store.claim, Claim(row(store, "one"))),
            partial(store.settle, settlement(settling)),
        ]
        await together(*verbs)
        disk.fails = False
    until = told.index(next(each for each in told if each.startswith("DELETE")))
    patience = [each.split()[-1] for each in told[:until] if "busy_timeout" in each]
    assert patience[-1] == str(BUSY_TIMEOUT_MS)


@pytest.mark.parametrize("where", ["sync", "commit"])
async def test_whatever_keeps_it_from_the_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async with opened(tmp_path) as store:
        await act(store, "first")
        settling, *_ = await busy(store)

        def fails(*_: object) -> None:
            raise MemoryError

        with monkeypatch.context() as patch:
            if where == "sync":
                patch.setattr(store._engine._own_sync, "sync", fails)
            else:
                patch.setattr(store._engine, "_commit", fails)
            claim: Callable[[], Awaitable[object]] = partial(store.claim, Claim(row(store, "one")))
            failed, settled = await together(claim, partial(store.settle, settlement(settling)))
        assert isinstance(failed, StoreUnavailableError)
        assert failed.uncertain
        assert "(MemoryError), so nothing was sent" in str(failed)
        assert isinstance(settled, Settled if where == "sync" else StoreUnavailableError)
        assert await store.get("identity-one") is None
        found = await store.get(settling.identity)
        assert found is not None
        assert found.record.settled is (where == "sync")
        await act(store, "next")


async def test_a_claim_that_is_cancelled_while_the_disk_is_at_work_holds_nothing(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path) as store:
        await act(store, "first")
        settling, *_ = await busy(store)
        disk.reached.clear()
        disk.free.clear()
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                claiming = anyio.CancelScope()

                async def claim() -> None:
                    with claiming:
                        await store.claim(Claim(row(store, "one")))

                group.start_soon(claim)
                await store.settle(settlement(settling))
                while not disk.reached.is_set():
                    await anyio.lowlevel.checkpoint()
                claiming.cancel()
            assert claiming.cancelled_caught
            disk.free.set()
            await act(store, "next")
        found = await store.get("identity-one")
        assert found is not None
        assert not found.alive


async def levels(tmp_path: Path, what: str) -> list[str]:
    """The level at which a settlement and something else were committed together."""
    async with gated(tmp_path) as (store, gate):
        old = row(store, "old")
        await store.claim(Claim(old))
        await store.settle(settlement(old, Move.NOT_SENT, durable=True))
        held, settling, *_ = await busy(store)
        pending = await store.get(old.identity)
        assert pending is not None
        verbs: dict[str, Callable[[], Awaitable[object]]] = {
            "a claim": partial(store.claim, Claim(row(store, "one"))),
            "a claim with an event": partial(store.claim, Claim(row(store, "one"), event=Event(T0, "claimed", "told"))),
            "a claim anew": partial(
                store.claim, Claim(row(store, "old", claim_nonce="again"), replaces=seen(pending.record))
            ),
            "a claim that looks for others": partial(
                store.claim, Claim(row(store, "one"), duplicates_since=at(-60), refuse_duplicates=True)
            ),
            "a resend": partial(store.renew, renewal(held, store)),  # type: ignore[arg-type] # as above
            "bad news": partial(store.settle, settlement(held, Move.REFUSAL, durable=True)),
        }
        gate.commits.clear()
        await together(verbs[what], partial(store.settle, settlement(settling)))
        return [level for level, _ in gate.commits]


@pytest.mark.parametrize(
    "what",
    ["a claim with an event", "a claim anew", "a claim that looks for others", "a resend", "bad news"],
)
async def test_what_could_not_be_taken_back_is_on_the_disk_before_anybody_sees_it(tmp_path: Path, what: str) -> None:
    assert await levels(tmp_path, what) == ["FULL"]


async def test_a_usual_claim_is_synced_apart(tmp_path: Path) -> None:
    assert await levels(tmp_path, "a claim") == ["NORMAL"]


async def test_where_a_sync_is_fast_nobody_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_async_commits, "LONG", float("inf"))
    assert await levels(tmp_path, "a claim") == ["FULL"]


async def test_without_the_log_sqlite_syncs_it(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(disk, "open", fails, raising=False)
    assert await levels(tmp_path, "a claim") == ["FULL"]
    assert disk.threads == []
