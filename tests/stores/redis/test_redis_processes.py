"""Several processes on one Redis server, which are killed, paused, cut off, and whose server is killed."""

from __future__ import annotations

import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import samekey
from samekey.stores import RedisStore
from samekey.testing import LOST_REPLIES, Delivery, Fault, FlakyServer
from tests.acceptance.matrix import KillingServer, Matrix, check_made_once
from tests.acceptance.nursery import Nursery
from tests.acceptance.one_action import create_order, make
from tests.acceptance.order_script import ACTIONS
from tests.servers.redis import RedisServer
from tests.stores.redis.workers import SHORT_LEASE, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samekey import Client

PROCESSES = 4
KILLS = 16
HARM_EVERY = 60
"""Requests between two harms that are done to the Redis server."""


@pytest.fixture
def api() -> Iterator[FlakyServer]:
    with FlakyServer() as running:
        yield running


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[RedisServer]:
    """A server for a test that harms it."""
    with RedisServer(tmp_path / "redis") as running:
        yield running


class HarmingServer(KillingServer):
    """Kills its clients, and in between the Redis server, or all connections to it."""

    def __init__(self, seed: int, harmed: RedisServer) -> None:
        super().__init__(seed)
        self.harmed = harmed
        self.harms = {"restarted": 0, "cut": 0}
        self._seen = 0

    def handle(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes, fault: Fault
    ) -> Delivery:
        with self.guard:
            self._seen += 1
            if self._seen % HARM_EVERY == 0:
                if self._seen % (2 * HARM_EVERY):
                    self.harmed.client().client_kill_filter(_type="normal")
                    self.harms["cut"] += 1
                else:
                    self.harmed.kill()
                    self.harmed.start()
                    self.harms["restarted"] += 1
        return super().handle(method, target, headers, body, fault)


def run_matrix(server: KillingServer, redis: RedisServer, folder: Path, seed: int, kills: int) -> None:
    server.chaos(0.25, LOST_REPLIES)
    matrix = Matrix(server, folder, seed=seed, kills=kills, processes=PROCESSES, store=redis.url)
    references = matrix.run()
    server.wait_idle()

    lost = set(range(ACTIONS)) - set(references)
    print(f"{sum(matrix.killed.values())} kills: {[(w.name, n) for w, n in matrix.killed.items()]}")
    print(f"{len(server.effects)} effects of {ACTIONS} orders, {len(server.requests)} requests, lost {lost}")
    assert sum(matrix.killed.values()) == kills
    assert not lost
    with contextlib.closing(RedisStore(redis.url)) as store:
        check_made_once(server, references, store)


@pytest.mark.slow
def test_processes_that_are_killed_at_instants_of_every_kind_make_every_order_once_and_lose_none(
    fragile: RedisServer, tmp_path: Path, seed: int
) -> None:
    with KillingServer(seed) as server:
        run_matrix(server, fragile, tmp_path, seed, KILLS)


@pytest.mark.slow
def test_so_do_they_when_the_redis_server_is_killed_and_its_connections_are_cut(
    fragile: RedisServer, tmp_path: Path, seed: int
) -> None:
    with HarmingServer(seed, fragile) as server:
        run_matrix(server, fragile, tmp_path, seed, 5)
        print(server.harms)
        assert server.harms["restarted"] > 0
        assert server.harms["cut"] > 0


def test_64_workers_on_one_action_make_one_request(api: FlakyServer, clean_server: RedisServer) -> None:
    with ExitStack() as stack:
        children = [
            stack.enter_context(Nursery()).start("tests.stores.redis.workers:one_of", api.url, clean_server.url, 16)
            for _ in range(4)
        ]
        told = [line for child in children for line in child.wait()[1].splitlines()]
    assert len(api.requests) == len(api.effects) == 1
    assert told == [api.effects[0].reference] * 64


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def until(condition: Any) -> None:
    """Looks until it is so."""
    while not condition():
        os.sched_yield()


@pytest.mark.parametrize("where", ["after_claim", "before_settle"])
def test_a_worker_that_is_paused_past_its_lease_makes_no_second_effect_and_overwrites_nothing(
    api: FlakyServer, clean_server: RedisServer, where: str
) -> None:
    store = RedisStore(clean_server.url, lease=SHORT_LEASE)
    with Nursery() as nursery, contextlib.closing(store), connect(api.url, store) as client:
        child = nursery.start("tests.stores.redis.workers:paused", api.url, clean_server.url, where)
        until(lambda: is_stopped(child.pid))
        (left,) = store.find()
        assert left.lease_expires_at is not None
        until(lambda: datetime.now(UTC) > left.lease_expires_at + timedelta(seconds=0.01))
        mine = make(client, "paused")
        (settled,) = store.find()
        os.kill(child.pid, signal.SIGCONT)
        code, said = child.wait()
        (after,) = store.find()
    assert code == 0
    assert mine == settled.response_reference == api.effects[0].reference
    assert said.splitlines() == ["stopping", mine]
    assert len(api.effects) == 1
    assert (after.status, after.response_reference, after.fence) == (samekey.Status.SUCCEEDED, mine, 2)
    if where == "after_claim":
        assert len(api.requests) == 1  # the one that woke up late sent nothing


def post(client: Client, order: str) -> samekey.Action:
    with client.action(create_order, scope={"order": order}) as action:
        action.post("/orders", json={"order": order})
    return action


def test_without_its_server_nothing_is_sent(api: FlakyServer, fragile: RedisServer) -> None:
    with contextlib.closing(RedisStore(fragile.url)) as store, connect(api.url, store) as client:
        post(client, "one")
        fragile.kill()
        with pytest.raises(samekey.StoreUnavailableError, match=r"did not answer|cannot be reached") as raised:
            post(client, "two")
        assert raised.value.retry_safe
        assert len(api.requests) == 1
        fragile.start()
        assert not post(client, "two").replayed
    assert len(api.effects) == len(api.requests) == 2


def test_a_server_that_dies_while_the_request_is_out_costs_the_caller_nothing(
    api: FlakyServer, fragile: RedisServer
) -> None:
    with contextlib.closing(RedisStore(fragile.url)) as store, connect_slowly(api.url, store) as client:
        with ThreadPoolExecutor(1) as pool, api.hold("before_reply") as held:
            future = pool.submit(post, client, "one")
            held.wait_for(1)
            fragile.kill()
            held.release()
            reference = future.result().reference
        assert reference == api.effects[0].reference
        fragile.start()
        assert post(client, "two").reference != reference
        records = store.find()
        assert [record.status for record in records] == [samekey.Status.SUCCEEDED] * 2
        assert post(client, "one").reference == reference
    assert len(api.effects) == len(api.requests) == 2


def connect_slowly(url: str, store: RedisStore) -> Client:
    return samekey.Client(url, window=timedelta(days=1), store=store, timeout=10, verify=False)


def test_cut_connections_are_not_noticed(api: FlakyServer, clean_server: RedisServer) -> None:
    with contextlib.closing(RedisStore(clean_server.url)) as store, connect(api.url, store) as client:
        for order in ("one", "two", "three"):
            post(client, order)
            clean_server.client().client_kill_filter(_type="normal")
        assert len(store.find(statuses={samekey.Status.SUCCEEDED})) == 3
    assert len(api.requests) == 3
