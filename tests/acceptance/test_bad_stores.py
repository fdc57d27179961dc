"""The bar on bad stores: each is a `StoreError` of the action, nothing is sent, and nothing of the file is changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import samekey
from samekey.stores import SQLiteStore, _mounts
from samekey.stores._connection import Connection, connect
from samekey.testing import FlakyServer
from tests.acceptance.nursery import Nursery
from tests.acceptance.unprivileged import NOBODY

DAY = timedelta(days=1)
create_order = samekey.Operation("create_order", scope=("order",), reference="/id")


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder / "samekey.db"


def client_of(server: FlakyServer, store: Any) -> samekey.Client:
    return samekey.Client(server.url, window=DAY, store=store, verify=False, retry=samekey.RetryPolicy(attempts=1))


def post(client: samekey.Client, order: int, note: str = "") -> samekey.Action:
    with client.action(create_order, scope={"order": order}) as action:
        action.post("/orders", json={"order": order, "note": note})
    return action


def made(server: FlakyServer, path: Path) -> None:
    """A sound store that knows some orders."""
    with client_of(server, path) as client:
        for order in range(20):
            post(client, order)


def digests(folder: Path) -> dict[str, str]:
    """What lies there, byte for byte; of the lock file, which holds no data but the mark of the last checkpoint, that it does."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        if file.is_file() and file.suffix != ".lock"
        else "no file"
        for file in sorted(folder.rglob("*"))
    }


def text(_server: FlakyServer, path: Path) -> None:
    path.write_text("not a database\n" * 500)


