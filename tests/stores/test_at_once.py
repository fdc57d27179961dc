"""The usual claim and the usual settlement of a lone caller are one statement each, and mean what a transaction means."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from samekey._core.model import Event
from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Claimed, Existing, ScopeNamesDiffer, Settled
from samekey.errors import StoreError, StoreFormatError, StoreUnavailableError
from samekey.stores import SQLiteStore, _locks, _log
from samekey.stores._connection import connect
from samekey.stores._inodes import inode_of
from tests.stores.builders import T0, claimed, descriptors, descriptors_of_log, done, record, settlement, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class Heard:
    """A connection that tells what it runs, and fails when it is told to.

    Attributes:
        sql: the first word of each statement that reads or writes rows, or begins or ends a transaction.
        levels: the levels that were set.
        before: is called before each of the statements.
        fails: the name of the error that the next one raises, which is then undone as SQLite would.
        when: the word of the statement that fails.
    """

    def __init__(self) -> None:
        self.sql: list[str] = []
        self.levels: list[str] = []
        self.before: Callable[[str], None] = lambda _word: None
        self.fails = ""
        self.when = ""

    def connect(self, uri: str) -> Any:
        self.connection = connect(uri)
        return self

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction

    def close(self) -> None:
        self.connection.close()

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        word = sql.split(maxsplit=1)[0]
        if word != "PRAGMA":
            self.sql.append(word)
            self.before(word)
        elif "synchronous" in sql:
            self.levels.append(sql.rsplit(maxsplit=1)[-1])
        if self.fails and word == self.when:
            error = sqlite3.OperationalError("as told")
            error.sqlite_errorname, self.fails = self.fails, ""
            raise error
        return self.connection.execute(sql, parameters)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def store(heard: Heard, tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "samekey.db", _connect=heard.connect)
    done(store, "first")  # adds the operation
    done(store, "second")  # reads its scope names
    heard.sql.clear()
    heard.levels.clear()
    yield store
    store.close()


class Disk:
    """The `os` module for the store's log, whose syncs can fail or be counted.

    Attributes:
        interrupts: what a signal handler raises while the disk is at work.
    """

    def __init__(self) -> None:
        self.syncs = 0
        self.fails = False
        self.opens = True
        self.interrupts: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int) -> int:
        if not self.opens:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if self.interrupts is not None:
            raise self.interrupts
        return os.open(path, flags)

    def fdatasync(self, descriptor: int) -> None:
        self.syncs += 1
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.interrupts is not None:
            raise self.interrupts
        os.fdatasync(descriptor)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(_log, "os", disk)
    return disk


def test_the_usual_action_is_two_statements_and_a_sync(store: SQLiteStore, heard: Heard, disk: Disk) -> None:
    claimed(store, "before")
    heard.sql.clear()
    heard.levels.clear()
    row = claimed(store, "one")
    assert disk.syncs == 2
    assert isinstance(store.settle(settlement(row)), Settled)
    assert disk.syncs == 2
    assert heard.sql == ["INSERT", "UPDATE"]
    assert heard.levels == []
    assert stored(store, "one").settled


def test_bad_news_is_not_seen_before_it_is_on_the_disk(store: SQLiteStore, heard: Heard, disk: Disk) -> None:
    row = claimed(store, "one")
    assert isinstance(store.settle(settlement(row, Move.REFUSAL, durable=True)), Settled)
    assert disk.syncs == 1
    assert heard.levels == ["FULL"]
    assert heard.sql == ["INSERT", "UPDATE"]


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


def syncs_again(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Is told when a sync that failed is made good."""
    again: list[str] = []
    sync_again = store._engine._sync_again

    def syncing(connection: Any) -> None:
        again.append("synced")
        sync_again(connection)

    monkeypatch.setattr(store._engine, "_sync_again", syncing)
    return again


def test_the_task_is_known_before_its_row_can_be_seen(store: SQLiteStore, heard: Heard) -> None:
    row = record(store, "one")
    task = (row.identity, row.generation, row.fence)
    running: Any = store._me().running
    known = []
    heard.before = lambda _word: known.append(task in running)
    assert isinstance(store.claim(Claim(row)), Claimed)
    assert known == [True]


