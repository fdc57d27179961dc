"""The part of the contract that is about running tasks and those who wait for them."""

from __future__ import annotations

import threading

from samekey._core.states import Status
from samekey._core.verbs import Claim, Existing
from samekey.stores import Store
from samekey.testing._contract.builders import T0, claimed, done, record, settlement, stored


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
