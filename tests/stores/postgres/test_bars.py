"""The bars of a shared store: killed clients, killed servers, cut connections, a failover, many at once, one that slept."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

import samekey
from samekey.stores import PostgresStore
from samekey.testing import LOST_REPLIES, FlakyServer
from tests.acceptance.matrix import KillingServer, Matrix, check_made_once
from tests.acceptance.nursery import Nursery
from tests.servers.postgres import SECONDS, Postgres
from tests.stores.postgres.scripts import connect, order

KILLS = 16


def until(condition: Callable[[], bool]) -> None:
    for _ in range(SECONDS * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


@pytest.mark.slow
def test_a_script_in_four_processes_that_are_killed_as_the_server_is_makes_every_order_once(tmp_path: Path) -> None:
    """Four times each the server is killed and started again, and all its connections are cut, while the script runs."""
    with Postgres() as postgres, KillingServer(1) as server:
        server.chaos(0.25, LOST_REPLIES)
        matrix = Matrix(server, tmp_path, seed=1, kills=KILLS, processes=4, store=postgres.url)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(matrix.run)
            for number in range(1, 9):
                wanted = number * 15
                until(lambda wanted=wanted: len(server.effects) >= wanted or running.done())  # type: ignore[misc]
                if number % 2:
                    postgres.cut()
                else:
                    postgres.kill()
                    postgres.start()
            references = running.result()
        with contextlib.closing(PostgresStore(postgres.url)) as store:
            check_made_once(server, references, store)


def test_before_the_send_it_fails_closed_and_after_the_reply_the_caller_gets_the_answer() -> None:
    with Postgres() as postgres, FlakyServer() as server, ExitStack() as stack:
        store = PostgresStore(postgres.url)
        stack.callback(store.close)
        client = stack.enter_context(connect(server.url, store))
        with ThreadPoolExecutor(1) as pool, server.hold("before_reply") as held:
            running = pool.submit(order, client, 1)
            held.wait_for(1)
            postgres.kill()
            held.release()
            reference = running.result()  # although it could not be recorded
        assert reference == server.effects[0].reference

        with (
            pytest.raises(samekey.StoreUnavailableError, match="so nothing was sent"),
            client.action("create_order", scope={"order": 2}) as action,
        ):
            action.post("/orders", json={"order": 2})
        assert len(server.requests) == 1

        postgres.start()
        assert [order(client, number) for number in (2, 1)] == [effect.reference for effect in reversed(server.effects)]
        assert len(server.effects) == 2
        assert {record.status for record in store.find()} == {samekey.Status.SUCCEEDED}


def test_a_failover_to_a_promoted_standby_loses_and_doubles_nothing() -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(Postgres(wal_level="replica", hot_standby="on"))
        standby = primary.standby("other")
        stack.callback(standby.__exit__, None, None, None)
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'other'")
        primary.execute("SELECT pg_reload_conf()")
        until(lambda: primary.execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)])
        server = stack.enter_context(FlakyServer())
        hosts = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
        store = PostgresStore(f"{hosts}?target_session_attrs=read-write")
        stack.callback(store.close)
        client = stack.enter_context(connect(server.url, store))
        first = order(client, 0)
        with ThreadPoolExecutor(1) as pool, server.hold("before_reply") as held:
            running = pool.submit(order, client, 1)
            held.wait_for(1)
            primary.kill()
            standby.promote()
            held.release()
            second = running.result()
        references = [order(client, number) for number in range(3)]
        assert references[:2] == [first, second]
        assert references == [effect.reference for effect in server.effects]
        assert [record.status for record in store.find()] == [samekey.Status.SUCCEEDED] * 3


def test_of_64_workers_on_one_action_one_sends_and_all_get_its_answer(postgres: Postgres, schema: str) -> None:
    PostgresStore(postgres.url, schema=schema).secret(None)
    with FlakyServer() as server, ExitStack() as stack:
        held = stack.enter_context(server.hold("before_reply"))
        nurseries = [stack.enter_context(Nursery()) for _ in range(2)]
        asked = (server.url, postgres.url, schema, 32)
        children = [nursery.start("tests.stores.postgres.scripts:hot", *asked) for nursery in nurseries]
        held.wait_for(1)
        until(lambda: postgres.execute(f"SELECT awaited FROM {schema}.actions") == [(True,)])
        held.release()
        answers = {child.wait() for child in children}
    assert len(server.requests) == len(server.effects) == 1
    assert answers == {(0, f"{server.effects[0].reference}\n")}


def test_who_slept_past_its_lease_makes_no_second_effect_and_overwrites_nothing(
    postgres: Postgres, schema: str, tmp_path: Path
) -> None:
    lease = 2.0
    PostgresStore(postgres.url, schema=schema).secret(None)
    with FlakyServer() as server, Nursery() as nursery, ExitStack() as stack:
        held = stack.enter_context(server.hold("before_reply", limit=1))
        asked = (server.url, postgres.url, schema, lease, 0.4)
        sleeper = nursery.start("tests.stores.postgres.scripts:one", *asked)
        held.wait_for(1)
        os.kill(sleeper.pid, signal.SIGSTOP)
        held.release()  # its reply waits for it
        try:
            # As seen from this process it is alive, for its lock is held; so only its lease ends its hold.
            store = PostgresStore(postgres.url, schema=schema)
            stack.callback(store.close)
            client = stack.enter_context(connect(server.url, store))
            assert order(client, 1) == server.effects[0].reference
            (before,) = store.find()
            assert (before.status, before.fence, before.attempts) == (samekey.Status.SUCCEEDED, 2, 2)
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
        assert sleeper.wait() == (0, f"{before.response_reference}\n")
        (after,) = store.find()
        assert after == replace(before, last_seen_at=after.last_seen_at)  # it only told that it was there
    assert len(server.effects) == 1
    assert len({seen.key for seen in server.requests}) == 1


def test_a_killed_script_can_be_run_again_at_once(postgres: Postgres, schema: str) -> None:
    """At once: its lease is an hour, and nobody waits for that."""
    PostgresStore(postgres.url, schema=schema).secret(None)
    with FlakyServer() as server, Nursery() as nursery, server.hold("before_reply", limit=1) as held:
        asked = (server.url, postgres.url, schema, 3600.0, 10)
        first = nursery.start("tests.stores.postgres.scripts:one", *asked)
        held.wait_for(1)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        held.release()
        code, said = nursery.call("tests.stores.postgres.scripts:one", *asked)
    assert (code, said) == (0, f"{server.effects[0].reference}\n")
    assert len(server.effects) == 1
