"""What every store must do, whatever it is made of. It asserts the stored state, not only the answers.

A store's own test module subclasses `StoreContract` and gives it a `store` fixture.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey._core.model import LATEST, Event, Record, Result
from samekey._core.states import UNSETTLED, IllegalMoveError, Move, Status
from samekey._core.verbs import (
    Claim,
    Claimed,
    DuplicateFound,
    Existing,
    Expect,
    Renewed,
    ScopeNamesDiffer,
    Settled,
)
from samekey.errors import StoreFormatError
from samekey.stores import Store
from tests.stores.builders import (
    T0,
    at,
    claimed,
    done,
    record,
    renewal,
    seen,
    settlement,
    stored,
)
from tests.stores.contract_desk import Decisions, Purges
from tests.stores.contract_settling import Settlements, Truth, put

_numbers = count()  # one store sees all examples, so none may repeat a name


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


class Claims:
    def test_a_first_claim_is_stored_as_it_was_given(self, store: Store) -> None:
        row = record(store)
        assert store.claim(Claim(row)) == Claimed(row)
        assert store.get(row.identity) == Existing(row, alive=True, own=True, high_water=T0)
        assert store.events(row.idempotency_key) == []

    def test_a_second_first_claim_finds_the_first_and_changes_nothing(self, store: Store) -> None:
        row = claimed(store)
        other = record(store, claim_nonce="another", idempotency_key="another", created_at=at(9))
        assert store.claim(Claim(other)) == Existing(row, alive=True, own=True, high_water=T0)
        assert store.find() == [row]

    def test_the_same_claim_again_is_claimed_again(self, store: Store) -> None:
        row = claimed(store)
        assert store.claim(Claim(row)) == Claimed(row)
        assert store.find() == [row]

    def test_a_settled_record_comes_back_without_a_holder(self, store: Store) -> None:
        row = done(store)
        assert store.claim(Claim(record(store, claim_nonce="another"))) == Existing(row)

    def test_a_claim_revives_the_generation_it_names(self, store: Store) -> None:
        row = done(store, move=Move.NOT_SENT)
        anew = record(store, fence=2, claim_nonce="second", attempts=2, first_sent_at=at(50))
        assert store.claim(Claim(anew, replaces=seen(row))) == Claimed(anew)
        assert store.find() == [anew]

    def test_a_claim_of_the_next_generation_follows(self, store: Store) -> None:
        row = done(store, move=Move.REFUSAL)
        event = Event(at(2), "new_generation", "corrected")
        second = record(store, generation=2, fence=2)
        assert store.claim(Claim(second, replaces=seen(row), event=event)) == Claimed(second)
        assert store.find() == [row, second]
        assert stored(store) == second
        assert store.events(second.idempotency_key) == [event]
        assert store.events(row.idempotency_key) == []

    @pytest.mark.parametrize(
        "wrong",
        [Expect(1, 2, Status.REJECTED), Expect(1, 1, Status.PENDING), Expect(2, 1, Status.REJECTED)],
    )
    def test_a_claim_that_expects_another_row_changes_nothing(self, store: Store, wrong: Expect) -> None:
        row = done(store, move=Move.REFUSAL)
        anew = record(store, generation=2, fence=2)
        assert store.claim(Claim(anew, replaces=wrong)) == Existing(row)
        assert store.find() == [row]

    def test_an_operation_keeps_its_scope_names(self, store: Store) -> None:
        claimed(store)
        other = record(store, "other", scope={"customer": "42", "basket": "1"})
        answer = store.claim(Claim(other))
        assert isinstance(answer, ScopeNamesDiffer)
        assert sorted(answer.names) == ["cart", "customer"]
        assert store.get(other.identity) is None
        swapped = record(store, "swapped", scope={"cart": "1", "customer": "42"})
        assert isinstance(store.claim(Claim(swapped)), Claimed)


class Duplicates:
    def same(self, store: Store, name: str, **changes: Any) -> Record:
        return record(store, name, **{"request_fingerprint": "1:same", **changes})

    def test_a_refused_duplicate_leaves_no_trace(self, store: Store) -> None:
        first = claimed(store, "one", request_fingerprint="1:same")
        asked = Claim(self.same(store, "two"), duplicates_since=T0, refuse_duplicates=True)
        assert store.claim(asked) == DuplicateFound(first)
        assert store.find() == [first]

    def test_an_allowed_duplicate_rides_along(self, store: Store) -> None:
        claimed(store, "zero", request_fingerprint="1:same")
        newest = claimed(store, "one", request_fingerprint="1:same")
        asked = Claim(self.same(store, "two"), duplicates_since=T0)
        assert store.claim(asked) == Claimed(asked.record, newest)
        assert stored(store, "two") == asked.record

    @pytest.mark.parametrize(
        "changes",
        [
            {"guarded": False},
            {"request_fingerprint": "1:other"},
            {"operation_name": "another"},
            {"created_at": at(-1)},
        ],
    )
    def test_what_differs_is_no_duplicate(self, store: Store, changes: dict[str, Any]) -> None:
        claimed(store, "one", **{"request_fingerprint": "1:same", **changes})
        asked = Claim(self.same(store, "two"), duplicates_since=T0, refuse_duplicates=True)
        assert store.claim(asked) == Claimed(asked.record)

    def test_other_generations_of_the_same_action_are_none(self, store: Store) -> None:
        row = done(store, move=Move.REFUSAL)
        second = record(store, generation=2, fence=2)
        asked = Claim(second, replaces=seen(row), duplicates_since=T0, refuse_duplicates=True)
        assert store.claim(asked) == Claimed(second)

    def test_an_existing_action_comes_before_its_duplicates(self, store: Store) -> None:
        claimed(store, "one", request_fingerprint="1:same")
        row = claimed(store, "two", request_fingerprint="1:same")
        asked = Claim(replace(row, claim_nonce="x"), duplicates_since=T0, refuse_duplicates=True)
        answer = store.claim(asked)
        assert isinstance(answer, Existing)
        assert answer.record == row


class Renewals:
    def test_a_further_attempt_under_the_own_fence(self, store: Store) -> None:
        row = claimed(store)
        asked = renewal(row, store, new_fence=1, nonce=row.claim_nonce)
        expected = replace(row, attempts=2, open_attempts=2, lease_expires_at=at(120), last_seen_at=at(30))
        assert store.renew(asked) == Renewed(expected)
        assert stored(store) == expected
        assert store.events(row.idempotency_key) == [asked.event]

    @pytest.mark.parametrize("status", [Status.IN_FLIGHT, Status.UNKNOWN])
    def test_a_take_over_raises_the_fence(self, store: Store, status: Status) -> None:
        row = put(store, status)
        answer = store.renew(renewal(row, store))
        expected = replace(
            row,
            status=Status.IN_FLIGHT,
            attempts=2,
            open_attempts=2,
            fence=2,
            holder=store.holder,
            claim_nonce="nonce-of-renewal",
            lease_expires_at=at(120),
            last_seen_at=at(30),
        )
        assert answer == Renewed(expected)
        assert store.get(row.identity) == Existing(expected, alive=True, own=True, high_water=at(30))

    def test_the_same_take_over_again_is_renewed_again(self, store: Store) -> None:
        row = claimed(store)
        first = store.renew(renewal(row, store))
        assert store.renew(renewal(row, store)) == first
        assert stored(store).attempts == 2
        assert len(store.events(row.idempotency_key)) == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"expect": Expect(1, 2, Status.IN_FLIGHT)},
            {"expect": Expect(1, 1, Status.UNKNOWN)},
            {"expect": Expect(2, 1, Status.IN_FLIGHT)},
            {"holder": "somebody else"},
        ],
    )
    def test_of_another_row_nothing_changes(self, store: Store, changes: dict[str, Any]) -> None:
        row = claimed(store)
        answer = store.renew(renewal(row, store, **changes))
        assert answer == Existing(row, alive=True, own=True, high_water=T0)
        assert stored(store) == row
        assert store.events(row.idempotency_key) == []

    def test_without_a_holder_the_fence_tells(self, store: Store) -> None:
        row = claimed(store, holder="gone")
        assert isinstance(store.renew(renewal(row, store, holder=None)), Renewed)

    def test_what_may_not_be_sent_again_is_an_error_and_nothing_changes(self, store: Store) -> None:
        row = put(store, Status.NEEDS_REVIEW)
        with pytest.raises(IllegalMoveError, match="needs_review"):
            store.renew(renewal(row, store))
        assert stored(store) == row


class Tasks:
    """R5b: a holder is alive while its task runs."""

    def test_a_released_task_is_dead(self, store: Store) -> None:
        row = claimed(store)
        store.release(row.identity, row.generation, row.fence)
        assert store.get(row.identity) == Existing(row, high_water=T0)

    def test_release_of_what_never_was_is_harmless(self, store: Store) -> None:
        store.release("nothing", 1, 1)

    def test_a_lost_claim_is_no_task(self, store: Store) -> None:
        claimed(store)
        store.release("identity-c-9", 1, 1)
        store.claim(Claim(record(store, claim_nonce="another")))
        existing = store.get("identity-c-9")
        assert existing is not None
        assert not existing.alive

    def test_a_waiter_is_woken_by_the_settlement(self, store: Store) -> None:
        row = claimed(store)
        existing = store.get(row.identity)
        assert existing is not None
        waiter = threading.Thread(target=store.wait, args=(existing, 60))
        waiter.start()
        store.settle(settlement(row))
        waiter.join(30)
        assert not waiter.is_alive()

    def test_a_waiter_is_woken_by_a_release(self, store: Store) -> None:
        row = claimed(store)
        existing = store.get(row.identity)
        assert existing is not None
        waiter = threading.Thread(target=store.wait, args=(existing, 60))
        waiter.start()
        store.release(row.identity, row.generation, row.fence)
        waiter.join(30)
        assert not waiter.is_alive()

    def test_a_wait_ends_with_its_time(self, store: Store) -> None:
        row = claimed(store)
        existing = store.get(row.identity)
        assert existing is not None
        store.wait(existing, 0.001)
        assert stored(store) == row

    def test_of_many_claims_at_once_one_wins(self, store: Store) -> None:
        answers: list[object] = []

        def work(number: int) -> None:
            row = record(store, claim_nonce=f"n{number}")
            answers.append(store.claim(Claim(row)))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(type(answer).__name__ for answer in answers) == ["Claimed"] + ["Existing"] * 15
        assert len(store.find()) == 1

    def test_claims_of_many_threads_are_all_kept(self, store: Store) -> None:
        def work(number: int) -> None:
            for turn in range(10):
                done(store, f"{number}-{turn}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.find(statuses={Status.SUCCEEDED})) == 80


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


A_RECORD = given(
    moment=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - added
    texts=st.dictionaries(st.text(max_size=8), st.text(max_size=30), max_size=5),
    body=st.binary(max_size=200),
)


def assert_whatever_was_stored_comes_back(store: Store, moment: datetime, texts: dict[str, str], body: bytes) -> None:
    """For a property test, which a class that is shared between stores cannot hold."""
    name = str(next(_numbers))
    changes: dict[str, Any] = {"scope": texts, "field_digests": texts, "volatile": tuple(texts)}
    row = claimed(
        store,
        name,
        operation_name=name,
        frozen_request=body,
        created_at=moment,
        last_seen_at=moment,
        **changes,
    )
    assert stored(store, name) == row
    headers = tuple(texts.items())
    settled = store.settle(settlement(row, result=Result(200, headers, body, "r")))
    assert isinstance(settled, Settled)
    assert stored(store, name) == settled.record
    assert settled.record.response_headers == headers


class StoreContract(Facts, Claims, Duplicates, Renewals, Settlements, Truth, Decisions, Purges, Tasks, Searches):
    """All of it."""
