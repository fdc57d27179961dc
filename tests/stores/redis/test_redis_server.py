"""What the Redis store makes of its server: what it refuses, what it declares, what it loses, and where its keys are."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from samekey._core.states import Move
from samekey._core.verbs import Claim, Claimed, Settled
from samekey.errors import StoreFormatError, StoreUnavailableError, UsageError
from samekey.stores import RedisStore, _redis_calls, open_store
from tests.servers.redis import RedisServer
from tests.stores.builders import claimed, done, record, renewal, seen, settlement, stored

# --- what the server promises --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"appendonly": "no"}, "no append-only file"),
        ({"maxmemory_policy": "allkeys-lru"}, "evicts keys when its memory is full"),
        ({"maxmemory_policy": "volatile-ttl"}, "evicts keys when its memory is full"),
        ({"appendonly": "no", "rename_command": "CONFIG ''"}, "no append-only file"),
    ],
)
def test_a_server_that_can_forget_is_refused_unless_that_is_wanted(
    tmp_path: Path, settings: dict[str, str], why: str
) -> None:
    with RedisServer(tmp_path, **settings) as server:
        with pytest.raises(StoreFormatError, match=why) as raised:
            RedisStore(server.url).secret(None)
        assert "allow_volatile=True" in str(raised.value)
        assert server.client().dbsize() == 0
        with contextlib.closing(RedisStore(server.url, allow_volatile=True)) as store:
            assert len(store.secret(None)) == 32
            assert not store.claim_durable


@pytest.mark.parametrize(
    ("settings", "durable"),
    [
        ({}, True),
        ({"appendfsync": "everysec"}, False),
        ({"appendfsync": "no"}, False),
        ({"rename_command": "CONFIG ''"}, False),  # as managed servers do; when they sync cannot be known then
    ],
)
def test_r17_it_declares_what_its_server_does(tmp_path: Path, settings: dict[str, str], durable: bool) -> None:
    with RedisServer(tmp_path, **settings) as server, contextlib.closing(RedisStore(server.url)) as store:
        assert store.claim_durable is durable
        assert isinstance(store.claim(Claim(record(store))), Claimed)


def test_r17_where_a_replica_could_take_over_claims_are_not_durable_and_the_replica_itself_is_refused(
    tmp_path: Path,
) -> None:
    with RedisServer(tmp_path / "a") as primary, RedisServer(tmp_path / "b") as replica:
        replica.client().replicaof("127.0.0.1", primary.port)
        while replica.client().info("replication")["master_link_status"] != "up":
            os.sched_yield()
        with contextlib.closing(RedisStore(primary.url)) as store:
            assert not store.claim_durable
        with pytest.raises(StoreUnavailableError, match="is a replica"):
            RedisStore(replica.url).secret(None)


def test_a_claim_survives_that_the_server_is_killed(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, contextlib.closing(RedisStore(server.url)) as store:
        row = claimed(store)
        server.kill()
        server.start()
        assert stored(store) == row


# --- passwords, options --------------------------------------------------------------------------------------


def test_no_password_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with RedisServer(tmp_path, requirepass="hunter2") as server:
        for url in (
            f"redis://:hunter2@127.0.0.1:{server.port}/0",
            f"valkey://default:hunter2@127.0.0.1:{server.port}/0?socket_timeout=3",
        ):
            with contextlib.closing(RedisStore(url)) as store:
                assert store.find() == []
                assert "hunter2" not in repr(store) + store.location + repr(vars(store))
                assert "socket_timeout" not in store.location
        with contextlib.closing(RedisStore({"host": "127.0.0.1", "port": server.port, "password": "hunter2"})) as store:
            assert store.find() == []
            assert store.location == f"redis://127.0.0.1:{server.port}/0"
        for wrong in ("redis://127.0.0.1", "redis://:hunter3@127.0.0.1"):
            with pytest.raises(StoreUnavailableError, match="password") as raised:
                RedisStore(f"{wrong}:{server.port}/0").secret(None)
            assert "hunter" not in str(raised.value)
    assert "hunter" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis:///0",
        "redis://host:port/0",
        "redis://user:hunter2@host/zero",
        "redis://host:0/0",
        "rediss://user:hunter2@host?ssl_check_hostname=hunter2&nonsense=hunter2",
        "mysql://user:hunter2@host/db",
    ],
)
def test_a_wrong_url_is_a_usage_error_without_its_password(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        open_store(url).secret(None)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["redis://host/1", "rediss://host", "valkey://host:7000", "valkeys://user:hunter2@host"]
)
def test_urls_of_all_kinds_name_a_redis_store(url: str) -> None:
    store = open_store(url)
    assert isinstance(store, RedisStore)
    assert store.location == url.replace("user:hunter2@", "")


def test_tls_options_are_passed_through(tmp_path: Path) -> None:
    store = RedisStore(f"rediss://127.0.0.1:1/0?ssl_ca_certs={tmp_path / 'missing.pem'}")
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        store.secret(None)


def test_samekey_does_not_import_redis_and_without_it_the_extra_is_named() -> None:
    code = """
