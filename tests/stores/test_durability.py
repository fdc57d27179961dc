"""What reaches the disk, and when: counted below SQLite, not by time."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from samekey._core.states import Move
from samekey._core.verbs import Renewed, Resolved
from samekey.stores import SQLiteStore, _keeper
from tests.stores.apsw_adapter import Syncs
from tests.stores.builders import claimed, done, renewal, resolution, settlement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_names = (f"counting-{number}" for number in itertools.count())


@pytest.fixture
def vfs() -> Iterator[Syncs]:
    vfs = Syncs(next(_names))
    yield vfs
    vfs.unregister()


@pytest.fixture
def store(vfs: Syncs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteStore]:
    monkeypatch.setattr(_keeper, "DELAY", 3_600.0)  # its syncs are not the callers'
    vfs.count_own(monkeypatch)
    store = SQLiteStore(tmp_path / "samekey.db", _connect=vfs.connect)
    store.secret(None)
    done(store, "first")  # the first commit into an empty log syncs the log's head too
    vfs.counts.clear()
    yield store
    store.close()


def test_the_happy_path_syncs_once_per_action(store: SQLiteStore, vfs: Syncs) -> None:
    for number in range(20):
        done(store, str(number))
    assert vfs.counts == Counter({"-wal": 20})


def test_a_claim_is_on_disk_before_it_is_acknowledged(store: SQLiteStore, vfs: Syncs) -> None:
    for number in range(3):  # the first one looks up the operation's scope names, so it has a transaction
        vfs.counts.clear()
        claimed(store, str(number))
        assert vfs.counts == Counter({"-wal": 1})


def test_a_renewal_is_on_disk_before_it_is_acknowledged(store: SQLiteStore, vfs: Syncs) -> None:
    row = claimed(store, "one")
    vfs.counts.clear()
    assert isinstance(store.renew(renewal(row, store)), Renewed)
    assert vfs.counts == Counter({"-wal": 1})


@pytest.mark.parametrize(("durable", "syncs"), [(True, 1), (False, 0)])
def test_a_settlement_is_on_disk_if_it_was_asked_to_be(
    store: SQLiteStore, vfs: Syncs, *, durable: bool, syncs: int
) -> None:
    row = claimed(store, "one")
    vfs.counts.clear()
    store.settle(settlement(row, Move.REFUSAL, durable=durable))
    assert vfs.counts.total() == syncs


def test_a_lost_claim_costs_no_sync(store: SQLiteStore, vfs: Syncs) -> None:
    row = claimed(store, "one")
    vfs.counts.clear()
    with pytest.raises(AssertionError):
        claimed(store, "one", claim_nonce="another")
    assert store.get(row.identity) is not None
    assert vfs.counts.total() == 0


def test_the_work_of_several_claims_can_share_a_sync(store: SQLiteStore, vfs: Syncs) -> None:
    import threading

    entered, go = threading.Event(), threading.Event()

    def block(_: object) -> None:
        entered.set()
        assert go.wait(60)

    leader = threading.Thread(target=lambda: store._engine.write(block, full=False))
    leader.start()
    assert entered.wait(60)
    vfs.counts.clear()
    followers = [threading.Thread(target=claimed, args=(store, str(number))) for number in range(12)]
    for follower in followers:
        follower.start()
    while len(store._engine._queue) < 12:
        pass
    go.set()
    for thread in (leader, *followers):
        thread.join()
    assert len(store.find()) == 13
    assert vfs.counts == Counter({"-wal": 1})


def test_a_made_store_is_on_disk_before_it_is_used(vfs: Syncs, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "new" / "samekey.db", _connect=vfs.connect)
    store.secret(None)
    # EXTRA: the switch to the log syncs journal, file and directory; the schema and the check value sync the log.
    assert vfs.counts["db"] >= 1
    assert vfs.counts["-wal"] >= 2
    store.close()


def test_one_job_that_fails_takes_no_other_with_it(store: SQLiteStore) -> None:
    import threading

    entered, go = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def block(_: object) -> None:
        entered.set()
        assert go.wait(60)

    def fail(_: object) -> None:
        raise ZeroDivisionError

    def failing() -> None:
        try:
            store._engine.write(fail, full=False)
        except ZeroDivisionError as error:
            errors.append(error)

    leader = threading.Thread(target=lambda: store._engine.write(block, full=False))
    leader.start()
    assert entered.wait(60)
    others = [threading.Thread(target=claimed, args=(store, str(number))) for number in range(3)]
    for thread in (*others, threading.Thread(target=failing)):
        thread.start()
        others.append(thread) if thread not in others else None
    while len(store._engine._queue) < 4:
        pass
    go.set()
    for thread in (leader, *others):
        thread.join()
    assert len(errors) == 1
    assert len(store.find()) == 4


def test_a_decision_is_on_disk_before_it_is_acknowledged(store: SQLiteStore, vfs: Syncs) -> None:
    row = done(store, "one", Move.STOP, durable=True)
    vfs.counts.clear()
    assert isinstance(store.resolve(resolution(row)), Resolved)
    assert vfs.counts == Counter({"-wal": 1})
