"""The bar of the unknown: an API that ignores keys, scripts that are killed anywhere, and look-ups or people who tell."""

from __future__ import annotations

import json
import signal
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import samekey
from samekey.stores import SQLiteStore
from samekey.testing import Fault, FlakyServer
from tests.acceptance.looking import looked_up
from tests.acceptance.nursery import Nursery
from tests.acceptance.one_action import BOUNDARIES, connect, create_order
from tests.cli.desk import decide, run
from tests.client.conftest import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

LOST = {"answered": None, "reply lost": Fault.COMMIT_THEN_DROP, "request lost": Fault.DROP_BEFORE}


@dataclass
class Place:
    """A server that ignores keys, a store and a nursery, shared by the cases; each has an order of its own."""

    server: FlakyServer
    store: SQLiteStore
    nursery: Nursery

    def killed(self, order: str, boundary: str, fault: Fault | None, *, looks_up: bool) -> None:
        """A run that dies at the boundary; returns when the server has dealt with what was sent."""
        if fault is not None:
            self.server.script(fault)
        arguments = (self.server.url, self.store.location, order, looks_up, boundary)
        code, said = self.nursery.call("tests.acceptance.looking:main", *arguments)
        self.server.wait_idle()
        self.server.clear_faults()
        assert code in {0, -signal.SIGKILL}, said

    def rerun(self, order: str, operation: samekey.Operation, *, after: float) -> samekey.Action | samekey.SamekeyError:
        """The same action in this process, some seconds later; what came of it."""
        with connect(self.server.url, self.store, keyless=True) as client:
            clock = FakeClock()
            clock.passed = after
            client._engine.clock = clock
            try:
                with client.action(operation, scope={"order": order}) as action:
                    action.post("/orders", json={"order": order})
            except samekey.SamekeyError as error:
                return error
            return action

    def effects(self, order: str) -> list[str]:
        return [effect.reference for effect in self.server.effects if json.loads(effect.body)["order"] == order]

    def record(self, order: str) -> samekey.Record:
        return [record for record in self.store.find() if record.scope["order"] == order][-1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    store = SQLiteStore(tmp_path_factory.mktemp("unknown") / "samekey.db")
    with FlakyServer(keys="ignore") as server, Nursery() as nursery, closing(store):
        store.secret(None)
        yield Place(server, store, nursery)


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_with_a_look_up_reruns_make_it_once_wherever_it_was_killed(place: Place, boundary: str, lost: str) -> None:
    order = f"looked up {boundary} {lost}"
    place.killed(order, boundary, LOST[lost], looks_up=True)
    reruns: list[Any] = [place.rerun(order, looked_up, after=3600.0 * number) for number in range(1, 4)]
    (reference,) = place.effects(order)
    assert isinstance(reruns[-1], samekey.Action)
    assert (reruns[-1].reference, place.record(order).status) == (reference, samekey.Status.SUCCEEDED)
    # What a rerun could not settle it has told, and that the next one is safe.
    assert all(rerun.retry_safe for rerun in reruns if isinstance(rerun, samekey.SamekeyError))


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_without_one_it_is_made_once_at_most_and_what_is_in_doubt_is_in_review(
    place: Place, boundary: str, lost: str
) -> None:
    order = f"not looked up {boundary} {lost}"
    place.killed(order, boundary, LOST[lost], looks_up=False)
    place.rerun(order, create_order, after=3600.0)
    effects = place.effects(order)
    document = json.loads(run("review", "--store", place.store.location, "--json").stdout)
    listed = [action["scope"]["order"] for group in document["groups"] for action in group["actions"]]
    assert len(effects) <= 1
    if place.record(order).status is samekey.Status.SUCCEEDED:
        assert place.record(order).response_reference == effects[0]
        assert order not in listed
    else:
        assert place.record(order).status is samekey.Status.NEEDS_REVIEW
        assert order in listed


@pytest.mark.parametrize("lost", ["reply lost", "request lost"])
def test_a_person_settles_what_is_in_review_and_the_rerun_goes_by_it(place: Place, lost: str) -> None:
    order = f"a person {lost}"
    place.killed(order, "before_settle", LOST[lost], looks_up=False)
    assert isinstance(place.rerun(order, create_order, after=3600.0), samekey.NeedsReviewError)
    effects = place.effects(order)
    row = place.record(order)
    if effects:
        decide(place.store, row, "--happened", "--reference", effects[0])
    else:
        told = decide(place.store, row, "--did-not-happen", code=5).stderr  # its request may still be on its way
        assert "may still be on its way" in told
        _make_older(place.store, row)
        decide(place.store, place.record(order), "--did-not-happen")
    again = place.rerun(order, create_order, after=7200.0)
    assert isinstance(again, samekey.Action)
    assert [again.reference] == place.effects(order)


def _make_older(store: SQLiteStore, row: samekey.Record) -> None:
    """Puts the send an hour back, which is easier than to wait for an hour."""
    import sqlite3

    store.close()
    database = sqlite3.connect(store.location)
    with database:
        times = "first_sent_at = first_sent_at - 3600, lease_expires_at = lease_expires_at - 3600"
        database.execute(f"UPDATE actions SET {times} WHERE idempotency_key = ?", [row.idempotency_key])
    database.close()