def foreign(_server: FlakyServer, path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")
    database.close()


def damaged(server: FlakyServer, path: Path) -> None:
    made(server, path)
    os.truncate(path, path.stat().st_size // 2)


def newer(server: FlakyServer, path: Path) -> None:
    made(server, path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def directory(_server: FlakyServer, path: Path) -> None:
    path.mkdir()


def vanished(server: FlakyServer, path: Path) -> None:
    made(server, path)
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (text, "is not a samekey store, so nothing was sent; give store= another path"),
        (foreign, "is the database of another program, so nothing was sent"),
        (damaged, "is damaged .*, so nothing was sent; .* do not delete the file"),
        (newer, r"was written by a newer samekey \(schema 99, .* so nothing was sent; upgrade samekey"),
        (directory, "is a directory, so nothing was sent; give store= the path of a file"),
        (vanished, "has vanished: .* so nothing was sent"),
    ],
)
def test_a_file_that_is_not_a_sound_store(
    server: FlakyServer, path: Path, spoil: Callable[[FlakyServer, Path], None], message: str
) -> None:
    spoil(server, path)
    before, requests = digests(path.parent), len(server.requests)
    client = client_of(server, path)
    with pytest.raises(samekey.StoreFormatError, match=rf"(?s)^create_order\(order=1\): .*{message}") as raised:
        post(client, 1)
    assert (raised.value.operation_name, raised.value.scope) == ("create_order", {"order": "1"})
    for ask in (client.recover, lambda: client.record(create_order, scope={"order": 1})):
        with pytest.raises(samekey.StoreFormatError):
            ask()
    assert len(server.requests) == requests
    client.http.close()
    assert digests(path.parent) == before


def test_a_network_file_system(
    server: FlakyServer, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n40 22 0:35 / {path.parent} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(_mounts, "MOUNTINFO", mounts)
    with pytest.raises(samekey.StoreFormatError, match=r"network file system \(nfs4\), .*, so nothing was sent"):
        post(client_of(server, path), 1)
    assert not server.requests
    assert digests(path.parent) == {}


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that others may enter; pytest's own is private."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", ["new store", "known store", "read-only file"])
def test_a_directory_or_a_file_that_is_read_only(server: FlakyServer, shared_folder: Path, mode: str) -> None:
    folder = shared_folder / "store"
    folder.mkdir()
    path = folder / "samekey.db"
    if mode != "new store":
        made(server, path)
    if os.geteuid() == 0:
        for file in [folder, *folder.rglob("*")]:
            os.chown(file, NOBODY, NOBODY)
    (path if mode == "read-only file" else folder).chmod(0o400 if mode == "read-only file" else 0o500)
    before, requests = digests(folder), len(server.requests)

    with Nursery() as nursery:
        code, said = nursery.call("tests.acceptance.unprivileged:main", server.url, str(path))

    assert code == 0, said
    assert said.startswith("StoreUnavailableError: create_order(order=1): the store "), said
    assert "so nothing was sent" in said
    assert len(server.requests) == requests
    after = digests(folder)
    assert {name: after[name] for name in before} == before
    if mode != "read-only file":
        assert after == before


class Disk:
    """A disk that is full from some point on, as SQLite's own page limit shows it."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []

    def connect(self, uri: str) -> Connection:
        self.connections.append(connect(uri))
        return self.connections[-1]

    def fill(self) -> None:
        for connection in self.connections:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    def free(self) -> None:
        for connection in self.connections:
            connection.execute("PRAGMA max_page_count = 1000000").fetchall()


LARGE = "x" * 200_000


def test_a_full_disk_at_the_claim(server: FlakyServer, path: Path) -> None:
    disk = Disk()
    store = SQLiteStore(path, _connect=disk.connect)
    with client_of(server, store) as client:
        post(client, 1)
        store.tidy()
        before = digests(path.parent)
        disk.fill()
        with pytest.raises(
            samekey.StoreUnavailableError, match=r"disk full\), so nothing was sent; free space"
        ) as raised:
            post(client, 2, LARGE)
        assert raised.value.retry_safe
        assert not raised.value.uncertain
        assert len(server.requests) == 1
        assert digests(path.parent)["samekey.db"] == before["samekey.db"]
        assert client.record(create_order, scope={"order": 2}) is None
        disk.free()
        assert post(client, 2, LARGE).reference == "order_2"
    store.close()


def test_a_full_disk_at_the_settlement_costs_nobody_his_answer(
    server: FlakyServer, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    store = SQLiteStore(path, _connect=disk.connect)
    with client_of(server, store) as client:
        post(client, 0)
        server.on_request = lambda _seen: disk.fill()
        action = post(client, 1, LARGE)  # the answer repeats the note, so that the settlement needs space
        server.on_request = None
        assert (action.reference, action.replayed) == ("order_2", False)
        assert "the outcome could not be stored" in caplog.text
        record = client.record(create_order, scope={"order": 1})
        assert record is not None
        assert record.status is samekey.Status.IN_FLIGHT

        disk.free()
        post(client, 2)  # its first call to the store brings the settlement, too
        record = client.record(create_order, scope={"order": 1})
        assert record is not None
        assert (record.status, record.response_reference) == (samekey.Status.SUCCEEDED, "order_2")
        assert post(client, 1, LARGE).replayed
    assert len(server.requests) == len(server.effects) == 3
    store.close()


def test_what_could_not_be_recorded_is_written_at_close(server: FlakyServer, path: Path) -> None:
    disk = Disk()
    store = SQLiteStore(path, _connect=disk.connect)
    client = client_of(server, store)
    post(client, 0)
    server.on_request = lambda _seen: disk.fill()
    post(client, 1, LARGE)
    server.on_request = None
    disk.free()
    client.close()
    assert [record.status for record in store.find()] == [samekey.Status.SUCCEEDED] * 2
    store.close()


@pytest.mark.parametrize("end", ["forgotten", "closed"])
def test_what_could_not_be_recorded_at_all_is_asked_for_again_under_the_same_key(
    server: FlakyServer, path: Path, end: str
) -> None:
    """The disk stays full until the process has ended; the next one asks the API."""
    disk = Disk()
    store = SQLiteStore(path, _connect=disk.connect)
    client = client_of(server, store)
    post(client, 0)
    server.on_request = lambda _seen: disk.fill()
    post(client, 1, LARGE)
    server.on_request = None
    if end == "closed":
        client.close()
    client.http.close()
    store.close()
    with client_of(server, path) as later:
        action = post(later, 1, LARGE)
    assert (action.reference, action.recovered) == ("order_2", True)
    assert len(server.effects) == 2


def test_a_store_that_is_deleted_under_the_client_is_noticed(server: FlakyServer, path: Path) -> None:
    client = client_of(server, path)
    post(client, 1)
    path.unlink()
    with pytest.raises(samekey.StoreUnavailableError, match="was deleted or replaced while it was in use"):
        post(client, 2)
    assert len(server.requests) == 1
    client.http.close()
