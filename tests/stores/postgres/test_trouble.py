"""Connections that break, answers that are lost, poolers, listeners, forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import samekey
from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Claimed, Existing, Renewed, Settled
from samekey.stores import PostgresStore
from samekey.stores._postgres_common import Patience
from tests.servers.postgres import SECONDS, Postgres
from tests.stores.builders import at, claimed, done, record, renewal, settlement, stored
from tests.stores.postgres.proxy import Proxy


@pytest.fixture
def make(postgres: Postgres, schema: str) -> Iterator[Callable[..., PostgresStore]]:
    with ExitStack() as stack:

        def make(url: str = postgres.url, **options: Any) -> PostgresStore:
            store = PostgresStore(url, schema=schema, **options)
            stack.callback(store.close)
            store.secret(None)
            return store

        yield make


@pytest.fixture
def elsewhere(
    make: Callable[..., PostgresStore], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., PostgresStore]:
    """Makes a store as another container of this machine has it: it sees other locks."""

    def elsewhere(**options: Any) -> PostgresStore:
        with monkeypatch.context() as patched:
            patched.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
            return make(**options)

    return elsewhere


def until(condition: Callable[[], bool]) -> None:
    for _ in range(SECONDS * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


# --- connections ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["claim", "renew", "settle", "find", "resend"])
def test_a_connection_that_was_cut_while_idle_is_not_noticed(
    make: Callable[..., PostgresStore], postgres: Postgres, verb: str
) -> None:
    store = make(pool=4)
    row = claimed(store)
    threads = [threading.Thread(target=store.find) for _ in range(4)]  # so that there are several idle ones
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    postgres.cut(wait=True)
    match verb:
        case "claim":
            assert store.claim(Claim(record(store, "next"))) == Claimed(record(store, "next"))
        case "renew":
            assert isinstance(store.renew(renewal(row, store)), Renewed)
        case "resend":
            assert isinstance(store.renew(renewal(row, store, new_fence=1, nonce=row.claim_nonce)), Renewed)
        case "settle":
            assert isinstance(store.settle(settlement(row)), Settled)
        case _:
            assert store.find() == [row]


def through(proxy: Proxy) -> str:
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?connect_timeout=2"


@pytest.mark.parametrize("verb", ["claim", "take over", "resend", "settle"])
def test_what_happened_though_its_answer_was_lost_is_asked_again_and_happens_once(
    make: Callable[..., PostgresStore], postgres: Postgres, verb: str
) -> None:
    with Proxy(postgres.port) as proxy:
        store = make(through(proxy))
        row = claimed(store)
        if verb == "claim":
            proxy.lose_answer_to(b"INSERT INTO", for_good=False)
            asked = record(store, "next")
            assert store.claim(Claim(asked)) == Claimed(asked)
            assert len(store.find()) == 2
        elif verb == "settle":
            proxy.lose_answer_to(b"UPDATE", for_good=False)
            assert store.settle(settlement(row)) == Settled(stored(store))
            assert stored(store).status is Status.SUCCEEDED
        else:
            proxy.lose_answer_to(b"UPDATE", for_good=False)
            own = {"new_fence": 1, "nonce": row.claim_nonce} if verb == "resend" else {}
            assert store.renew(renewal(row, store, **own)) == Renewed(stored(store))
            assert stored(store).attempts == 2
            assert len(store.events(row.idempotency_key)) == 1
        store.close()


@pytest.mark.parametrize("verb", ["claim", "note"])
def test_a_commit_whose_answer_is_lost_for_good_is_told_as_uncertain(
    make: Callable[..., PostgresStore], postgres: Postgres, verb: str
) -> None:
    direct = make()
    with Proxy(postgres.port) as proxy:
        store = make(through(proxy))
        row = claimed(store)
        proxy.lose_answer_to(b"INSERT INTO", for_good=True)
        with pytest.raises(samekey.StoreUnavailableError) as raised:
            if verb == "claim":
                store.claim(Claim(record(store, "next")))
            else:
                store.note(row, samekey._core.model.Event(at(1), "replay"))
        assert raised.value.uncertain
        if verb == "claim":
            until(lambda: direct.get("identity-next") is not None)
            existing = direct.get("identity-next")
            assert existing is not None
            assert not existing.alive  # no task stands behind it
        store.close()


def test_before_anything_was_asked_nothing_is_uncertain(make: Callable[..., PostgresStore]) -> None:
    with Postgres() as server:
        store = make(server.url)
        row = claimed(store)
        server.kill()
        with pytest.raises(samekey.StoreUnavailableError):
            store.claim(Claim(record(store, "next")))  # on a connection that it took for a good one
        with pytest.raises(samekey.StoreUnavailableError, match=r"refused.*so nothing was sent") as raised:
            store.claim(Claim(record(store, "next")))
        assert not raised.value.uncertain
        server.start()
        assert store.find() == [row]
        store.close()


def test_each_verb_finds_its_way_on_a_session_of_its_own(
    make: Callable[..., PostgresStore], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler in transaction mode lends another session each time, and no statement prepared in an earlier one."""
    store = make(prepare=False)
    sessions: set[int] = set()
    pool = store._link._open()
    put = pool.putconn

    def put_and_close(connection: Any) -> None:
        sessions.add(connection.info.backend_pid)
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        assert connection.execute(held).fetchone() == (0,)
        connection.close()
        put(connection)

    monkeypatch.setattr(pool, "putconn", put_and_close)
    row = done(store, move=Move.REFUSAL)
    asked = Claim(record(store, "other", request_fingerprint="1:same"), duplicates_since=at(0), refuse_duplicates=True)
    assert isinstance(store.claim(asked), Claimed)
    assert isinstance(store.renew(renewal(asked.record, store)), Renewed)
    for _ in range(8):
        assert store.find(key_prefix=row.idempotency_key) == [row]
    store.purge(at(90_000), limit=5)
    assert len(sessions) >= 13


