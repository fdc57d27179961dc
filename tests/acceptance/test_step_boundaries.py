"""The second bar: killed between any two steps of an action, and again in the rerun."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from threading import Condition

import pytest

import samekey
from samekey.stores import SQLiteStore
from samekey.testing import Fault, FlakyServer, Seen
from tests.acceptance.nursery import SECONDS, Nursery
from tests.acceptance.one_action import BOUNDARIES, RERUN_BOUNDARIES, connect, create_order, make


@dataclass
class Place:
    """A server, a store and a nursery, shared by the cases; each has an order of its own."""

    server: FlakyServer
    store: SQLiteStore
    nursery: Nursery
    clients: dict[bool, samekey.Client]
    sent: int = 0
    changed: Condition = field(default_factory=Condition)

    def run(self, order: str, boundary: str | None, *, keyless: bool = False) -> str:
        """One run in a child; what it said, or `killed`. Returns when the server has dealt with all that was sent."""
        arguments = (self.server.url, self.store.location, order, keyless, boundary)
        code, said = self.nursery.call("tests.acceptance.one_action:main", *arguments)
        lines = said.splitlines()
        with self.changed:
            self.sent += lines.count("sent")
            assert self.changed.wait_for(lambda: len(self.server.requests) >= self.sent, SECONDS)
        self.server.wait_idle()
        assert code in {0, -signal.SIGKILL}, said
        return lines[-1] if code == 0 else "killed"

    def finish(self, order: str, *, keyless: bool = False) -> tuple[str, samekey.Record]:
        """The last run, in this process: what came back, and the record."""
        client = self.clients[keyless]
        before = len(self.server.requests)
        answer = make(client, order)
        self.sent += len(self.server.requests) - before
        record = client.record(create_order, scope={"order": order})
        assert record is not None
        return answer, record

    def arrived(self, _seen: Seen) -> None:
        with self.changed:
            self.changed.notify_all()

    def effects(self, order: str) -> list[str]:
        return [effect.reference for effect in self.server.effects if f'"{order}"'.encode() in effect.body]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    store = SQLiteStore(tmp_path_factory.mktemp("boundaries") / "samekey.db")
    with (
        FlakyServer() as server,
        Nursery() as nursery,
        closing(store),
        connect(server.url, store, keyless=False) as keyed,
        connect(server.url, store, keyless=True) as keyless,
    ):
        place = Place(server, store, nursery, {False: keyed, True: keyless})
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
        said = [place.run(order, boundary) for boundary in (first, second)]
        answer, record = place.finish(order)
    finally:
        place.server.clear_faults()

    (reference,) = place.effects(order)
    assert said[0] == "killed"
    assert said[1] in {"killed", reference}
    assert answer == record.response_reference == reference
    assert record.status is samekey.Status.SUCCEEDED
    assert record.frozen_request is None


@pytest.mark.parametrize("second", RERUN_BOUNDARIES)
@pytest.mark.parametrize("first", BOUNDARIES)
def test_without_keys_a_kill_at_any_boundary_leaves_one_effect_at_most_and_success_or_review(
    place: Place, first: str, second: str
) -> None:
    order = f"keyless {first} {second}"
    said = [place.run(order, boundary, keyless=True) for boundary in (first, second)]
    answer, record = place.finish(order, keyless=True)

    effects = place.effects(order)
    assert len(effects) <= 1
    assert said[0] == "killed"
    if record.status is samekey.Status.SUCCEEDED:
        assert effects == [answer] == [record.response_reference]
    else:
        assert record.status is samekey.Status.NEEDS_REVIEW
        assert answer == "NeedsReviewError"


def test_a_kill_before_the_claim_costs_a_keyless_action_nothing(place: Place) -> None:
    assert place.run("early", "before_claim", keyless=True) == "killed"
    assert place.run("early", None, keyless=True) == place.effects("early")[0]


def test_every_run_sends_the_same_key_and_the_same_bytes(place: Place) -> None:
    for boundary in ("after_send", "after_reply"):
        assert place.run("same key", boundary) == "killed"
    _, record = place.finish("same key")

    seen = [request for request in place.server.requests if b'"same key"' in request.body]
    assert len(seen) == 3
    assert {request.key for request in seen} == {record.idempotency_key}
    assert len({(request.target, request.headers, request.body) for request in seen}) == 1
