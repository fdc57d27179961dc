"""The part of the contract that is about several store objects on the same data, and about opening it again."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from samekey._core.states import Status
from samekey._core.verbs import Claim, Claimed, Existing, Settled
from samekey.stores import Store
from samekey.testing._contract.builders import claimed, done, record, settlement, stored


class Sharing:
    shares_data: bool = True
    """Whether a second object of `make_store` works on the data of the first; a store in memory may say no."""

    @pytest.fixture
    def other(self, store: Store, another_store: Callable[[], Store]) -> Store:
        """A second object on the data of `store`."""
        if not self.shares_data:
            pytest.skip("its objects share no data")
        other = another_store()
        other.secret(store.secret(None))
        return other

    def test_a_second_object_sees_what_the_first_wrote(self, store: Store, other: Store) -> None:
        row = done(store)
        assert stored(other) == row
        assert other.find() == [row]

    def test_a_second_object_has_the_same_secret(self, store: Store, other: Store) -> None:
        assert other.secret(None) == store.secret(None)

    def test_an_action_that_one_has_claimed_is_not_claimed_by_the_other(self, store: Store, other: Store) -> None:
        row = claimed(store)
        answer = other.claim(Claim(record(other, claim_nonce="another", idempotency_key="another")))
        assert isinstance(answer, Existing)
        assert answer.record == row
        assert answer.alive
        assert stored(store) == row

    def test_what_one_has_settled_the_other_does_not_settle_again(self, store: Store, other: Store) -> None:
        row = claimed(store)
        first = store.settle(settlement(row))
        assert isinstance(first, Settled)
        assert other.settle(settlement(row, nonce="another")) == Existing(first.record)
        assert stored(other) == first.record

    def test_of_claims_through_both_one_wins(self, store: Store, other: Store) -> None:
        answers: list[object] = []

        def work(through: Store, number: int) -> None:
            answers.append(through.claim(Claim(record(through, claim_nonce=f"n{number}"))))

        threads = [threading.Thread(target=work, args=((store, other)[n % 2], n)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(type(answer).__name__ for answer in answers) == ["Claimed"] + ["Existing"] * 15
        assert len(store.find()) == len(other.find()) == 1

    def test_what_both_write_at_once_is_all_kept(self, store: Store, other: Store) -> None:
        def work(through: Store, name: str) -> None:
            for turn in range(20):
                done(through, f"{name}-{turn}")

        threads = [threading.Thread(target=work, args=each) for each in ((store, "one"), (other, "two"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.find(statuses={Status.SUCCEEDED})) == len(other.find()) == 40

    def test_a_waiter_learns_what_the_other_object_settled(self, store: Store, other: Store) -> None:
        row = claimed(store)
        existing = other.get(row.identity)
        assert existing is not None
        waiter = threading.Thread(target=other.wait, args=(existing, 60))
        waiter.start()
        store.settle(settlement(row))
        waiter.join(30)
        assert not waiter.is_alive()

    def test_what_was_closed_is_there_for_the_next_object(
        self, store: Store, another_store: Callable[[], Store]
    ) -> None:
        if not self.shares_data:
            pytest.skip("its objects share no data")
        secret = store.secret(None)
        row = done(store)
        store.close()
        later = another_store()
        assert later.secret(secret) == secret
        assert stored(later) == row
        assert later.claim(Claim(record(later, claim_nonce="another"))) == Existing(row)
        assert isinstance(later.claim(Claim(record(later, "new"))), Claimed)
