"""Guards of the SQLite store that only their absence shows: locks and rows as no verb alone can arrange them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samekey._core.states import Move, Status
from samekey._core.verbs import Existing
from samekey.errors import StoreFormatError, StoreUnavailableError
from samekey.stores import MemoryStore, SQLiteStore, Store
from tests.stores.builders import claimed, record, settlement, stored

OTHER = "UPDATE actions SET correlation_id = 'touched'"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    claimed(store)
    yield store
    store.close()


def touch(connection: Any) -> None:
    connection.execute(OTHER)


def test_no_other_program_writes_between_what_a_job_reads_and_writes(store: SQLiteStore) -> None:
    def read_and_let_others_try(connection: Any) -> None:
        connection.execute("SELECT count(*) FROM actions").fetchone()
        other = sqlite3.connect(store.location, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute(OTHER)
        other.close()

    store._engine.write(read_and_let_others_try, full=False)


def test_a_log_that_is_being_read_cannot_make_good_a_failed_sync(store: SQLiteStore) -> None:
    reader = sqlite3.connect(store.location)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM actions").fetchone()
    claimed(store, "later")
    store._engine._connection.execute("PRAGMA busy_timeout = 1")  # type: ignore[union-attr] # it is open
    store._engine._unsynced = True
    with pytest.raises(StoreUnavailableError, match="had a disk error"):
        store._engine.write(touch, full=True)
    reader.close()
    store._engine.write(touch, full=True)


@pytest.mark.parametrize("change", ["fence = fence + 1", "holder = 'another'", "claim_nonce = 'another'"])
def test_a_task_does_not_settle_what_another_has_taken_over(store: SQLiteStore, change: str) -> None:
    """Although this process still has the row in mind as it wrote it."""
    store._engine.write(lambda connection: connection.execute(f"UPDATE actions SET {change}"), full=True)
    assert isinstance(store.settle(settlement(record(store), Move.NO_ANSWER)), Existing)
    assert stored(store).status is Status.IN_FLIGHT


@pytest.mark.parametrize("kind", [MemoryStore, SQLiteStore])
def test_a_settlement_with_the_nonce_of_another_claim_changes_nothing(kind: type[Any], tmp_path: Path) -> None:
    store: Store = kind() if kind is MemoryStore else kind(tmp_path / "other.db")
    store.secret(None)
    row = claimed(store)
    assert isinstance(store.settle(settlement(row, Move.NO_ANSWER, nonce="another")), Existing)
    assert stored(store).status is Status.IN_FLIGHT
    store.close()


def test_actions_without_the_check_value_of_their_secret_are_damage(store: SQLiteStore) -> None:
    store.close()
    other = sqlite3.connect(store.location)
    with other:
        other.execute("DELETE FROM meta WHERE name = 'secret_check'")
    other.close()
    with pytest.raises(StoreFormatError, match="is damaged"):
        SQLiteStore(store.location).secret(None)
