"""A disk that reports errors: they are told, nothing is half done, and the store works again when the disk does."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import apsw
import pytest

from samekey._core.states import Move
from samekey._core.verbs import Claim, Renewed
from samekey.errors import StoreUnavailableError
from samekey.stores import SQLiteStore, _keeper
from tests.powerloss.failing import FailingDisk, fail_own_files_too
from tests.powerloss.life import forget, state_of
from tests.stores.builders import claimed, done, record, renewal, settlement, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EIO = apsw.SQLITE_IOERR_FSYNC
FAULTS = [
    pytest.param("xSync", EIO, id="EIO at sync"),
    pytest.param("xWrite", apsw.SQLITE_IOERR_WRITE, id="EROFS at write"),
    pytest.param("xWrite", apsw.SQLITE_FULL, id="ENOSPC at write"),
]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingDisk]:
    monkeypatch.setattr(_keeper, "DELAY", 3_600.0)
    disk = FailingDisk()
    yield disk
    disk.works()
    disk.unregister()


@pytest.fixture
def store(disk: FailingDisk, tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "made" / "samekey.db", _connect=disk.connect)
    store.secret(None)
    done(store, "before")
    yield store
    disk.works()
    forget(store)


def as_another_process_finds_it(store: SQLiteStore, folder: Path) -> SQLiteStore:
    """The same bytes elsewhere, as after a kill of this process."""
    shutil.copytree(store._files.directory, folder / "killed")
    return SQLiteStore(folder / "killed" / "samekey.db")


@pytest.mark.parametrize(("call", "code"), FAULTS)
def test_a_claim_that_the_disk_refuses_is_not_acknowledged(
    store: SQLiteStore, disk: FailingDisk, tmp_path: Path, call: str, code: int
) -> None:
    before = state_of(store)
    row = record(store, "refused")
    disk.fail(call, code)
    with pytest.raises(StoreUnavailableError, match="nothing was sent") as caught:
        store.claim(Claim(row))
    assert caught.value.uncertain
    assert disk.failed
    assert state_of(store) == before
    other = as_another_process_finds_it(store, tmp_path)
    found = other.get(row.identity)
    assert found is None or (found.record == row and not found.alive)
    forget(other)
    disk.works()
    assert claimed(store, "refused").attempts == 1


@pytest.mark.parametrize(("call", "code"), FAULTS)
def test_a_renewal_that_the_disk_refuses_is_not_acknowledged(
    store: SQLiteStore, disk: FailingDisk, call: str, code: int
) -> None:
    row = claimed(store, "one")
    disk.fail(call, code)
    with pytest.raises(StoreUnavailableError) as caught:
        store.renew(renewal(row, store))
    assert caught.value.uncertain
    assert stored(store, "one") == row
    disk.works()
    assert isinstance(store.renew(renewal(row, store)), Renewed)


@pytest.mark.parametrize(("call", "code"), FAULTS)
def test_a_settlement_that_the_disk_refuses_leaves_the_action_in_flight(
    store: SQLiteStore, disk: FailingDisk, call: str, code: int
) -> None:
    row = claimed(store, "one")
    disk.fail(call, code)
    with pytest.raises(StoreUnavailableError, match="so this was not recorded"):
        store.settle(settlement(row, Move.REFUSAL, durable=True))
    assert stored(store, "one") == row
    disk.works()
    store.settle(settlement(row, Move.REFUSAL, durable=True))
    assert stored(store, "one").settled


@pytest.mark.parametrize(("call", "code"), [*FAULTS, ("xTruncate", apsw.SQLITE_IOERR_TRUNCATE)])
def test_a_log_that_cannot_be_emptied_loses_nothing(
    store: SQLiteStore, disk: FailingDisk, tmp_path: Path, call: str, code: int
) -> None:
    claimed(store, "one")
    before = state_of(store)
    for good in range(3):
        disk.fail(call, code, good=good)
        try:
            store.tidy()
        except StoreUnavailableError:
            assert disk.failed
        assert state_of(store) == before
    disk.works()
    store.tidy()
    other = as_another_process_finds_it(store, tmp_path)
    assert state_of(other) == before
    forget(other)


@pytest.mark.parametrize(("call", "code"), FAULTS)
def test_a_store_that_cannot_empty_its_log_can_be_closed_and_opened(
    store: SQLiteStore, disk: FailingDisk, call: str, code: int
) -> None:
    claimed(store, "one")
    before = state_of(store)
    disk.fail(call, code)
    store.close()
    disk.works()
    assert state_of(store) == before


@pytest.mark.parametrize(("call", "code"), FAULTS)
def test_creation_can_fail_at_any_call_and_be_completed(
    disk: FailingDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    fail_own_files_too(disk, monkeypatch)
    failures = 0
    for good in range(1_000):
        store = SQLiteStore(tmp_path / str(good) / "in" / "samekey.db", _connect=disk.connect)
        disk.fail(call, code, good=good, once=True)
        try:
            secret = store.secret(None)
            claimed(store)
        except StoreUnavailableError:
            failures += 1
        failed = disk.failed
        disk.works()
        secret = store.secret(None)
        forget(store)
        again = SQLiteStore(tmp_path / str(good) / "in" / "samekey.db")
        assert again.secret(None) == secret
        assert claimed(again, "after").attempts == 1
        forget(again)
        if not failed:
            break
    assert failures >= 5
