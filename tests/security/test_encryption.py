"""Encryption at rest: requests and answers, for every store alike; a wrong key changes nothing."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import keyring
import pytest
from keyring.backend import KeyringBackend

import samekey
from samekey._core.model import changed
from samekey._core.verbs import Claim
from samekey.cli.app import run
from samekey.stores import (
    AsyncMemoryStore,
    AsyncSQLiteStore,
    EncryptedAsyncStore,
    EncryptedStore,
    MemoryStore,
    SQLiteStore,
    encrypted,
)
from samekey.stores._vault import Vault
from samekey.testing import Fault, FlakyServer, StoreContract
from tests.client.conftest import ONCE, Connect, create_order, known, post
from tests.client.test_secrets_at_rest import stored_bytes
from tests.stores import builders
from tests.stores.builders import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from samekey.stores import AsyncStore, Store

OLD, NEW = "b2xkLWtleS1vbGQta2V5LW9sZC1rZXktb2xkLWtleS0=", "bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleS0="
BODY = {"iban": "s3cret-payload"}
VARIABLE = "SAMEKEY_ENCRYPTION_KEY"


class TestEncryptedMemoryStore(StoreContract):
    shares_data = False

    @pytest.fixture
    def make_store(self) -> Callable[[], Store]:
        return lambda: EncryptedStore(MemoryStore(), NEW)


class TestEncryptedAsyncStore(StoreContract):
    @pytest.fixture
    def make_store(self) -> Callable[[], AsyncStore]:
        records = MemoryStore()
        return lambda: EncryptedAsyncStore(AsyncMemoryStore(inner=records), NEW)


class TestEncryptedSQLiteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: EncryptedStore(SQLiteStore(tmp_path / "made" / "samekey.db"), [NEW, OLD])


class TestEncryptedAsyncSQLiteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], AsyncStore]:
        return lambda: EncryptedAsyncStore(AsyncSQLiteStore(tmp_path / "made" / "samekey.db"), NEW)


def unanswered(server: FlakyServer, client: samekey.Client, order: int = 1) -> None:
    server.script(Fault.DROP_BEFORE)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, order, json=BODY)


def test_neither_a_request_nor_an_answer_is_readable_at_rest(server: FlakyServer, connect: Connect, path: Path) -> None:
    client = connect(retry=ONCE, encryption=NEW)
    unanswered(server, client, 1)
    post(client, 2, json=BODY)  # the server's answer has what it was sent
    client.close()
    found = stored_bytes(path)
    assert b"s3cret" not in found
    assert b"application/json" not in found
    assert NEW.encode() not in found

    client = connect(retry=ONCE, encryption=NEW)
    assert post(client, 1, json=BODY).recovered
    with client.action(create_order, scope={"order": 2}) as action:
        response = action.post("/orders", json=BODY)
    assert action.replayed
    assert "s3cret-payload" in response.text
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("key", [None, OLD])
@pytest.mark.parametrize("settled", [True, False])
def test_without_its_key_nothing_is_sent_and_nothing_changes(
    server: FlakyServer, connect: Connect, path: Path, key: str | None, settled: bool
) -> None:
    client = connect(retry=ONCE, encryption=NEW)
    if settled:
        post(client, json=BODY)
    else:
        unanswered(server, client)
    before = known(client)
    client.close()
    requests = len(server.requests)

    client = connect(retry=ONCE, encryption=key)
    for order in (1, 2):  # nor is a new action stored in the clear, or under another key
        with pytest.raises(samekey.StoreFormatError, match="SAMEKEY_ENCRYPTION_KEY"):
            post(client, order, json=BODY)
    with pytest.raises(samekey.StoreFormatError, match="is not here"):
        client.recover()
    client.close()

    assert len(server.requests) == requests
    client = connect(encryption=NEW)
    assert known(client) == before
    assert client.record(create_order, scope={"order": 2}) is None


def test_what_was_stored_before_the_encryption_stays_readable(server: FlakyServer, connect: Connect) -> None:
    client = connect(retry=ONCE)
    unanswered(server, client, 1)
    post(client, 2, json=BODY)
    client.close()
    client = connect(retry=ONCE, encryption=NEW)
    assert post(client, 2, json=BODY).replayed
    assert post(client, 1, json=BODY).recovered
    assert "s3cret" not in str(known(client, 1))


def test_an_old_key_behind_the_new_one_still_reads(
    server: FlakyServer, connect: Connect, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(retry=ONCE, encryption=OLD)
    unanswered(server, client)
    client.close()
    monkeypatch.setenv(VARIABLE, f"{NEW}, {OLD}")
    client = connect(retry=ONCE)
    assert post(client, json=BODY).recovered
    post(client, 2, json=BODY)
    client.close()

    monkeypatch.setenv(VARIABLE, NEW)
    assert post(connect(), 2, json=BODY).replayed


def test_a_row_without_its_key_is_refused_also_when_it_is_not_the_newest(server: FlakyServer, connect: Connect) -> None:
    client = connect(retry=ONCE, encryption=OLD)
    post(client, 1, json=BODY)
    unanswered(server, client, 2)
    client.close()
    client = connect(encryption=[NEW, OLD])
    for order in range(3, 12):
        post(client, order, json=BODY)
    client.close()
    client = connect(encryption=NEW)
    post(client, 12, json=BODY)
    requests = len(server.requests)
    for order in (1, 2):
        with pytest.raises(samekey.StoreFormatError, match="encrypted with a key that is not here"):
            post(client, order, json=BODY)
    assert len(server.requests) == requests
    stats = client.stats()  # to count, nothing is decrypted
    assert (stats.actions, stats.succeeded, stats.open_unknowns, stats.writes) == (12, 11, 1, 11)


@pytest.mark.parametrize("part", ["frozen_request", "response_body"])
def test_what_is_encrypted_cannot_be_put_in_another_place(part: str) -> None:
    store, vault = MemoryStore(), Vault(NEW)
    one = record(store, "a", frozen_request=b"{1", response_body=b"1", response_headers=(("etag", "1"),))
    other = record(store, "b", frozen_request=b"{2", response_body=b"2", response_headers=(("etag", "2"),))
    mixed = changed(vault.sealed(other), {part: getattr(vault.sealed(one), part)})
    with pytest.raises(samekey.StoreFormatError, match="not what is there now"):
        vault.opened(mixed)
    damaged = changed(vault.sealed(one), {"frozen_request": (vault.sealed(one).frozen_request or b"")[:-8]})
    with pytest.raises(samekey.StoreFormatError, match="not what is there now"):
        vault.opened(damaged)
    assert vault.opened(vault.sealed(one)) == one


def test_no_key_is_shown_or_pickled(connect: Connect) -> None:
    client = connect(encryption=[NEW, OLD])
    store = client.store
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Vault(NEW))
    with pytest.raises(samekey.UsageError) as raised:
        connect(encryption="s3cret-that-is-no-key")
    shown = f"{store!r} {client!r} {raised.value!r} {vars(raised.value)}"
    assert not [secret for secret in (NEW, OLD, "s3cret") if secret in shown]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("nonsense", "32 bytes in URL-safe base64"),
        ("", "has no key"),
        ([], "has no key"),
        ([3], "takes a key"),
        (b"\xff", "32 bytes in URL-safe base64"),
    ],
)
def test_what_is_no_key_is_told_before_anything_is_made(path: Path, connect: Connect, keys: Any, told: str) -> None:
    with pytest.raises(samekey.UsageError, match=told):
        connect(encryption=keys)
    assert not path.exists()


class Ring(KeyringBackend):
    priority = 1

    def __init__(self, passwords: dict[tuple[str, str], str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # keyring's own
        self.passwords = passwords

    def get_password(self, service: str, username: str) -> str | None:
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.passwords[service, username] = password


@pytest.mark.parametrize(("spec", "user"), [("keyring", "encryption"), ("keyring:shop", "shop")])
def test_keys_come_from_the_systems_keyring(
    server: FlakyServer, connect: Connect, path: Path, spec: str, user: str
) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(Ring({("samekey", user): f"{NEW},{OLD}"}))
    try:
        client = connect(encryption=spec)
        post(client, json=BODY)
        client.close()
        assert b"s3cret" not in stored_bytes(path)
        with pytest.raises(samekey.UsageError, match="keyring set samekey nobody"):
            connect(encryption="keyring:nobody")
    finally:
        keyring.set_keyring(before)
    assert post(connect(encryption=NEW), json=BODY).replayed


def test_without_its_library_the_extra_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(samekey.UsageError, match=r"samekey\[crypto\]"):
        connect(encryption=NEW)


def test_a_transport_encrypts_too(server: FlakyServer, path: Path) -> None:
    transport = samekey.Transport(window=timedelta(days=1), store=path, encryption=NEW, verify=False)
    with httpx.Client(transport=transport, base_url=server.url) as http, samekey.action("x", scope={"a": 1}):
        assert http.post("/orders", json=BODY).status_code == 201
    assert path.exists()
    assert b"s3cret" not in stored_bytes(path)


def test_a_store_that_is_encrypted_already_is_not_so_twice() -> None:
    store = EncryptedStore(MemoryStore(), NEW)
    assert encrypted(store, OLD) is store


def test_a_store_for_event_loops_has_nothing_readable_below() -> None:
    below = MemoryStore()
    store: Any = encrypted(AsyncMemoryStore(inner=below), NEW)
    assert isinstance(store, EncryptedAsyncStore)
    row = record(below)

    async def scenario() -> None:
        claimed: Any = await store.claim(Claim(row))
        assert b"4242" not in (below.find()[0].frozen_request or b"")
        await store.settle(builders.settlement(claimed.record))
        assert b"ord_9" not in (below.find()[0].response_body or b"")
        assert [found.response_body for found in await store.find(limit=1)] == [builders.ANSWER.body]

    asyncio.run(scenario())
    assert NEW not in repr(store)


def test_reencrypt_puts_everything_under_the_first_key(
    server: FlakyServer,
    connect: Connect,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = connect(retry=ONCE)
    post(client, 1, json=BODY)
    client.close()
    client = connect(retry=ONCE, encryption=OLD)
    post(client, 2, json=BODY)
    unanswered(server, client, 3)
    client.close()

    assert run(["reencrypt", "--store", str(path)]) == 2
    assert f"set {VARIABLE}" in capsys.readouterr().err
    monkeypatch.setenv(VARIABLE, NEW)
    assert run(["reencrypt", "--store", str(path)]) == 4  # the old key is not there, so nothing changes
    assert "put it behind the new one" in capsys.readouterr().err
    monkeypatch.setenv(VARIABLE, f"{NEW},{OLD}")
    assert run(["reencrypt", "--store", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == 3
    assert run(["reencrypt", "--store", str(path)]) == 0
    assert "0 actions encrypted" in capsys.readouterr().out
    assert b"s3cret" not in stored_bytes(path)

    monkeypatch.setenv(VARIABLE, NEW)
    client = connect()
    assert [post(client, order, json=BODY).replayed for order in (1, 2, 3)] == [True, True, False]
    client.close()

    assert run(["reencrypt", "--store", str(path), "--decrypt"]) == 0
    monkeypatch.delenv(VARIABLE)
    assert post(connect(), 2, json=BODY).replayed


def test_reencrypt_leaves_what_is_in_flight_to_its_process(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = SQLiteStore(path)
    store.secret(None)
    row = builders.claimed(store)
    monkeypatch.setenv(VARIABLE, NEW)
    assert run(["reencrypt", "--store", str(path)]) == 6
    assert "1 action in flight" in capsys.readouterr().out
    assert builders.stored(store) == row
    store.close()


def test_reencrypt_makes_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reencrypt", "--new-key"]) == 0
    assert "<Vault " in repr(Vault(capsys.readouterr().out))