@pytest.mark.parametrize("pooler", [False, True])
def test_statements_are_prepared_unless_a_pooler_lies_between(
    make: Callable[..., PostgresStore], monkeypatch: pytest.MonkeyPatch, pooler: bool
) -> None:
    if pooler:  # one announces the number of a process that is not the one that answers
        monkeypatch.setattr("samekey.stores._postgres_link._PID", "SELECT pg_backend_pid() + 1")
    store = make(pool=1)
    for number in range(8):
        done(store, str(number))
    pool = store._link._open()
    with pool.connection() as connection:
        count = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert count is not None
    assert (count[0] >= 2) is not pooler


def test_a_child_opens_anew_under_another_name(make: Callable[..., PostgresStore]) -> None:
    store = make()
    row = claimed(store)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        existing = store.get(row.identity)
        os.write(writer, f"{store.holder} {existing is not None and existing.alive}".encode())
        store.close()
        os._exit(0)
    os.waitpid(child, 0)
    holder, alive = os.read(reader, 1000).decode().split()
    os.close(reader)
    os.close(writer)
    assert holder != store.holder
    assert alive == "True"
    assert store.get(row.identity) == Existing(row, alive=True, own=True, high_water=row.created_at)


def test_two_claims_of_one_payload_see_each_other(make: Callable[..., PostgresStore]) -> None:
    stores = [make() for _ in range(2)]
    answers: list[str] = []

    def claim(store: PostgresStore, name: str) -> None:
        row = record(store, name, request_fingerprint="1:same")
        answer = store.claim(Claim(row, duplicates_since=at(-1), refuse_duplicates=True))
        answers.append(type(answer).__name__)

    threads = [threading.Thread(target=claim, args=(stores[number % 2], str(number))) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["Claimed"] + ["DuplicateFound"] * 15


# --- other hosts ---------------------------------------------------------------------------------------------


def test_of_a_holder_elsewhere_only_the_lease_tells(
    make: Callable[..., PostgresStore], elsewhere: Callable[..., PostgresStore], postgres: Postgres, schema: str
) -> None:
    here, there = make(), elsewhere()
    assert here.holder != there.holder
    row = claimed(there)
    there.release(row.identity, row.generation, row.fence)
    existing = here.get(row.identity)
    assert existing is not None
    assert existing.alive
    assert existing.by_store is not None
    assert 0 < (existing.by_store.lease_left or 0) <= 60
    # Whatever the hosts' own clocks say: the lease is over when the store's clock says so.
    postgres.execute(f"UPDATE {schema}.actions SET lease_until = now() - interval '1 second'")
    existing = here.get(row.identity)
    assert existing is not None
    assert existing.by_store is not None
    assert (existing.by_store.lease_left or 0) < 0


def changed_elsewhere(
    make: Callable[..., PostgresStore],
    elsewhere: Callable[..., PostgresStore],
    monkeypatch: pytest.MonkeyPatch,
    between: Callable[[PostgresStore], None],
) -> None:
    here, there = make(), elsewhere()
    row = claimed(there)
    existing = here.get(row.identity)
    assert existing is not None
    monkeypatch.setattr(Patience, "next", lambda _self, *, hearing: 600.0 if hearing else 0.01)
    waiter = threading.Thread(target=here.wait, args=(existing, 600))
    waiter.start()
    until(lambda: here._listener.hearing)
    between(here)
    there.settle(settlement(row))
    waiter.join(SECONDS)
    assert not waiter.is_alive()
    here.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "samekey-listen"]


def test_who_waits_is_told(
    make: Callable[..., PostgresStore], elsewhere: Callable[..., PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_elsewhere(make, elsewhere, monkeypatch, lambda _: None)


def test_who_waits_is_told_after_the_listening_connection_was_cut(
    make: Callable[..., PostgresStore],
    elsewhere: Callable[..., PostgresStore],
    monkeypatch: pytest.MonkeyPatch,
    postgres: Postgres,
) -> None:
    def cut(here: PostgresStore) -> None:
        before = listening(postgres)
        postgres.cut()
        until(lambda: bool(listening(postgres) - before) and here._listener.hearing)

    changed_elsewhere(make, elsewhere, monkeypatch, cut)


def listening(postgres: Postgres) -> set[int]:
    return {row[0] for row in postgres.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")}


def test_without_a_listener_the_row_is_looked_at(
    make: Callable[..., PostgresStore], elsewhere: Callable[..., PostgresStore], postgres: Postgres
) -> None:
    here, there = make(listen=False), elsewhere()
    row = claimed(there)
    existing = here.get(row.identity)
    assert existing is not None
    waiter = threading.Thread(target=here.wait, args=(existing, 600))
    waiter.start()
    there.settle(settlement(row))
    waiter.join(SECONDS)
    assert not waiter.is_alive()
    assert here._listener._thread is None
