"""The usual claim and the usual settlement of a lone caller are one statement each, and mean what a transaction means."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from samekey._core.model import Event
from samekey._core.states import Move
from samekey._core.verbs import Claim, Claimed, Existing, ScopeNamesDiffer, Settled
from samekey.errors import StoreFormatError, StoreUnavailableError
from samekey.stores import SQLiteStore
from tests.stores.builders import T0, claimed, record, settlement, stored
from tests.stores.heard import Disk, Heard, disk, heard, store, syncs_again

__all__ = ["disk", "heard", "store"]  # fixtures


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
