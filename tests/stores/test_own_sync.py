"""The usual claim is synced by the store itself: whatever comes of that, the claim is on the disk or nothing is sent."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import sys
import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from samekey._core.model import Event
from samekey._core.states import Status
from samekey._core.verbs import Claim, Claimed, Existing, Settled
from samekey.errors import StoreError, StoreUnavailableError
from samekey.stores import SQLiteStore, _locks, _log
from samekey.stores._inodes import inode_of
from tests.stores.builders import T0, claimed, descriptors, descriptors_of_log, record, settlement, stored
from tests.stores.heard import Disk, Heard, disk, heard, store, syncs_again

if TYPE_CHECKING:
    from pathlib import Path


__all__ = ["disk", "heard", "store"]  # fixtures


def test_a_log_that_cannot_be_opened_is_synced_by_sqlite(store: SQLiteStore, heard: Heard, disk: Disk) -> None:
    store._engine._own_sync.close()
    disk.opens = False
    row = claimed(store, "one")
    store.settle(settlement(row))
    claimed(store, "two")
    assert heard.sql == ["INSERT", "UPDATE", "INSERT"]
    assert heard.levels[-2:] == ["NORMAL", "FULL"]
    assert disk.syncs == 0


def test_another_log_in_its_place_is_not_synced_for_it(store: SQLiteStore, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"")
    log = store._files.log
    assert _log.open_log(str(other), inode_of(log)) is None
    descriptor = _log.open_log(log, inode_of(log))
    assert descriptor is not None
    os.close(descriptor)
    assert not [name for name in descriptors() if name.endswith(str(other))]


def test_a_claim_whose_sync_failed_is_found_by_nobody(
    store: SQLiteStore, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another process would send what its caller was told is not sent (R12)."""
    disk.fails = True
    with pytest.raises(
        StoreUnavailableError, match=r"disk reports an error.*nothing was sent; check the disk"
    ) as caught:
        claimed(store, "one")
    assert caught.value.uncertain
    assert disk.syncs == 1
    assert not store._me().running
    other = SQLiteStore(store.location)
    assert len(other.find()) == 2
    other.close()
    # Linux takes what the failed sync covered for written: only a checkpoint writes it again.
    again = syncs_again(store, monkeypatch)
    disk.fails = False
    assert claimed(store, "one").attempts == 1
    assert again == ["synced"]


def test_a_claim_that_cannot_even_be_taken_back_is_uncertain(store: SQLiteStore, heard: Heard, disk: Disk) -> None:
    disk.fails = True
    heard.fails, heard.when = "SQLITE_IOERR_WRITE", "DELETE"
    with pytest.raises(StoreUnavailableError, match="nothing was sent") as caught:
        claimed(store, "one")
    assert caught.value.uncertain
    assert not store._me().running
    disk.fails = False
    # Whatever is written next finds it gone.
    claimed(store, "two")
    assert [row.scope for row in store.find() if row.status is Status.IN_FLIGHT] == [stored(store, "two").scope]
    assert claimed(store, "one").attempts == 1


@pytest.mark.parametrize("reopened", [False, True])
@pytest.mark.parametrize("error", [TimeoutError("too long"), BrokenPipeError(errno.EPIPE, "its own pipe")])
def test_what_a_signal_handler_raises_is_for_who_set_it(
    store: SQLiteStore, disk: Disk, error: Exception, reopened: bool
) -> None:
    if reopened:
        store._engine._own_sync.close()
    disk.interrupts = error
    with pytest.raises(type(error)) as caught:
        claimed(store, "one")
    assert caught.value is error
    assert not store._engine._unsynced
    assert not store._me().running
    disk.interrupts = None
    assert claimed(store, "two").attempts == 1


def test_what_comes_in_another_thread_is_no_handlers(store: SQLiteStore, disk: Disk) -> None:
    """Nor is what a file system of a program raises that was ended."""
    told: list[Exception] = []

    def claims(name: str) -> None:
        try:
            claimed(store, name)
        except Exception as error:  # noqa: BLE001 - it is what is looked at
            told.append(error)

    disk.interrupts = TimeoutError("too long")
    thread = threading.Thread(target=claims, args=("one",))
    thread.start()
    thread.join()
    assert store._engine._unsynced
    disk.interrupts = None
    claimed(store, "three")
    disk.interrupts = ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
    claims("two")
    assert [type(error) for error in told] == [StoreUnavailableError] * 2
    assert len(store.find()) == 3


def test_what_could_not_be_taken_back_is_when_the_store_is_closed(store: SQLiteStore, heard: Heard, disk: Disk) -> None:
    disk.fails = True
    heard.fails, heard.when = "SQLITE_BUSY", "DELETE"
    with pytest.raises(StoreUnavailableError, match="nothing was sent"):
        claimed(store, "one")
    disk.fails = False
    store.close()
    assert len(store.find()) == 2


