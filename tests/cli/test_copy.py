"""`samekey copy`: everything arrives, nothing twice, and nothing that is there is overwritten."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from samekey._core.model import Event
from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Claimed, Settled
from samekey.cli.app import run
from samekey.cli.exits import Exit
from samekey.errors import StoreFormatError
from samekey.stores import Portable, PostgresStore, RedisStore, SQLiteStore, Store, open_store
from tests.servers.postgres import Postgres
from tests.servers.redis import RedisServer
from tests.stores.builders import claimed, done, record, seen, settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Opened = SQLiteStore | RedisStore | PostgresStore

_numbers = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


KINDS = ("sqlite", "redis", "postgres")


@pytest.fixture(params=[f"{old} to {new}" for old in KINDS for new in KINDS])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    old, _, new = request.param.partition(" to ")

    def place(kind: str, name: str) -> str:
        return str(tmp_path / name) if kind == "sqlite" else empty(request.getfixturevalue, kind)

    first, second = place(old, "old.db"), place(new, "new.db")
    return first, (second.removesuffix("/0") + "/1" if new == "redis" else second)


def empty(fixture: Callable[[str], Any], kind: str) -> str:
    """The address of a server's store with nothing in it."""
    if kind == "postgres":
        return f"{fixture('postgres').url}?schema=copy{next(_numbers)}"
    server: RedisServer = fixture("server")
    server.client().flushall()
    return server.url


def opened(place: str) -> contextlib.closing[Opened]:
    store = open_store(place)
    assert isinstance(store, Opened)
    return contextlib.closing(store)


def fill(store: Store) -> None:
    """Something of every kind: settled, open, a further generation, a timeline, a tombstone, an operation's names."""
    store.secret(None)
    done(store, "tomb")
    store.purge(datetime.now(UTC) + timedelta(days=9), limit=9)
    done(store, "one")
    row = done(store, "two", Move.REFUSAL)
    second = record(store, "two", generation=2, fence=2)
    assert isinstance(store.claim(Claim(second, replaces=seen(row))), Claimed)
    store.settle(settlement(second, Move.NO_ANSWER))
    store.note(second, Event(datetime.now(UTC), "replay", "é"))
    claimed(store, "open", operation_name="pay")


def everything(store: Opened) -> list[Any]:
    return [(entry.record, entry.events) for entry in store.export()]


def copy(source: str, target: str, *more: str) -> int:
    return run(["copy", "--from", source, "--to", target, *more])


def test_all_that_is_known_arrives_in_its_order_and_the_keys_stay(
    places: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = places
    with opened(source) as old:
        fill(old)
        secret, before, names = old.secret(None), everything(old), dict(old.operations())
    assert copy(source, target, "--json") == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["actions"], told["written"], told["verified"]) == (5, 5, True)
    assert told["by_status"] == {"in_flight": 1, "succeeded": 2, "rejected": 1, "unknown": 1}
    with opened(target) as new, opened(source) as old:
        assert isinstance(new, Portable)
        assert new.secret(None) == secret
        assert everything(new) == before == everything(old)
        assert [row.identity for row in new.find()] == [row.identity for row, _ in before]
        assert {name: sorted(found) for name, found in new.operations().items()} == {
            name: sorted(found) for name, found in names.items()
        }
        (left,) = new.find(statuses={Status.UNKNOWN})
        assert isinstance(new.settle(settlement(left)), Settled)