import sys, samekey, samekey.stores
assert not {"redis", "samekey.stores.redis"} & set(sys.modules)
sys.modules["redis"] = None
try:
    samekey.stores.open_store("redis://host")
except samekey.UsageError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "samekey[redis]"' in ran.stdout


# --- secrets, and stores that vanish -------------------------------------------------------------------------


def test_a_given_secret_stays_away_from_the_server(clean_server: RedisServer) -> None:
    given = b"a secret of the fleet, long enough"
    RedisStore(clean_server.url).secret(given)
    answers: Any = clean_server.client().hgetall("{samekey}:meta")
    held = b"".join(answers.values())
    assert given not in held
    assert given.hex().encode() not in held
    with pytest.raises(StoreFormatError, match="SAMEKEY_SECRET"):
        RedisStore(clean_server.url).secret(None)
    assert RedisStore(clean_server.url).find() == []  # who only looks need not know it


@pytest.mark.parametrize("reopened", [False, True])
def test_a_store_that_vanishes_while_it_is_in_use_is_refused(
    store: RedisStore, clean_server: RedisServer, reopened: bool
) -> None:
    row = claimed(store)
    clean_server.client().flushall()
    if reopened:
        store.close()
    for verb in (
        lambda: store.claim(Claim(record(store, "another"))),
        lambda: store.settle(settlement(row)),
        lambda: store.get("identity-c-9"),
    ):
        with pytest.raises(StoreFormatError, match="has vanished"):
            verb()
    assert clean_server.client().dbsize() == 0


def test_records_without_what_tells_their_secret_are_damage(store: RedisStore, clean_server: RedisServer) -> None:
    claimed(store)
    clean_server.client().delete("{samekey}:meta")
    with pytest.raises(StoreFormatError, match="is damaged"):
        RedisStore(clean_server.url).secret(None)


def test_a_newer_store_is_refused(store: RedisStore, clean_server: RedisServer) -> None:
    clean_server.client().hset("{samekey}:meta", "schema", "2")
    with pytest.raises(StoreFormatError, match="upgrade samekey"):
        RedisStore(clean_server.url).secret(None)


def test_keys_of_another_program_are_refused(clean_server: RedisServer) -> None:
    clean_server.client().set("{samekey}:meta", "theirs")
    with pytest.raises(StoreFormatError, match="another program"):
        RedisStore(clean_server.url).secret(None)
    assert clean_server.client().get("{samekey}:meta") == b"theirs"


def test_an_unsettled_record_that_was_evicted_is_damage(store: RedisStore, clean_server: RedisServer) -> None:
    row = claimed(store)
    clean_server.client().delete(f"{{samekey}}:body:{row.identity}")
    with pytest.raises(StoreFormatError, match="noeviction"):
        store.claim(Claim(record(store, claim_nonce="another")))


def test_another_prefix_is_another_store(store: RedisStore, clean_server: RedisServer) -> None:
    claimed(store)
    with contextlib.closing(RedisStore(clean_server.url, prefix="other")) as other:
        assert other.find() == []
        assert other.location.endswith("#other")
        assert isinstance(other.claim(Claim(record(other))), Claimed)
    assert len(store.find()) == 1


