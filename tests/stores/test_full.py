"""A disk that is full, a lock that is never given back, a key that is taken: told, and nothing is half done."""

from __future__ import annotations

import resource
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from samekey._core.verbs import Claim, Claimed
from samekey.errors import StoreError, StoreFormatError, StoreUnavailableError
from samekey.stores import SQLiteStore
from samekey.stores._connection import connect
from tests.stores.builders import claimed, record, settlement, stored
from tests.stores.children import output_of

if TYPE_CHECKING:
    from samekey.stores._connection import Connection


class Full:
    """A disk that is full from some point on, as SQLite's page limit shows it."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []

    def connect(self, uri: str) -> Connection:
        self.connections.append(connect(uri))
        return self.connections[-1]

    def fill(self) -> None:
        for connection in self.connections:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    def free(self) -> None:
        for connection in self.connections:
            connection.execute("PRAGMA max_page_count = 1000000").fetchall()


def test_a_full_disk_is_told_and_left_as_it_was(tmp_path: Path) -> None:
    disk = Full()
    store = SQLiteStore(tmp_path / "samekey.db", _connect=disk.connect)
    store.secret(None)
    row = claimed(store, "before")
    disk.fill()
    with pytest.raises(StoreUnavailableError, match=r"disk full.*nothing was sent; free space") as caught:
        claimed(store, frozen_request=b"x" * 100_000)
    assert not caught.value.uncertain
    assert store.find() == [row]
    assert store.get("identity-c-9") is None
    disk.free()
    assert isinstance(store.claim(Claim(record(store, frozen_request=b"x" * 100_000))), Claimed)
    store.close()


def test_a_full_disk_at_settlement_says_that_it_was_not_recorded(tmp_path: Path) -> None:
    disk = Full()
    store = SQLiteStore(tmp_path / "samekey.db", _connect=disk.connect)
    row = claimed(store)
    disk.fill()
    from samekey._core.model import Result

    with pytest.raises(StoreUnavailableError, match="so this was not recorded"):
        store.settle(settlement(row, result=Result(200, (), b"x" * 200_000)))
    assert stored(store) == row
    existing = store.get(row.identity)
    assert existing is not None
    assert existing.own
    disk.free()
    store.settle(settlement(row))
    store.close()


LIMITED = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SQLiteStore(path)
row = claimed(store, "before")
size = os.stat(path + "-wal").st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10_000, resource.RLIM_INFINITY))
try:
    claimed(store, "big", frozen_request=b"x" * 300_000)
except StoreError as error:
    say(f"{type(error).__name__} {error.uncertain} {error}")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert stored(store, "before") == row
assert store.get("identity-big") is None
claimed(store, "big", frozen_request=b"x" * 300_000)
say(len(store.find()))
"""


def test_a_commit_that_fails_is_uncertain(tmp_path: Path) -> None:
    assert resource.RLIMIT_FSIZE is not None
    first, second = output_of(LIMITED, tmp_path / "samekey.db").splitlines()
    assert first.startswith("StoreUnavailableError True ")
    assert str(tmp_path / "samekey.db") in first
    assert second == "2"


def test_a_program_that_never_lets_go_is_named_as_the_cause(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    assert store._engine._connection is not None
    store._engine._connection.execute("PRAGMA busy_timeout = 1").fetchall()
    other = sqlite3.connect(tmp_path / "samekey.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="locked for too long by another program"):
        claimed(store)
    other.execute("ROLLBACK")
    other.close()
    assert claimed(store).attempts == 1
    store.close()


def test_a_key_under_another_action_is_refused(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    claimed(store, "one", idempotency_key="the same")
    with pytest.raises(StoreFormatError, match="under another action"):
        claimed(store, "two", idempotency_key="the same")
    assert len(store.find()) == 1
    store.close()


def test_an_error_of_the_store_can_be_caught_as_one(tmp_path: Path) -> None:
    (tmp_path / "samekey.db").mkdir()
    with pytest.raises(StoreError):
        SQLiteStore(tmp_path / "samekey.db").secret(None)
