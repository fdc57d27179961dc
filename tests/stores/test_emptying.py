"""The log is emptied beside the writers by one process at a time, and never from a state in which SQLite may damage it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from samekey.stores import SQLiteStore, _emptying, _keeper, _sql
from samekey.stores._connection import Connection, connect
from samekey.stores._keeper import Extent
from samekey.stores._locks import FileLock
from tests.stores.apsw_adapter import Syncs
from tests.stores.builders import claimed, done
from tests.stores.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

INDEX = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read(136))"
"""In a process of its own: closing the index here would drop the locks that SQLite holds on it."""


def index_of(path: str) -> tuple[int, int]:
    """How many frames the log has, and how many of them are copied back."""
    index = subprocess.run([sys.executable, "-c", INDEX, f"{path}-shm"], capture_output=True, check=True).stdout
    return struct.unpack_from("=I", index, 16)[0], struct.unpack_from("=I", index, 96)[0]


class Told:
    """Takes down what the connections of a store do, and may fail or look then."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.then: dict[str, Callable[[], None]] = {}

    def __call__(self, sql: str) -> None:
        self.statements.append(sql)
        self.then.get(sql, lambda: None)()

    def connect(self, uri: str) -> Connection:
        return Watched(uri, self)


@pytest.fixture(autouse=True)
def _no_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keeper, "DELAY", 3_600.0)  # the log is emptied here when it is time
    monkeypatch.setattr(_keeper, "MANY_PAGES", 10**9)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(tmp_path: Path, told: Told) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "samekey.db", _connect=told.connect)
    store.secret(None)
    yield store
    store._engine.emptier.rest()  # no keeper does it where a test did the keeper's work
    store.close()


@pytest.mark.parametrize("extent", Extent)
def test_what_is_copied_beside_the_writers_has_an_end_that_is_not_copied_yet(
    store: SQLiteStore, told: Told, extent: Extent
) -> None:
    """Or a writer could begin the log anew meanwhile, which SQLite before 3.51.3 does not notice."""
    seen: list[tuple[int, int]] = []
    told.then[_sql.PASSIVE] = lambda: seen.append(index_of(store.location))
    done(store)
    for _ in range(3):  # nobody writes in between
        assert store._engine.emptier.empty(extent) is not None
    assert len(seen) == 3
    assert all(copied < frames for frames, copied in seen)


def test_a_reader_that_was_in_the_way_leaves_no_such_end_either(store: SQLiteStore, told: Told) -> None:
    done(store)
    reader = connect(f"file:{store.location}")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM actions").fetchall()
    engine = store._engine
    engine.ensure_open()
    assert engine._connection is not None
    engine._connection.execute("PRAGMA busy_timeout = 10").fetchall()
    store.tidy()
    frames, copied = index_of(store.location)
    assert copied < frames
    reader.close()


@pytest.mark.parametrize("extent", Extent)
def test_it_tells_how_many_pages_the_log_had(store: SQLiteStore, told: Told, extent: Extent) -> None:
    seen: list[tuple[int, int]] = []
    told.then[_sql.PASSIVE] = lambda: seen.append(index_of(store.location))
    for number in range(3):
        done(store, str(number))
    told_pages = store._engine.emptier.empty(extent)
    assert told_pages == seen[0][0] > 10


def test_what_is_touched_is_not_synced_while_the_writers_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vfs = Syncs("emptying-counting")
    synced: dict[str, int] = {}

    def connect_watched(uri: str) -> Connection:
        connection = vfs.connect(uri)
        execute = connection.execute

        def executing(sql: str, parameters: Sequence[Any] = (), /) -> Any:
            before = vfs.counts.total()
            cursor = execute(sql, parameters)
            synced[sql] = vfs.counts.total() - before
            return cursor

        monkeypatch.setattr(connection, "execute", executing)
        return connection

    store = SQLiteStore(tmp_path / "samekey.db", _connect=connect_watched)
    done(store)
    synced.clear()
    assert store._engine.emptier.empty(Extent.ANEW) is not None
    store.close()
    vfs.unregister()
    assert synced[_sql.TOUCH] == 0
    assert synced[_sql.PASSIVE] >= 2, "the log before anything is copied, the database after it"


def test_one_process_at_a_time_empties_the_log(store: SQLiteStore, told: Told) -> None:
    done(store)
    other = FileLock(store._files.keeper)
    assert other.attempt()
    told.statements.clear()
    assert store._engine.emptier.empty(Extent.CUT) is None
    assert told.statements == []
    other.release()
    assert store._engine.emptier.empty(Extent.CUT) is not None
    other.close()


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_transaction_that_cannot_be_ended_is_dropped(
    store: SQLiteStore, told: Told, error: type[BaseException]
) -> None:
    """Nobody could write while it is open."""
    done(store)
    assert store._engine.emptier.empty(Extent.REST) is not None

    def fail() -> None:
        raise error

    told.then["ROLLBACK"] = fail
    with pytest.raises(error):
        store._engine.emptier.empty(Extent.REST)
    del told.then["ROLLBACK"]
    assert store._engine.emptier.connection is None
    claimed(store, "another")
    assert store._engine.emptier.empty(Extent.REST) is not None


def test_what_cannot_be_cut_off_does_not_keep_the_log_from_being_begun_anew(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        done(store, str(number))

    def full(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(_emptying, "cut_rest", full)
        assert store._engine.emptier.empty(Extent.REST) is None
    length = os.stat(f"{store.location}-wal").st_size
    before = index_of(store.location)[0]
    done(store, "over the beginning")
    assert os.stat(f"{store.location}-wal").st_size == length
    assert index_of(store.location)[0] < before
    assert store._engine.emptier.empty(Extent.REST) is not None
    assert os.stat(f"{store.location}-wal").st_size < length
