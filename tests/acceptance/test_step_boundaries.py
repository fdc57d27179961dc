"""The second bar: killed between any two steps of an action, and again in the rerun."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition

import pytest

import samekey
from samekey.stores import SQLiteStore
from samekey.testing import Fault, FlakyServer, Seen
from tests.acceptance.nursery import SECONDS, Nursery
from tests.acceptance.one_action import BOUNDARIES, RERUN_BOUNDARIES, create_order


@dataclass
class Place:
    """A server, a store and a nursery, shared by the cases; each has an order of its own."""

    server: FlakyServer
    store: Path
    nursery: Nursery
    sent: int = 0
    changed: Condition = field(default_factory=Condition)

    def run(self, order: str, boundary: str | None, *, keyless: bool) -> list[str]:
        """One run; what it printed, or `killed`. Returns when the server has dealt with all that was sent."""
        arguments = (self.server.url, str(self.store), order, keyless, boundary)
        code, said = self.nursery.call("tests.acceptance.one_action:main", *arguments)
        lines = said.splitlines()
        with self.changed:
            self.sent += lines.count("sent")
            assert self.changed.wait_for(lambda: len(self.server.requests) >= self.sent, SECONDS)
        self.server.wait_idle()
        assert code in {0, -signal.SIGKILL}, said
        return [line for line in lines if line != "sent"] if code == 0 else ["killed"]

    def arrived(self, _seen: Seen) -> None:
        with self.changed:
            self.changed.notify_all()

    def record(self, order: str) -> samekey.Record:
        store = SQLiteStore(self.store)
        try:
            (record,) = [record for record in store.find() if record.scope == {"order": order}]
        finally:
            store.close()
        return record

    def effects(self, order: str) -> list[str]:
        return [effect.reference for effect in self.server.effects if f'"{order}"'.encode() in effect.body]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with FlakyServer() as server, Nursery() as nursery:
        place = Place(server, tmp_path_factory.mktemp("boundaries") / "samekey.db", nursery)
        server.on_request = place.arrived
        yield place


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "reply-lost"])
@pytest.mark.parametrize("second", RERUN_BOUNDARIES)
@pytest.mark.parametrize("first", BOUNDARIES)
def test_killed_at_any_boundary_and_again_in_the_rerun_there_is_one_effect_and_one_reference(
    place: Place, first: str, second: str, lost: bool
) -> None:
    order = f"{first} {second} {lost}"
    if lost:
        place.server.script(Fault.COMMIT_THEN_DROP)
    try:
        said = [place.run(order, boundary, keyless=False) for boundary in (first, second, None, None)]
    finally:
        place.server.clear_faults()

    (reference,) = place.effects(order)
    assert said[0] == ["killed"]
    assert said[1] in (["killed"], [f"reference {reference}"])
    assert said[2] == said[3] == [f"reference {reference}"]
    record = place.record(order)
    assert (record.status, record.response_reference) == (samekey.Status.SUCCEEDED, reference)
    assert record.frozen_request is None


@pytest.mark.parametrize("second", RERUN_BOUNDARIES)
@pytest.mark.parametrize("first", BOUNDARIES)
def test_without_keys_a_kill_at_any_boundary_leaves_one_effect_at_most_and_success_or_review(
    place: Place, first: str, second: str
) -> None:
    order = f"keyless {first} {second}"
    said = [place.run(order, boundary, keyless=True) for boundary in (first, second, None, None)]

    effects = place.effects(order)
    record = place.record(order)
    assert len(effects) <= 1
    assert said[0] == ["killed"]
    assert said[2] == said[3]
    if record.status is samekey.Status.SUCCEEDED:
        assert said[2] == [f"reference {record.response_reference}"]
        assert effects == [record.response_reference]
    else:
        assert record.status is samekey.Status.NEEDS_REVIEW
        assert said[2] == ["error NeedsReviewError"]


def test_a_kill_that_provably_came_before_the_claim_costs_a_keyless_action_nothing(place: Place) -> None:
    assert place.run("early", "before_claim", keyless=True) == ["killed"]
    assert place.run("early", None, keyless=True) == [f"reference {place.effects('early')[0]}"]


def test_the_key_is_the_same_on_every_run(place: Place) -> None:
    for boundary in ("after_send", "after_reply", None):
        place.run("same key", boundary, keyless=False)
    keys = {seen.key for seen in place.server.requests if b'"same key"' in seen.body}
    assert keys == {place.record("same key").idempotency_key}
    assert create_order.name == "create_order"
