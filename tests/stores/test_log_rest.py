"""What was erased leaves the log of a store that is never quiet, without the log being cut to nothing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from samekey.stores import SQLiteStore, _keeper
from samekey.stores._inodes import inode_of
from samekey.stores._keeper import Extent
from samekey.stores._log import cut_rest
from tests.stores.builders import claimed, done, settlement
from tests.stores.children import child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG = b"4242-4242-4242-4242 " * 4_000
"""A body of many pages."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteStore]:
    monkeypatch.setattr(_keeper, "DELAY", 3_600.0)  # the log is begun anew here when it is time
    monkeypatch.setattr(_keeper, "MANY_PAGES", 10**9)
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    yield store
    store._engine.emptier.rest()  # no keeper does it where a test did the keeper's work
    store.close()


def log_of(store: SQLiteStore) -> bytes:
    with open(f"{store.location}-wal", "rb") as log:  # unlike the database, it carries no locks that closing would drop
        return log.read()


def begin_anew(store: SQLiteStore) -> bool:
    return store._engine.emptier.empty(Extent.REST) is not None


def erase_in_the_log(store: SQLiteStore) -> int:
    """Settles an action with a body that fills the log, begins the log anew, writes a little; returns the log's length."""
    store.tidy()
    done(store, "small")
    store.settle(settlement(claimed(store, "big", frozen_request=BIG)))
    assert begin_anew(store)
    done(store, "over the beginning")
    log = log_of(store)
    assert b"4242-4242" in log[-100_000:]
    return len(log)


def test_what_was_erased_is_gone_when_the_log_is_begun_anew_the_second_time(store: SQLiteStore) -> None:
    before = erase_in_the_log(store)
    assert begin_anew(store)
    log = log_of(store)
    assert 32 < len(log) < before
    assert b"4242-4242-4242-4242 4242" not in log
    done(store, "afterwards")
    assert len(log_of(store)) >= len(log)
    with closing(sqlite3.connect(store.location)) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(store.find()) == 4


def test_it_is_cut_off_only_when_that_is_asked_for(store: SQLiteStore) -> None:
    """A store under load begins its log anew many times in a second; that holds up its writers for as short as can be."""
    before = erase_in_the_log(store)
    assert store._engine.emptier.empty(Extent.ANEW) is not None
    assert len(log_of(store)) == before
    done(store, "afterwards")
    assert len(log_of(store)) == before
    assert begin_anew(store)
    assert len(log_of(store)) < before


def test_what_belongs_to_the_log_stays(store: SQLiteStore, tmp_path: Path) -> None:
    """Nothing is cut off a log that was not begun anew, nor off one that nobody has written to since."""
    done(store, "one")
    log = log_of(store)
    for number in range(2):
        cut_rest(f"{store.location}-wal", inode_of(f"{store.location}-wal"))
        assert log_of(store).startswith(log)
        if number == 0:
            assert begin_anew(store)
    for content in (b"", b"short", bytes(40_000), b"\xff" * 40_000):
        (tmp_path / "other-wal").write_bytes(content)
        cut_rest(str(tmp_path / "other-wal"), inode_of(str(tmp_path / "other-wal")))
        assert (tmp_path / "other-wal").read_bytes() == content


def test_the_head_is_on_disk_before_anything_is_cut_off(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with `synchronous = OFF` may have written it: with the old head the old frames would count."""
    erase_in_the_log(store)
    asked: list[str] = []
    fsync, ftruncate = os.fsync, os.ftruncate

    def synced(descriptor: int) -> None:
        asked.append("fsync")
        fsync(descriptor)

    def shortened(descriptor: int, length: int) -> None:
        asked.append("ftruncate")
        ftruncate(descriptor, length)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "ftruncate", shortened)
    assert begin_anew(store)
    assert asked == ["fsync", "ftruncate"]


def test_a_frame_that_was_cut_short_goes_too(store: SQLiteStore) -> None:
    erase_in_the_log(store)
    with open(f"{store.location}-wal", "ab") as log:
        log.write(b"4242")  # of a process that was killed just then
    assert begin_anew(store)
    assert (len(log_of(store)) - 32) % (4096 + 24) == 0


def test_while_a_program_writes_that_does_not_know_the_lock_file_nothing_is_cut_off(store: SQLiteStore) -> None:
    before = erase_in_the_log(store)
    with closing(sqlite3.connect(store.location, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            begin_anew(store)
        emptier = store._engine.emptier
        assert emptier.connection is not None
        with pytest.raises(sqlite3.OperationalError, match="locked"):  # if it has come in just before this
            emptier._cut_rest(emptier.connection)
        assert len(log_of(store)) == before
        other.execute("ROLLBACK")
    assert begin_anew(store)
    assert len(log_of(store)) < before


def test_a_log_that_took_the_place_of_ours_is_left_alone(store: SQLiteStore, tmp_path: Path) -> None:
    before = erase_in_the_log(store)
    log = f"{store.location}-wal"
    os.rename(log, tmp_path / "ours")
    (tmp_path / "theirs").write_bytes((tmp_path / "ours").read_bytes())
    os.rename(tmp_path / "theirs", log)
    cut_rest(log, store._engine._log_inode)
    assert os.stat(log).st_size == before
    os.rename(tmp_path / "ours", log)


def test_processes_go_on_writing_while_the_log_is_begun_anew(store: SQLiteStore) -> None:
    code = """
store = SQLiteStore(path)
for number in range(150):
    done(store, f"{sys.argv[2]}-{number}")
say("through")
"""
    store.tidy()
    with child(code, store.location, 1) as one, child(code, store.location, 2) as two:
        anew = 0
        while one.poll() is None or two.poll() is None:
            anew += begin_anew(store)
        assert (one.returncode, two.returncode) == (0, 0)
    assert anew > 1
    assert len(store.find()) == 300
    with closing(sqlite3.connect(store.location)) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
