"""Test conditions hold for every client of the process, and end with the test."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import tenacity

import samekey
from samekey.stores import MemoryStore, SQLiteStore
from samekey.testing import Fault, FlakyServer, ManualClock, set_testing
from tests.testing.order_script import create_order, place

HOUR = tenacity.wait_fixed(3600)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2030, 1, 1, tzinfo=UTC))


def impatient(url: str, *, store: MemoryStore | None = None, attempts: int = 5) -> samekey.Client:
    retry = samekey.RetryPolicy(attempts=attempts, deadline=10_000_000, wait=HOUR, budget=None)
    return samekey.Client(url, provider="stripe-v1", store=store or MemoryStore(), retry=retry)


def test_a_client_that_names_a_path_takes_the_tests_store(
    server: FlakyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with set_testing(store=tmp_path / "test.db"):
        first = place(server.url, "c-9")
        assert os.environ["SAMEKEY_STORE"] == str(tmp_path / "test.db")
        with samekey.Client(server.url, provider="stripe-v1") as client:
            assert client.store.location == str(tmp_path / "test.db")
        with samekey.Client(server.url, provider="stripe-v1", store="memory://") as client:
            record = client.record(create_order, scope={"cart": "c-9"})

    assert record is not None
    assert record.response_reference == first
    assert not (tmp_path / "orders.db").exists()
    assert "SAMEKEY_STORE" not in os.environ
    with samekey.Client(server.url, provider="stripe-v1", store=tmp_path / "other.db") as client:
        assert client.store.location == str(tmp_path / "other.db")


def test_a_store_object_is_the_scripts_own(server: FlakyServer, tmp_path: Path) -> None:
    own = SQLiteStore(tmp_path / "own.db")
    with (
        set_testing(store=tmp_path / "test.db"),
        samekey.Client(server.url, provider="stripe-v1", store=own) as client,
    ):
        assert client.store is own
    own.close()


def test_a_variable_that_was_set_is_set_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMEKEY_STORE", "before")
    with pytest.raises(RuntimeError, match="out"), set_testing(store=tmp_path / "test.db"):
        raise RuntimeError("out")
    assert os.environ["SAMEKEY_STORE"] == "before"


def test_no_wait_takes_time_but_the_clock_has_moved(server: FlakyServer, clock: ManualClock) -> None:
    server.script(Fault.DROP_BEFORE, Fault.DROP_BEFORE)
    with impatient(server.url) as client, set_testing(clock=clock):  # it counts for a client that was there before
        action = post(client, "c-9")

    assert clock.waits == [3600, 3600]
    assert clock.wall() == datetime(2030, 1, 1, 2, tzinfo=UTC)
    assert action.record is not None
    assert action.record.created_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert action.attempts == 3


def test_attempts_are_capped_and_never_raised(server: FlakyServer, clock: ManualClock) -> None:
    server.script(*[Fault.DROP_BEFORE] * 20)
    for attempts, made in ((20, 3), (1, 1)):
        with (
            impatient(server.url, attempts=attempts) as client,
            set_testing(clock=clock, attempts=3),
            pytest.raises(samekey.OutcomeUnknownError) as caught,
        ):
            post(client, f"c-{attempts}")
        assert caught.value.attempts == made


def post(client: samekey.Client, cart: str) -> samekey.Action:
    with client.action(create_order, scope={"cart": cart}) as action:
        action.post("/orders", json={})
    return action


def test_a_window_closes_when_the_test_says_so(clock: ManualClock) -> None:
    with (
        FlakyServer(clock=clock.time) as server,
        set_testing(clock=clock, attempts=1),
        impatient(server.url) as client,
    ):
        server.script(Fault.COMMIT_THEN_DROP)
        with pytest.raises(samekey.OutcomeUnknownError):
            post(client, "c-9")
        clock.advance(timedelta(hours=25))
        with pytest.raises(samekey.NeedsReviewError, match="its key has expired"):
            post(client, "c-9")
        assert len(server.effects) == 1


def test_conditions_nest_and_the_inner_ones_end_first(tmp_path: Path, clock: ManualClock) -> None:
    inner = ManualClock()
    with set_testing(store=tmp_path / "outer.db", clock=clock):
        with set_testing(clock=inner), samekey.Client(provider="keyless") as client:
            assert client.store.location == str(tmp_path / "outer.db")
            assert client._engine.clock.wall() == inner.wall()
        assert client._engine.clock.wall() == clock.wall()
    assert client._engine.clock.wall().year < 2030


def test_a_ticking_clock_goes_by_itself_and_can_be_moved() -> None:
    clock = ManualClock(ticking=True)
    before = clock.wall(), clock.boot_time()
    clock.advance(5)
    assert timedelta(seconds=5) < clock.wall() - before[0] < timedelta(minutes=5)
    assert 5 < clock.boot_time() - before[1] < 300
    assert clock.time() == pytest.approx(clock.wall().timestamp(), abs=60)
    assert "ticking" in repr(clock)


def test_a_clock_that_cannot_be_is_refused(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="time zone"):
        ManualClock(datetime(2030, 1, 1))  # noqa: DTZ001 - the point of it
    with pytest.raises(ValueError, match="does not go back by 1 s"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="attempts=0"), set_testing(attempts=0):
        pass
