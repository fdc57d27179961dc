"""The part of the contract that is about claims and further attempts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from samekey._core.model import Event, Record
from samekey._core.states import IllegalMoveError, Move, Status
from samekey._core.verbs import Claim, Claimed, DuplicateFound, Existing, Expect, Renewed, ScopeNamesDiffer
from samekey.stores import Store
from samekey.testing._contract.builders import T0, at, claimed, done, record, renewal, seen, settlement, stored
from samekey.testing._contract.settling import put


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
            {"created_at": at(-1), "first_sent_at": at(-1)},
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

    @pytest.mark.parametrize("guarded", [True, False])
    def test_a_pending_action_that_is_claimed_with_other_data_carries_these(
        self, store: Store, *, guarded: bool
    ) -> None:
        store.settle(settlement(claimed(store, "one", request_fingerprint="1:first"), Move.NOT_SENT))
        row = stored(store, "one")
        changes: dict[str, Any] = {"request_fingerprint": "1:same", "origin": "https://other.example:443"}
        anew = record(store, "one", fence=2, attempts=2, guarded=guarded, **changes)
        assert store.claim(Claim(anew, replaces=seen(row))) == Claimed(anew)
        assert stored(store, "one") == anew
        first = Claim(record(store, "two", request_fingerprint="1:first"), duplicates_since=T0, refuse_duplicates=True)
        assert store.claim(first) == Claimed(first.record)
        asked = Claim(self.same(store, "three"), duplicates_since=T0, refuse_duplicates=True)
        assert store.claim(asked) == (DuplicateFound(anew) if guarded else Claimed(asked.record))

    @pytest.mark.parametrize("data", ["1:same", "1:first"])
    def test_an_action_that_was_pending_for_long_is_as_young_as_its_last_claim(self, store: Store, data: str) -> None:
        store.settle(settlement(claimed(store, "one", request_fingerprint=data), Move.NOT_SENT))
        anew = self.same(store, "one", fence=2, attempts=2, first_sent_at=at(7200), last_seen_at=at(7200))
        assert store.claim(Claim(anew, replaces=seen(stored(store, "one")))) == Claimed(anew)
        asked = Claim(self.same(store, "two"), duplicates_since=at(3600), refuse_duplicates=True)
        assert store.claim(asked) == DuplicateFound(anew)

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
