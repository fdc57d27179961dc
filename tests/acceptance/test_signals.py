"""Real signals in the middle of a real request: the record says what is true, and the rerun brings the answer."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import samekey
from samekey.stores import SQLiteStore
from samekey.testing import FlakyServer
from tests.acceptance.nursery import Nursery
from tests.acceptance.one_action import connect, create_order, make

SIGNALS = {signal.SIGINT: ("KeyboardInterrupt", -signal.SIGINT), signal.SIGTERM: ("SystemExit", 143)}


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as server:
        yield server


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("where", ["before_effect", "before_reply"])
def test_a_signal_in_mid_request_ends_the_script_and_the_rerun_gets_the_answer(
    server: FlakyServer, tmp_path: Path, number: signal.Signals, where: str
) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    name, expected = SIGNALS[number]
    hold = server.hold("before_effect") if where == "before_effect" else server.hold("before_reply")
    with Nursery() as nursery, hold as held:
        child = nursery.start("tests.acceptance.signal_script:main", server.url, store.location, "order", False)
        held.wait_for(1)
        os.kill(child.pid, number)
        code, said = child.wait()
        assert code == expected
        assert said.startswith(f"{name} create_order(order='order'): sent once without a usable answer")
        assert "run it again before" in said
        with connect(server.url, store, keyless=False) as client:
            record = client.record(create_order, scope={"order": "order"})
    server.wait_idle()
    assert record is not None
    assert (record.status, record.open_attempts) == (samekey.Status.UNKNOWN, 1)
    assert record.error_summary in {"interrupted by Ctrl-C", "interrupted by exit"}

    with connect(server.url, store, keyless=False) as client:
        assert make(client, "order") == server.effects[0].reference
    assert len(server.effects) == 1
    store.close()


@pytest.mark.parametrize("number", SIGNALS)
def test_without_keys_a_signal_in_mid_request_leaves_a_review(
    server: FlakyServer, tmp_path: Path, number: signal.Signals
) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    with Nursery() as nursery, server.hold("before_reply") as held:
        child = nursery.start("tests.acceptance.signal_script:main", server.url, store.location, "order", True)
        held.wait_for(1)
        os.kill(child.pid, number)
        code, said = child.wait()
    assert code == SIGNALS[number][1]
    assert "it is not sent again" in said
    with connect(server.url, store, keyless=True) as client:
        assert make(client, "order") == "NeedsReviewError"
    assert len(server.effects) == len(server.requests) == 1
    store.close()


def test_a_signal_between_two_attempts_ends_the_wait(server: FlakyServer, tmp_path: Path) -> None:
    """The handler runs in the sleep before the second attempt, in the process that waits."""
    store = SQLiteStore(tmp_path / "samekey.db")

    signals = [signal.SIGINT]

    def wait(_state: object) -> float:
        if signals:
            signal.raise_signal(signals.pop())
        return 30.0

    patient = create_order.replace(retry=samekey.RetryPolicy(wait=wait))
    server.close()  # connections are refused
    with connect(server.url, store, keyless=False) as client:
        with pytest.raises(KeyboardInterrupt), client.action(patient, scope={"order": "order"}) as action:
            action.post("/orders", json={"order": "order"})
        record = client.record(create_order, scope={"order": "order"})
        assert record is not None
        assert record.status is samekey.Status.PENDING
        server.start()
        assert make(client, "order") == server.effects[0].reference
    assert len(server.requests) == 1
    store.close()