def test_a_forked_child_has_connections_and_a_holder_of_its_own(store: RedisStore) -> None:
    row = claimed(store)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            found = store.get(row.identity)
            told = f"{store.holder != row.holder} {found is not None and found.alive} {found is not None and found.own}"
            os.write(writer, told.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 99) == b"True True False"
    assert isinstance(store.settle(settlement(row)), Settled)


# --- lost answers --------------------------------------------------------------------------------------------


def test_a_claim_whose_answer_was_lost_is_made_again_and_finds_itself_done(store: RedisStore) -> None:
    """The connection is cut when the server has run the script and before the answer is read."""
    link = store._link
    make = link.target.connection
    lost: list[int] = []

    def losing() -> Any:
        connection = make()
        read = connection.read_response

        def read_response(*arguments: Any, **options: Any) -> Any:
            answer = read(*arguments, **options)
            if not lost and answer == _redis_calls.OK:
                lost.append(1)
                connection.disconnect()
                raise link.target.errors.ConnectionError("cut")
            return answer

        connection.read_response = read_response
        return connection

    link.close()
    link.target.connection = losing  # type: ignore[method-assign]
    row = record(store)
    assert store.claim(Claim(row)) == Claimed(row)
    assert lost == [1]
    assert store.find() == [row]


def test_a_claim_that_no_server_confirms_is_uncertain_and_no_task_runs(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, contextlib.closing(RedisStore(server.url)) as store:
        row = record(store)
        store.secret(None)
        server.kill()
        with pytest.raises(StoreUnavailableError) as raised:
            store.claim(Claim(row))
        assert raised.value.uncertain
        server.start()
        assert store.find() == []
        with contextlib.closing(RedisStore({"host": "127.0.0.1", "port": 1})) as nowhere:
            with pytest.raises(StoreUnavailableError, match="cannot be reached") as raised:
                nowhere.secret(None)
            assert not raised.value.uncertain


# --- clusters ------------------------------------------------------------------------------------------------


def test_every_script_touches_keys_of_one_slot(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    touched: list[list[bytes]] = []
    ask = store._link.ask

    def watched(call: Any, so: str) -> Any:
        words = call.packed(whole=False).split(b"\r\n")[2::2]
        touched.append(words[3 : 3 + int(words[2])] if call.script is not None else [])
        return ask(call, so)

    monkeypatch.setattr(store._link, "ask", watched)
    row = done(store, move=Move.REFUSAL)
    second = record(store, generation=2, fence=2, request_fingerprint="1:other")
    store.claim(Claim(second, replaces=seen(row), duplicates_since=row.created_at))
    store.renew(renewal(second, store))
    store.find()
    store.purge(datetime.now(UTC) + timedelta(days=9), limit=9)
    assert max(map(len, touched)) >= 12
    for keys in filter(None, touched):
        assert len({key_slot(name) for name in keys}) == 1, keys


def test_on_a_cluster_the_store_is_found_on_whichever_node_has_it(tmp_path: Path) -> None:
    settings = {"cluster_enabled": "yes"}
    with RedisServer(tmp_path / "a", **settings) as one, RedisServer(tmp_path / "b", **settings) as two:
        ask: Any = one.client().execute_command
        ask_other: Any = two.client().execute_command
        ask("CLUSTER", "MEET", "127.0.0.1", two.port)
        mine = key_slot(b"{samekey}:meta")
        ask_other("CLUSTER", "ADDSLOTS", mine)
        others = [slot for slot in range(16_384) if slot != mine]
        ask("CLUSTER", "ADDSLOTS", *others)
        for each in (ask, ask_other):
            while b"cluster_state:ok" not in each("CLUSTER", "INFO"):
                os.sched_yield()
        with contextlib.closing(RedisStore(one.url)) as store:
            row = done(store)
            assert store.find() == [row]
            assert not store.claim_durable
        assert one.client().dbsize() == 0
        assert two.client().dbsize() > 0