def test_who_claims_what_is_claimed_does_not_end_the_task_that_holds_it(store: SQLiteStore) -> None:
    row = claimed(store, "one")
    for _ in range(2):
        found = store.claim(Claim(record(store, "one", claim_nonce="another")))
        assert isinstance(found, Existing)
        assert found.alive
        assert found.own
        assert found.record == row


def test_who_claims_what_another_has_claimed_holds_nothing(store: SQLiteStore, heard: Heard) -> None:
    row = record(store, "one", holder="another")
    assert isinstance(store.claim(Claim(row)), Claimed)
    store.release(row.identity, row.generation, row.fence)
    heard.sql.clear()
    found = store.claim(Claim(record(store, "one", claim_nonce="mine")))
    assert isinstance(found, Existing)
    assert found.record == row
    assert not store._me().running
    assert heard.sql[:2] == ["INSERT", "BEGIN"]
    # Nor is anything open that the next one would be a part of.
    assert not heard.in_transaction


def test_what_is_not_usual_is_done_in_a_transaction(store: SQLiteStore, heard: Heard) -> None:
    row = record(store, "one")
    assert isinstance(store.claim(Claim(row, event=Event(T0, "claimed", "told"))), Claimed)
    assert heard.sql[0] == "BEGIN"
    heard.sql.clear()
    store.settle(settlement(row, event=Event(T0, "settled", "told")))
    assert heard.sql[0] == "BEGIN"
    assert [event.detail for event in store.events(row.idempotency_key)] == ["told", "told"]
    heard.sql.clear()
    differs = store.claim(Claim(record(store, "two", scope={"customer": "1"})))
    assert isinstance(differs, ScopeNamesDiffer)
    assert heard.sql[0] == "BEGIN"
    assert len(store.find()) == 3


@pytest.mark.parametrize("why", ["SQLITE_IOERR_FSYNC", "SQLITE_FULL"])
def test_a_disk_that_fails_leaves_it_uncertain_and_is_synced_again(
    store: SQLiteStore, heard: Heard, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    row = record(store, "one")
    heard.fails, heard.when = why, "INSERT"
    with pytest.raises(StoreUnavailableError, match="nothing was sent") as caught:
        store.claim(Claim(row))
    assert caught.value.uncertain
    assert not store._me().running
    again = syncs_again(store, monkeypatch)
    assert claimed(store, "one").attempts == 1
    assert again == ["synced"]


@pytest.mark.parametrize(
    ("why", "kind"), [("SQLITE_BUSY", StoreUnavailableError), ("SQLITE_CONSTRAINT_UNIQUE", StoreFormatError)]
)
def test_whatever_else_fails_is_certain_and_is_not_tried_twice(
    store: SQLiteStore, heard: Heard, why: str, kind: type[Exception]
) -> None:
    heard.fails, heard.when = why, "INSERT"
    with pytest.raises(kind, match="nothing was sent") as caught:
        claimed(store, "one")
    assert not getattr(caught.value, "uncertain", False)
    assert heard.sql == ["INSERT"]
    assert not store._engine._unsynced
    assert not store._me().running


def test_a_settlement_that_the_disk_refuses_leaves_the_task_to_settle_again(store: SQLiteStore, heard: Heard) -> None:
    row = claimed(store, "one")
    heard.fails, heard.when = "SQLITE_IOERR_FSYNC", "UPDATE"
    with pytest.raises(StoreUnavailableError, match="so this was not recorded"):
        store.settle(settlement(row, Move.REFUSAL, durable=True))
    assert stored(store, "one") == row
    assert isinstance(store.settle(settlement(row, Move.REFUSAL, durable=True)), Settled)


def test_what_several_want_is_one_transaction(store: SQLiteStore, heard: Heard) -> None:
    claims = [threading.Thread(target=claimed, args=(store, str(number))) for number in range(4)]
    with store._engine._mutex:
        for thread in claims:
            thread.start()
        while len(store._engine._queue) < len(claims):
            time.sleep(0)
    for thread in claims:
        thread.join()
    assert heard.sql == ["BEGIN", *["INSERT"] * 4, "COMMIT"]
