"""Ctrl-C at a loop that goes on, and a system that gives no thread: nothing waits for ever, and nothing is done by two."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from samekey._core.verbs import Claim, Claimed
from samekey.errors import StoreUnavailableError
from samekey.stores import AsyncSQLiteStore
from samekey.stores._worker import Worker
from tests.stores.builders import record
from tests.stores.tasks import opened

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("at_work", [0, 3])
async def test_where_the_system_gives_no_thread_nothing_is_sent_and_the_next_one_may_have_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_work: int
) -> None:
    async with opened(tmp_path) as store:
        for number in range(at_work):
            await store.claim(Claim(record(store, f"busy-{number}")))  # type: ignore[arg-type]
        thread = store._engine._worker.end()  # as after a pause
        assert thread is not None
        thread.join()

        def start(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(
                StoreUnavailableError, match=r"cannot go on \(can't start new thread\), so nothing was sent"
            ):
                await store.claim(Claim(record(store, "one")))  # type: ignore[arg-type]
        row = record(store, "two")  # type: ignore[arg-type]
        assert await store.claim(Claim(row)) == Claimed(row)
        thread = store._engine._worker.end()
        assert thread is not None
        thread.join()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(StoreUnavailableError, match=r"cannot go on \(can't start new thread\)"):
                await store.find()
        assert store._engine._flights == 0
        assert {each.idempotency_key for each in await store.find()} >= {"key-two-1"}


@pytest.mark.parametrize("begun", [True, False], ids=["the worker has it", "the worker has it not"])
def test_a_commit_that_is_interrupted_while_it_is_handed_over_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, begun: bool
) -> None:
    """It is the worker's, or the loop's again, and never both's: two threads in one connection end the process."""
    loop = asyncio.new_event_loop()
    store = AsyncSQLiteStore(tmp_path / "samekey.db")
    loop.run_until_complete(store.secret(None))
    usual = Worker.put

    def interrupted(worker: Worker, call: Callable[[], None]) -> None:
        monkeypatch.undo()
        if begun:
            ended = threading.Event()

            def work() -> None:
                call()
                ended.set()

            usual(worker, work)
            assert ended.wait(60)
        else:
            usual(worker, partial(late.append, call))
        raise KeyboardInterrupt

    late: list[Callable[[], None]] = []
    monkeypatch.setattr(Worker, "put", interrupted)
    rows = [record(store, name) for name in ("one", "two")]  # type: ignore[arg-type]
    first = loop.create_task(store.claim(Claim(rows[0])))
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(first)
    loop.run_until_complete(asyncio.wait_for(store.claim(Claim(rows[1])), 60))
    for call in late:  # the worker comes to it after all
        call()
    assert not store._engine._mutex.locked()
    assert store._engine._flights == 0
    found = {each.idempotency_key for each in loop.run_until_complete(store.find())}
    assert rows[1].idempotency_key in found
    assert (rows[0].idempotency_key in found) is begun
    loop.run_until_complete(store.aclose())
    loop.close()


@pytest.mark.parametrize("where", ["_pump", "_clock"])
def test_who_goes_on_with_a_loop_after_ctrl_c_can_write(tmp_path: Path, where: str) -> None:
    """As at the prompt of a notebook."""
    loop = asyncio.new_event_loop()
    store = AsyncSQLiteStore(tmp_path / "samekey.db")

    async def some(*names: str) -> None:
        await store.secret(None)
        for name in names:
            await store.claim(Claim(record(store, name)))  # type: ignore[arg-type]

    def interrupted() -> float:
        store._engine.__dict__.update(kept)
        raise KeyboardInterrupt

    loop.run_until_complete(some(*"abcdefgh"))
    kept = {where: getattr(store._engine, where)}
    setattr(store._engine, where, interrupted)
    left = loop.create_task(some("left"))
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(left)
    loop.run_until_complete(asyncio.wait_for(some("next"), 60))
    if where == "_pump":
        loop.run_until_complete(asyncio.wait_for(left, 60))
    loop.run_until_complete(store.aclose())
    loop.close()


def test_ctrl_c_before_a_flight_is_counted_is_not_taken_off(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    store = AsyncSQLiteStore(tmp_path / "samekey.db")
    loop.run_until_complete(store.secret(None))
    engine = store._engine
    guard = engine._guard

    class Contended:
        """A lock at which Ctrl-C comes, once."""

        def __enter__(self) -> None:
            engine._guard = guard
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None: ...

    def fly(*arguments: Any) -> None:
        del engine.__dict__["_fly"]
        engine._guard = Contended()  # type: ignore[assignment]
        engine._fly(*arguments)

    engine.__dict__["_fly"] = fly
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(store.claim(Claim(record(store, "one"))))  # type: ignore[arg-type]
    assert engine._flights == 0
    loop.run_until_complete(asyncio.wait_for(store.claim(Claim(record(store, "two"))), 60))  # type: ignore[arg-type]
    loop.run_until_complete(store.aclose())
    loop.close()
