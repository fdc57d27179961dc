"""A claim or a take-over that fails ends no task but its own: another's goes on, and is seen to (R5b)."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from samekey._core.verbs import Claim, Claimed
from samekey.errors import StoreUnavailableError
from samekey.stores import SQLiteStore, _plans
from samekey.stores._running import Running
from tests.stores.builders import claimed, record, renewal
from tests.stores.tasks import act, opened
from tests.stores.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from samekey.stores._connection import Connection


class Failing:
    """Connections that cannot write while another program does."""

    def __init__(self) -> None:
        self.fails = False

    def connect(self, uri: str) -> Connection:
        return Watched(uri, self._before)

    def _before(self, sql: str) -> None:
        if self.fails and sql.startswith(("INSERT", "BEGIN")):
            raise StoreUnavailableError("as told")


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture
def store(tmp_path: Path, failing: Failing) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "samekey.db", _connect=failing.connect)
    claimed(store, "first")
    yield store
    store.close()


def test_a_claim_that_fails_leaves_the_task_that_holds_it(store: SQLiteStore, failing: Failing) -> None:
    row = claimed(store, "one")
    failing.fails = True
    with pytest.raises(StoreUnavailableError):
        store.claim(Claim(record(store, "one", claim_nonce="another")))
    failing.fails = False
    found = store.get(row.identity)
    assert found is not None
    assert found.alive
    # The claim itself, of which its caller has not heard, was no other.
    failing.fails = True
    with pytest.raises(StoreUnavailableError):
        store.claim(Claim(row))
    failing.fails = False
    found = store.get(row.identity)
    assert found is not None
    assert not found.alive


@pytest.mark.anyio
async def test_the_same_on_a_loop(tmp_path: Path, failing: Failing) -> None:
    async with opened(tmp_path, _connect=failing.connect) as store:
        await act(store, "first")
        row = record(store, "one")  # type: ignore[arg-type] # it only needs the holder
        assert isinstance(await store.claim(Claim(row)), Claimed)
        failing.fails = True
        with pytest.raises(StoreUnavailableError):
            await store.claim(Claim(replace(row, claim_nonce="another")))
        failing.fails = False
        found = await store.get(row.identity)
        assert found is not None
        assert found.alive


def test_of_two_that_take_over_at_once_the_one_that_fails_leaves_the_other(store: SQLiteStore) -> None:
    row = claimed(store, "one")
    running = Running()
    wanted = renewal(row, store, new_fence=2, nonce="mine")
    mine = _plans.renewing(running, wanted)
    running.begin(replace(row, fence=2, claim_nonce="theirs"))
    mine.undo()
    assert len(running) == 1
    running.begin(replace(row, fence=2, claim_nonce="mine"))
    mine.undo()
    assert not running


def test_a_resend_that_fails_leaves_its_task(store: SQLiteStore) -> None:
    row = claimed(store, "one")
    running = Running()
    running.begin(row)
    _plans.renewing(running, renewal(row, store, new_fence=row.fence, nonce=row.claim_nonce)).undo()
    assert len(running) == 1


def test_who_waits_for_a_task_is_not_woken_for_another_claim_of_it(store: SQLiteStore) -> None:
    row = claimed(store, "one")
    running = Running()
    running.begin(row)
    task = _plans.task_of(row)
    waiting = threading.Thread(target=running.wait, args=(task, threading.TIMEOUT_MAX))
    waiting.start()
    running.withdraw(task, "another")
    assert task in running
    running.withdraw(task, row.claim_nonce)
    waiting.join(60)
    assert not waiting.is_alive()