def test_a_copy_that_is_started_again_goes_on_and_writes_nothing_twice(
    places: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = places
    with opened(source) as old:
        fill(old)
        first = list(old.export())[:2]
        secret, names = old.secret(None), old.operations()
    with opened(target) as new:
        new.adopt_secret(secret)
        assert new.adopt(names, first).written == 2
    for written in (3, 0):
        assert copy(source, target, "--json") == Exit.OK
        assert json.loads(capsys.readouterr().out)["written"] == written
    with opened(target) as new, opened(source) as old:
        assert everything(new) == everything(old)


def test_other_records_of_the_same_actions_are_left_as_they_are(
    places: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = places
    with opened(source) as old:
        fill(old)
    assert copy(source, target) == Exit.OK
    with opened(target) as new:
        (left,) = new.find(statuses={Status.UNKNOWN})
        new.settle(settlement(left))
        after = everything(new)
    assert copy(source, target) == Exit.REFUSED
    assert "create_order(customer=42, cart='two')" in capsys.readouterr().err
    with opened(target) as new:
        assert everything(new) == after


def test_a_key_that_is_there_under_another_action_is_a_conflict(places: tuple[str, str]) -> None:
    source, target = places
    with opened(source) as old, opened(target) as new:
        secret = old.secret(None)
        new.adopt_secret(secret)
        row = done(old)
        done(new, "other")
        (other,) = new.find()
        entry = next(iter(old.export()))
        taken = replace(row, idempotency_key=other.idempotency_key)
        adopted = new.adopt(old.operations(), [replace(entry, record=taken)])
        assert (adopted.written, adopted.conflicts) == (0, (taken,))
        assert new.find() == [other]


def test_what_may_be_being_sent_is_not_copied(places: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    source, target = places
    with opened(source) as old:
        old.secret(None)
        claimed(old, lease_expires_at=datetime.now(UTC) + timedelta(minutes=5))
        assert copy(source, target) == Exit.REFUSED
    assert "may be being sent now" in capsys.readouterr().err


def test_other_scope_names_are_refused(places: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    source, target = places
    with opened(source) as old, opened(target) as new:
        secret = old.secret(None)
        done(old)
        new.adopt_secret(secret)
        claimed(new, "else", scope={"basket": "1"})
    assert copy(source, target) == Exit.REFUSED
    assert "other scope fields" in capsys.readouterr().err


def test_a_store_of_another_secret_is_refused(places: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    source, target = places
    with opened(source) as old, opened(target) as new:
        fill(old)
        new.secret(None)
    assert copy(source, target) == Exit.STORE
    assert "another secret" in capsys.readouterr().err
    with opened(target) as new:
        assert everything(new) == []


def test_a_given_secret_is_not_kept(places: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = places
    given = "a secret of the fleet, long enough"
    with opened(source) as old:
        old.secret(given.encode())
        done(old)
    assert copy(source, target) == Exit.STORE
    monkeypatch.setenv("SAMEKEY_SECRET", given)
    assert copy(source, target) == Exit.OK
    with opened(target) as new, pytest.raises(StoreFormatError, match="SAMEKEY_SECRET"):
        new.secret(None)


def test_a_dry_run_counts_and_makes_nothing(places: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    source, target = places
    with opened(source) as old:
        fill(old)
    assert copy(source, target, "--dry-run") == Exit.OK
    assert "5 actions to copy" in capsys.readouterr().out
    assert not Path(target).exists()
    with opened(target) as new:
        assert isinstance(new, SQLiteStore) or not new.exists()


def test_a_store_is_not_copied_to_itself_nor_from_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(tmp_path / "a.db")
    assert copy(place, str(tmp_path / "b.db")) == Exit.NOT_FOUND
    with opened(place) as store:
        fill(store)
    assert copy(place, place) == Exit.USAGE
    assert copy(place, "memory://") == Exit.USAGE
    assert "the same store" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "check", "detail"),
    [
        ("redis", "persistence", "an append-only file, synced: always"),
        ("postgres", "claims", "acknowledged ones survive a power loss"),
    ],
)
def test_the_other_commands_look_at_a_store_on_a_server(
    kind: str, check: str, detail: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    place = empty(request.getfixturevalue, kind)
    assert run(["list", "--store", place]) == Exit.NOT_FOUND
    with opened(place) as store:
        assert not isinstance(store, SQLiteStore)
        assert not store.exists()
        fill(store)
        (left,) = store.find(statuses={Status.UNKNOWN})
    capsys.readouterr()
    assert run(["doctor", "--store", place, "--json"]) == Exit.OK
    checks = {each["check"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    assert checks[check]["detail"] == detail
    for command in (["list"], ["show", left.idempotency_key], ["review"], ["purge"]):
        assert run([*command, "--store", place]) == Exit.OK
    words = ["--happened", "--reference", "ord_7", "--by", "Ada", "--note", "seen", "--seen", left.version]
    assert run(["resolve", left.idempotency_key, "--store", place, *words]) == Exit.OK
    with opened(place) as store:
        found = store.get(left.identity)
        assert found is not None
        assert (found.record.status, found.record.response_reference) == (Status.SUCCEEDED, "ord_7")


def test_a_character_that_postgresql_cannot_keep_is_no_obstacle(postgres: Postgres, tmp_path: Path) -> None:
    source, target = str(tmp_path / "old.db"), f"{postgres.url}?schema=copy{next(_numbers)}"
    with opened(source) as old:
        row = done(old)
        old.note(row, Event(datetime.now(UTC), "replay", "a\0b"))
    assert copy(source, target) == Exit.OK
    assert copy(source, target) == Exit.OK
    with opened(target) as new:
        assert [event.detail for event in new.events(row.idempotency_key)] == ["a\N{REPLACEMENT CHARACTER}b"]
