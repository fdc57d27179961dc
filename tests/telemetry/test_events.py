"""What really happens leaves the events that the signals count, and the happy path leaves none."""

from __future__ import annotations

import itertools
import logging
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import tenacity

import samekey
from samekey.stores import SQLiteStore
from samekey.testing import Fault, FlakyServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = timedelta(days=1)
create_order = samekey.Operation("create_order", scope=("cart",), reference="/id")
AT_ONCE = samekey.RetryPolicy(attempts=3, wait=tenacity.wait_none(), budget=None)
ONCE = samekey.RetryPolicy(attempts=1, budget=None)


class Waits(logging.Handler):
    """Tells when somebody waits for another run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.__dict__.get("event") == "await":
            self.seen.set()


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as server:
        yield server


WRITES = ("INSERT", "UPDATE", "DELETE", "COMMIT")


@pytest.fixture
def connect(server: FlakyServer, tmp_path: Path) -> Callable[..., samekey.Client]:
    def make(**options: Any) -> samekey.Client:
        given: dict[str, Any] = {"store": tmp_path / "samekey.db", "retry": AT_ONCE, "verify": False}
        if "provider" not in options:
            given["window"] = DAY
        return samekey.Client(server.url, **(given | options))

    return make


def post(
    client: samekey.Client, cart: str = "c-1", operation: samekey.Operation = create_order, total: str = "1"
) -> samekey.Action:
    with client.action(operation, scope={"cart": cart}) as action:
        action.post("/orders", json={"total": total})
    return action


def kinds(client: samekey.Client, cart: str = "c-1", operation: samekey.Operation = create_order) -> list[str]:
    record = client.record(operation, scope={"cart": cart})
    assert record is not None
    return [event.kind for event in client.store.events(record.idempotency_key)]


def test_the_happy_path_writes_twice_and_no_event(connect: Callable[..., samekey.Client]) -> None:
    with connect() as client:
        post(client, "c-0")
        store = client.store
        assert isinstance(store, SQLiteStore)
        said: list[str] = []
        store._engine._connection.set_trace_callback(said.append)  # type: ignore[union-attr]
        post(client)
        store._engine._connection.set_trace_callback(None)  # type: ignore[union-attr]
        # What a statement's trigger looks at is told as the statement once more.
        distinct = [text for text, _ in itertools.groupby(said)]
        writes = [text.split()[0] for text in distinct if text.lstrip().startswith(WRITES)]
        # The claim looked up the operation's scope names, so it had a transaction; the settlement commits itself.
        assert writes == ["INSERT", "COMMIT", "UPDATE"]
        assert kinds(client) == []
        stats = client.stats()
    assert (stats.actions, stats.succeeded, stats.begins, stats.attempts) == (2, 2, 2, 2)
    assert (stats.writes, stats.objects, stats.writes_per_object, stats.duplicates_prevented) == (2, 2, 1.0, 0)


def test_a_repetition_is_prevented_by_the_record(connect: Callable[..., samekey.Client]) -> None:
    with connect() as client:
        post(client)
        post(client)
        post(client)
        assert kinds(client) == ["replay", "replay"]
        stats = client.stats()
    assert (stats.prevented_by_record, stats.begins) == (2, 3)


def test_a_stored_refusal_prevents_nothing(server: FlakyServer, connect: Callable[..., samekey.Client]) -> None:
    server.script(Fault.REJECT(422))
    with connect() as client:
        for _ in range(2):
            with pytest.raises(samekey.ActionRejectedError):
                post(client)
        assert kinds(client) == ["refused_again"]
        stats = client.stats()
    assert (stats.duplicates_prevented, stats.rejected, stats.begins) == (0, 1, 2)


def test_a_resend_that_the_api_knows_is_prevented_by_the_server(
    server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    marks = samekey.Provider("shop", window=DAY, after_5xx="resend", replay_marker=("Idempotent-Replayed", "true"))
    with connect(provider=marks) as client:
        post(client)
        assert kinds(client) == ["retry", "server_replay"]
        stats = client.stats()
    assert (stats.prevented_by_server, stats.retried, stats.recovered) == (1, 1, 1)


def test_what_a_look_up_finds_is_prevented_by_it(server: FlakyServer, connect: Callable[..., samekey.Client]) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    finds = create_order.replace(reconcile=lambda _http, _record: samekey.Found("order_1"))
    with connect(provider="keyless") as client:
        assert post(client, operation=finds).reference == "order_1"
        assert kinds(client) == ["found"]
        assert client.stats().prevented_by_look_up == 1


def test_who_meets_another_run_is_prevented_by_the_claim(
    server: FlakyServer, connect: Callable[..., samekey.Client], caplog: pytest.LogCaptureFixture
) -> None:
    waits = Waits()
    caplog.set_level(logging.INFO, "samekey")
    logging.getLogger("samekey").addHandler(waits)
    try:
        with connect() as client, server.hold() as held:
            first = threading.Thread(target=post, args=(client,))
            first.start()
            held.wait_for(1)
            with pytest.raises(samekey.ActionInProgressError):
                post(client, operation=create_order.replace(on_in_progress="raise"))
            second = threading.Thread(target=post, args=(client,))
            second.start()
            assert waits.seen.wait(30)
            held.release()
            first.join()
            second.join()
            assert kinds(client) == ["in_progress", "awaited"]
            stats = client.stats()
    finally:
        logging.getLogger("samekey").removeHandler(waits)
    assert (stats.prevented_by_claim, stats.begins, stats.actions) == (2, 3, 1)


def test_the_same_data_under_another_scope_is_told_of_on_the_action_that_had_it(
    connect: Callable[..., samekey.Client],
) -> None:
    guarded = create_order.replace(duplicates="reject")
    with connect() as client:
        post(client, operation=guarded)
        with pytest.raises(samekey.DuplicateActionError):
            post(client, "c-2", operation=guarded)
        assert kinds(client) == ["duplicate"]
        assert client.record(create_order, scope={"cart": "c-2"}) is None
        stats = client.stats()
    assert (stats.prevented_by_claim, stats.begins, stats.actions) == (1, 2, 1)


def test_other_data_is_a_conflict(connect: Callable[..., samekey.Client]) -> None:
    with connect() as client:
        post(client)
        with pytest.raises(samekey.KeyReusedError):
            post(client, total="2")
        assert kinds(client) == ["conflict"]
        stats = client.stats()
    assert (stats.conflicts, stats.begins, stats.conflict_rate) == (1, 2, 0.5)


def test_other_data_by_the_apis_word_is_a_conflict_too(
    server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    knows = samekey.Provider("shop", window=DAY, mismatch=[{"status": 409}])
    server.script(Fault.REJECT(409))
    with connect(provider=knows) as client:
        with pytest.raises(samekey.KeyReusedError):
            post(client)
        assert kinds(client) == ["server_conflict"]
        stats = client.stats()
    assert (stats.conflicts, stats.begins, stats.review_backlog) == (1, 1, 1)


def test_a_lost_answer_stays_open_and_a_later_run_takes_it_over(
    server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with connect() as client:
        with pytest.raises(samekey.OutcomeUnknownError):
            post(client, operation=create_order.replace(retry=ONCE))
        stats = client.stats()
        assert (stats.open_unknowns, stats.oldest_unknown_window) == (1, DAY)
        assert stats.oldest_unknown is not None
        assert timedelta(0) <= stats.oldest_unknown < timedelta(minutes=3)
        post(client)
        assert kinds(client) == ["unknown", "recovery"]
        stats = client.stats()
    assert (stats.open_unknowns, stats.taken_over, stats.recovered, stats.recovery_rate) == (0, 1, 1, 1.0)


@pytest.mark.parametrize("fault", [Fault.COMMIT_THEN_DROP, Fault.RATE_LIMIT(0.0)])
def test_a_used_up_budget_is_told_whether_something_may_have_happened_or_not(
    server: FlakyServer, connect: Callable[..., samekey.Client], fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samekey._drivers.runtime.Budget.withdraw", lambda _budget, _boot_time: False)
    stingy = samekey.RetryPolicy(attempts=3, wait=tenacity.wait_none())
    server.script(fault)
    with connect(retry=stingy) as client:
        with pytest.raises((samekey.OutcomeUnknownError, samekey.NotSentError)):
            post(client)
        assert kinds(client) == ["budget_stop"]
        assert client.stats().budget_stops == 1


def test_a_keyless_action_without_an_answer_is_in_the_backlog_and_its_reruns_are_blocked(
    server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with connect(provider="keyless") as client:
        for _ in range(2):
            with pytest.raises(samekey.NeedsReviewError):
                post(client)
        assert kinds(client) == ["review", "blocked"]
        stats = client.stats()
    assert (stats.review_backlog, stats.blocked, stats.begins) == (1, 1, 2)


def test_two_objects_for_one_action_are_found_and_so_is_one_object_for_two(
    server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    same = samekey.Operation("create_order", scope=("cart",), reference="/data/total")
    with connect() as client:
        post(client, "c-1", operation=same)
        post(client, "c-2", operation=same)
        stats = client.stats()
    assert (stats.writes, stats.objects, stats.writes_per_object) == (2, 1, 2.0)


def test_since_without_a_time_zone_is_refused(connect: Callable[..., samekey.Client]) -> None:
    from datetime import datetime

    with connect() as client, pytest.raises(samekey.UsageError, match="time zone"):
        client.stats(since=datetime(2026, 11, 24))  # noqa: DTZ001 - the point of it
