"""Several threads and processes that post the same action: one request, and everybody gets its answer."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore

import pytest

import samekey
from samekey.stores import MemoryStore, SQLiteStore, Store
from samekey.testing import FlakyServer
from tests.acceptance.nursery import Nursery
from tests.acceptance.one_action import connect, create_order, make

THREADS = 16


class Waiters(logging.Handler):
    """Counts those who wait for another run."""

    def __init__(self) -> None:
        super().__init__()
        self.count = Semaphore(0)

    def emit(self, record: logging.LogRecord) -> None:
        if record.__dict__.get("event") == "await":
            self.count.release()

    def expect(self, number: int) -> None:
        for _ in range(number):
            assert self.count.acquire(timeout=30)


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as server:
        yield server


@pytest.fixture
def waiters(caplog: pytest.LogCaptureFixture) -> Iterator[Waiters]:
    caplog.set_level(logging.INFO, "samekey")
    waiters = Waiters()
    logger = logging.getLogger("samekey")
    logger.addHandler(waiters)
    yield waiters
    logger.removeHandler(waiters)


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store: Store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "samekey.db")
    yield store
    store.close()


def post(client: samekey.Client) -> tuple[bool, int, bytes, str]:
    with client.action(create_order, scope={"order": "same"}) as action:
        response = action.post("/orders", json={"order": "same"})
    return action.replayed, response.status_code, response.content, action.reference


def test_16_threads_that_post_the_same_action_make_one_request_and_get_16_equal_answers(
    server: FlakyServer, waiters: Waiters, store: Store
) -> None:
    with (
        samekey.Client(server.url, provider="stripe-v1", store=store, verify=False) as client,
        ThreadPoolExecutor(THREADS) as pool,
        server.hold("before_reply") as held,
    ):
        futures = [pool.submit(post, client) for _ in range(THREADS)]
        held.wait_for(1)
        waiters.expect(THREADS - 1)
        held.release()
        answers = [future.result() for future in futures]

    assert len(server.requests) == len(server.effects) == 1
    assert sorted(replayed for replayed, *_ in answers) == [False] + [True] * (THREADS - 1)
    assert {answer[1:] for answer in answers} == {(201, answers[0][2], server.effects[0].reference)}


def test_threads_that_post_different_actions_do_not_wait_for_each_other(server: FlakyServer, store: Store) -> None:
    with (
        samekey.Client(server.url, provider="stripe-v1", store=store, verify=False) as client,
        ThreadPoolExecutor(THREADS) as pool,
        server.hold("before_effect") as held,
    ):
        futures = [pool.submit(make, client, f"order {number}") for number in range(THREADS)]
        held.wait_for(THREADS)
        held.release()
        references = {future.result() for future in futures}
    assert references == {effect.reference for effect in server.effects}
    assert len(references) == THREADS


def test_with_on_in_progress_raise_the_second_thread_is_told_at_once(server: FlakyServer, store: Store) -> None:
    impatient = create_order.replace(on_in_progress="raise")
    with (
        samekey.Client(server.url, provider="stripe-v1", store=store, verify=False) as client,
        ThreadPoolExecutor(1) as pool,
        server.hold("before_reply") as held,
    ):
        first = pool.submit(post, client)
        held.wait_for(1)
        with (
            pytest.raises(samekey.ActionInProgressError, match="this process has been sending it") as raised,
            client.action(impatient, scope={"order": "same"}) as action,
        ):
            action.post("/orders", json={"order": "same"})
        held.release()
        first.result()
    assert raised.value.retry_safe
    assert raised.value.retry_after is not None
    assert raised.value.retry_after >= 1
    assert len(server.requests) == 1


def test_a_waiter_whose_deadline_is_over_is_told_who_is_on_it(server: FlakyServer, store: Store) -> None:
    hasty = create_order.replace(retry=samekey.RetryPolicy(deadline=0.05))
    with (
        samekey.Client(server.url, provider="stripe-v1", store=store, verify=False) as client,
        ThreadPoolExecutor(1) as pool,
        server.hold("before_reply") as held,
    ):
        first = pool.submit(post, client)
        held.wait_for(1)
        with (
            pytest.raises(samekey.ActionInProgressError),
            client.action(hasty, scope={"order": "same"}) as action,
        ):
            action.post("/orders", json={"order": "same"})
        held.release()
        first.result()
    assert len(server.requests) == 1


def wait_for_sign(fifo: Path) -> None:
    """Blocks until the child opens the other end of the named pipe."""
    with fifo.open("rb"):
        pass


def test_of_two_processes_one_sends_and_the_other_gets_its_answer(server: FlakyServer, tmp_path: Path) -> None:
    store, fifo = str(tmp_path / "samekey.db"), tmp_path / "waiting"
    os.mkfifo(fifo)
    with Nursery() as one, Nursery() as two, server.hold("before_reply") as held:
        first = one.start("tests.acceptance.waiting_script:main", server.url, store, "same", None)
        held.wait_for(1)
        second = two.start("tests.acceptance.waiting_script:main", server.url, store, "same", str(fifo))
        wait_for_sign(fifo)
        held.release()
        answers = [first.wait(), second.wait()]
    assert len(server.requests) == 1
    assert answers == [(0, f"{server.effects[0].reference}\n")] * 2


@pytest.mark.parametrize("where", ["before_effect", "before_reply"])
def test_when_the_holder_is_killed_the_waiter_takes_over_at_once_under_the_same_key(
    server: FlakyServer, tmp_path: Path, where: str
) -> None:
    """At once: an attempt's lease is a minute, and neither the deadline nor the nursery waits so long."""
    store, fifo = str(tmp_path / "samekey.db"), tmp_path / "waiting"
    os.mkfifo(fifo)
    hold = server.hold("before_effect", limit=1) if where == "before_effect" else server.hold("before_reply", limit=1)
    with Nursery() as one, Nursery() as two, hold as held:
        first = one.start("tests.acceptance.waiting_script:main", server.url, store, "same", None)
        held.wait_for(1)
        second = two.start("tests.acceptance.waiting_script:main", server.url, store, "same", str(fifo))
        wait_for_sign(fifo)
        os.kill(first.pid, signal.SIGKILL)
        assert first.wait() == (-signal.SIGKILL, "")
        if where == "before_effect":
            held.release()  # else the server keeps saying that the key is in progress
        code, said = second.wait()
    server.wait_idle()
    assert (code, said) == (0, f"{server.effects[0].reference}\n")
    assert len(server.effects) == 1
    assert len(server.requests) >= 2
    assert len({seen.key for seen in server.requests}) == 1


def test_two_stores_on_one_file_in_one_process_wait_for_each_other(
    server: FlakyServer, waiters: Waiters, tmp_path: Path
) -> None:
    path = tmp_path / "samekey.db"
    with (
        connect(server.url, SQLiteStore(path), keyless=False) as one,
        connect(server.url, SQLiteStore(path), keyless=False) as two,
        ThreadPoolExecutor(2) as pool,
        server.hold("before_reply") as held,
    ):
        first = pool.submit(post, one)
        held.wait_for(1)
        second = pool.submit(post, two)
        waiters.expect(1)
        held.release()
        answers = [first.result(), second.result()]
    assert len(server.requests) == 1
    assert [replayed for replayed, *_ in answers] == [False, True]
