"""What is open is found by a list and the newest block: whatever was done to the rows, it is what a look at all would find."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from samekey._core.states import UNSETTLED, Move
from samekey._core.verbs import Claim, Claimed
from samekey.stores import SQLiteStore
from tests.stores.builders import record, settlement

if TYPE_CHECKING:
    from samekey._core.model import Record

BLOCK = 512


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "samekey.db")
    yield store
    store.close()


def claimed(store: SQLiteStore, name: str) -> Record:
    row = record(store, name)
    assert store.claim(Claim(row)) == Claimed(row)
    return row


def check(store: SQLiteStore) -> set[str]:
    """What is open, the way that looks at everything and the usual one."""
    everything = {row.identity for row in store.find() if row.status in UNSETTLED}
    assert {row.identity for row in store.find(statuses=UNSETTLED)} == everything
    assert {row.identity for row in store.find(statuses=UNSETTLED, newest_first=True)} == everything
    return everything


@pytest.mark.parametrize("seed", range(4))
def test_what_is_open_is_found_whatever_was_done_to_the_rows(store: SQLiteStore, seed: int) -> None:
    chance = random.Random(seed)
    open_rows: list[Record] = []
    for number in range(3 * BLOCK):
        open_rows.append(claimed(store, str(number)))
        while open_rows and chance.random() < 0.45:
            row = open_rows.pop(chance.randrange(len(open_rows)))
            move = chance.choice([Move.SUCCESS, Move.REFUSAL, Move.NO_ANSWER, Move.STOP, Move.NOT_SENT])
            store.settle(settlement(row, move))
        if number % 61 == 0 or number % BLOCK in {0, 1, BLOCK - 1}:
            check(store)
    assert check(store)


@pytest.mark.parametrize("later", [0, BLOCK, 3 * BLOCK])
def test_an_effect_that_shows_up_late_opens_a_row_of_an_old_block_again(store: SQLiteStore, later: int) -> None:
    row = claimed(store, "refused")
    store.settle(settlement(row, Move.REFUSAL))
    for number in range(later):
        store.settle(settlement(claimed(store, str(number))))
    assert check(store) == set()
    store.settle(settlement(row, Move.SUCCESS))
    assert check(store) == {row.identity}


def test_one_transaction_may_begin_several_blocks(store: SQLiteStore) -> None:
    row = claimed(store, "open")
    store.close()
    database = sqlite3.connect(store.location)
    names = [name for _, name, *_ in database.execute("PRAGMA table_info(actions)") if name not in {"id", "listed"}]
    values = [f"{name} || n" if name in {"idempotency_key", "identity"} else name for name in names]
    with database:
        database.execute(
            f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {3 * BLOCK}) "
            f"INSERT INTO actions ({', '.join(names)}) SELECT {', '.join(values)} FROM numbers, actions "
            f"WHERE identity = ? AND idempotency_key = ?",
            (row.identity, row.idempotency_key),
        )
    listed = database.execute("SELECT count(*) FROM actions WHERE listed = 1").fetchone()[0]
    database.close()
    assert listed == 3 * BLOCK - 1
    assert len(check(store)) == 3 * BLOCK + 1