def test_what_a_signal_handler_raises_while_another_writes_is_for_who_set_it(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Waiting:
        """The `fcntl` module, in whose waits the handler is called."""

        def __getattr__(self, name: str) -> Any:
            return getattr(fcntl, name)

        def flock(self, descriptor: int, how: int) -> None:
            if how == fcntl.LOCK_EX:
                raise TimeoutError("too long")
            fcntl.flock(descriptor, how)

    with monkeypatch.context() as patch:
        patch.setattr(_locks, "fcntl", Waiting())
        for verb in partial(claimed, store, "one"), store.tidy:
            with pytest.raises(TimeoutError, match="too long"):
                verb()
    assert claimed(store, "one").attempts == 1


def test_nothing_is_told_of_what_a_transaction_that_was_left_open_would_undo(store: SQLiteStore) -> None:
    row = claimed(store, "one")
    connection = store._engine._connection
    assert connection is not None
    connection.execute("BEGIN")
    with pytest.raises(StoreError):
        store.settle(settlement(row))
    assert isinstance(store.settle(settlement(row)), Settled)
    assert stored(store, "one").settled


def test_a_descriptor_that_fails_is_not_used_again(store: SQLiteStore) -> None:
    claimed(store, "one")
    mine = store._engine._own_sync._descriptor
    assert mine is not None
    os.close(mine)  # as a careless program does, which closes what is not its own
    with pytest.raises(StoreUnavailableError, match="nothing was sent"):
        claimed(store, "two")
    assert claimed(store, "two").attempts == 1


def test_a_child_gets_no_descriptor_of_the_log(store: SQLiteStore) -> None:
    claimed(store, "one")
    assert "-wal" in os.readlink(f"/proc/self/fd/{store._engine._own_sync._descriptor}")
    child = os.fork()
    if not child:
        os._exit(len(descriptors_of_log(store)))
    assert os.waitpid(child, 0)[1] == 0
    assert claimed(store, "two").attempts == 1


def test_a_store_that_is_closed_has_no_descriptor_of_the_log(store: SQLiteStore) -> None:
    claimed(store, "one")
    assert len(descriptors_of_log(store)) == 2, "SQLite's and ours"
    store.close()
    assert not descriptors_of_log(store)
    assert store._engine._own_sync._descriptor is None


# --- while the disk is at work -----------------------------------------------------------------------------------


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int | None, int, int, int]]:
    """With what the system was asked to begin to write."""
    asked: list[tuple[int | None, int, int, int]] = []
    monkeypatch.setattr(_log, "_start_writing", lambda: lambda *given: asked.append(given))
    return asked


def test_what_there_is_to_do_is_done_when_the_claim_is_committed_and_not_synced(
    store: SQLiteStore, disk: Disk, begun: list[Any]
) -> None:
    seen: list[Any] = []

    def meanwhile() -> None:
        with closing(sqlite3.connect(store.location)) as other:
            rows = other.execute("SELECT count(*) FROM actions WHERE identity = 'identity-one'").fetchone()
        seen.append((*rows, len(begun), disk.syncs))

    answer = store.claim(Claim(record(store, "one")).using_time(meanwhile))
    assert isinstance(answer, Claimed)
    assert seen == [(1, 1, 0)]
    assert disk.syncs == 1
    assert begun == [(store._engine._own_sync._descriptor, 0, 0, 2)]


def test_without_anything_to_do_it_is_synced_at_once(store: SQLiteStore, disk: Disk, begun: list[Any]) -> None:
    claimed(store, "one")
    assert disk.syncs == 1
    assert begun == []


def test_nothing_is_done_for_a_claim_that_is_not_ours_or_not_usual(store: SQLiteStore, begun: list[Any]) -> None:
    claimed(store, "one")
    done: list[str] = []
    found = store.claim(Claim(record(store, "one", claim_nonce="another")).using_time(lambda: done.append("ours")))
    assert isinstance(found, Existing)
    usual = Claim(record(store, "two"), event=Event(T0, "claimed", "told"))
    assert isinstance(store.claim(usual.using_time(lambda: done.append("usual"))), Claimed)
    assert done == begun == []


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), TimeoutError("too long"), ValueError("a fault")])
def test_what_is_raised_meanwhile_comes_through_and_leaves_no_task(
    store: SQLiteStore, interrupt: BaseException
) -> None:
    def meanwhile() -> None:
        raise interrupt

    with pytest.raises(type(interrupt)) as caught:
        store.claim(Claim(record(store, "one")).using_time(meanwhile))
    assert caught.value is interrupt
    assert not store._me().running
    found = store.get("identity-one")
    assert found is not None
    assert not found.alive
    assert claimed(store, "two").attempts == 1


def test_what_was_done_for_a_claim_whose_sync_fails_was_in_vain(store: SQLiteStore, disk: Disk) -> None:
    done: list[str] = []
    disk.fails = True
    with pytest.raises(StoreUnavailableError, match="nothing was sent"):
        store.claim(Claim(record(store, "one")).using_time(lambda: done.append("done")))
    disk.fails = False
    assert done == ["done"]
    assert store.get("identity-one") is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
def test_the_system_is_asked_to_begin_and_may_refuse(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    start = _log._start_writing()
    assert start is not None
    answers: list[int] = []
    monkeypatch.setattr(_log, "_start_writing", lambda: lambda *given: answers.append(start(*given)))
    claimed(store, "first of all")
    store.claim(Claim(record(store, "one")).using_time(lambda: None))
    reader, writer = os.pipe()  # nothing that could be written to a disk
    descriptor, store._engine._own_sync._descriptor = store._engine._own_sync._descriptor, writer
    store._engine._own_sync.start()
    store._engine._own_sync._descriptor = descriptor
    os.close(reader)
    os.close(writer)
    assert answers == [0, -1]


def test_where_the_system_cannot_begin_it_is_synced_all_the_same(
    store: SQLiteStore, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_log, "_start_writing", lambda: None)
    done: list[str] = []
    store.claim(Claim(record(store, "one")).using_time(lambda: done.append("done")))
    assert done == ["done"]
    assert disk.syncs == 1
