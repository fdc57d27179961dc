"""The part of the contract that is about what a store says of itself, and about finding and keeping."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from samekey._core.model import LATEST, Event, Result
from samekey._core.states import UNSETTLED, Move, Status
from samekey._core.verbs import Claim, Claimed, Settled
from samekey.errors import StoreFormatError
from samekey.stores import Store
from samekey.testing._contract.builders import at, claimed, done, record, settlement, stored

TEXTS = [
    "", " ", "0", "\x00", "a\x00b", "\n\r\t\x1f\x7f", "'\";--", '\\"\\', "%s {} ?1 :a $1", "é", "e\u0301", "\u2028", "\ufeff",
    "\U0001d518", "\U0010ffff", "x" * 3_000,
]  # fmt: skip
"""What databases, drivers and JSON are known to change."""
BODIES = [b"", b"\x00", bytes(range(256)), b"\xff\xfe", b"x" * 100_000]
MOMENTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, 1, tzinfo=UTC),
    datetime(2199, 12, 31, 1, 2, 3, 123_457, tzinfo=UTC),
]


class Facts:
    def test_it_is_a_store_and_says_where_it_is(self, store: Store) -> None:
        checked: Store = store
        assert checked.location
        assert isinstance(checked.claim_durable, bool)
        assert checked.lease is None

    def test_its_holder_stays_the_same(self, store: Store) -> None:
        assert store.holder == store.holder != ""

    def test_its_secret_stays_the_same(self, store: Store) -> None:
        first = store.secret(None)
        assert len(first) >= 32
        assert store.secret(None) == first
        assert store.secret(first) == first

    def test_another_secret_is_refused(self, store: Store) -> None:
        store.secret(None)
        with pytest.raises(StoreFormatError, match="another secret"):
            store.secret(b"of another fleet, long enough to be one")


class Searches:
    def test_nothing_is_found_where_nothing_is(self, store: Store) -> None:
        assert store.get("nothing") is None
        assert store.find() == []
        assert store.events("nothing") == []

    def test_find_narrows_by_all_that_is_given(self, store: Store) -> None:
        one = done(store, "1")
        two = claimed(store, "2", actor_id="other")
        three = claimed(store, "3", operation_name="pay", origin="https://other:443")
        four = done(store, "4", Move.REFUSAL)
        assert store.find() == [one, two, three, four]
        assert store.find(newest_first=True, limit=2) == [four, three]
        assert store.find(limit=1) == [one]
        assert store.find(limit=0) == []
        assert store.find(key_prefix="key-2") == [two]
        assert store.find(key_prefix="key-", limit=3, newest_first=True) == [four, three, two]
        assert store.find(key_prefix="key-1", statuses={Status.IN_FLIGHT}) == []
        assert store.find(statuses=UNSETTLED) == [two, three]
        assert store.find(statuses={Status.SUCCEEDED, Status.REJECTED}, newest_first=True) == [four, one]
        assert store.find(statuses=()) == []
        assert store.find(operation_name="pay") == [three]
        assert store.find(actor_id="other", statuses={Status.IN_FLIGHT}) == [two]
        assert store.find(origin="https://other:443", statuses=UNSETTLED) == [three]
        assert store.find(origin="https://other:443", actor_id="other") == []

    def test_a_note_is_added_and_moves_the_time(self, store: Store) -> None:
        row = done(store)
        first, second = Event(at(7), "replay", "é"), Event(at(3), "conflict")
        store.note(row, first)
        store.note(row, second)
        assert store.events(row.idempotency_key) == [first, second]
        assert stored(store) == replace(row, last_seen_at=at(7))

    def test_closing_keeps_everything_and_a_later_verb_opens_again(self, store: Store) -> None:
        row = done(store)
        store.tidy()
        store.close()
        store.close()
        assert stored(store) == row
        assert isinstance(store.claim(Claim(record(store, "another"))), Claimed)

    def test_times_beyond_the_calendar_do_not_break_it(self, store: Store) -> None:
        row = claimed(store, lease_expires_at=LATEST, last_seen_at=LATEST, created_at=LATEST)
        assert store.settle(settlement(row, at=LATEST)) is not None
        after = stored(store)
        assert after.completed_at is not None
        assert after.completed_at.year == 9999
        assert isinstance(store.settle(settlement(row, at=LATEST)), Settled)

    @pytest.mark.parametrize("text", TEXTS, ids=ascii)
    def test_whatever_text_was_stored_comes_back(self, store: Store, text: str) -> None:
        texts = {f"name {text}": text, "other": "plain"}
        plain = text.replace("\x00", "")  # which not every database takes as text
        row = claimed(
            store, "odd", scope=texts, field_digests=texts, volatile=(text, "plain"), url=plain, correlation_id=plain
        )
        assert stored(store, "odd") == row
        headers = ((f"x-{text}", text), ("x-again", text), ("x-again", "plain"))
        settled = store.settle(settlement(row, result=Result(200, headers, b"{}", plain)))
        assert isinstance(settled, Settled)
        assert stored(store, "odd") == settled.record
        assert settled.record.response_headers == headers
        assert settled.record.response_reference == plain

    @pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{len(body)} bytes")
    def test_whatever_bytes_were_stored_come_back(self, store: Store, body: bytes) -> None:
        row = claimed(store, frozen_request=body)
        assert stored(store).frozen_request == body
        store.settle(settlement(row, result=Result(200, (), body, None)))
        assert stored(store).response_body == body

    @pytest.mark.parametrize("moment", MOMENTS, ids=str)
    def test_whatever_time_was_stored_comes_back(self, store: Store, moment: datetime) -> None:
        row = claimed(store, created_at=moment, last_seen_at=moment, first_sent_at=moment, lease_expires_at=moment)
        assert stored(store) == row
        store.settle(settlement(row, at=moment, expires_at=moment + timedelta(days=1)))
        assert (stored(store).completed_at, stored(store).expires_at) == (moment, moment + timedelta(days=1))
