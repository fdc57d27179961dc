"""What a store puts on disk: who may read it, and how it is made."""

from __future__ import annotations

import os
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from samekey.errors import StoreFormatError
from samekey.stores import SQLiteStore
from tests.stores.builders import claimed, done, everything, stored
from tests.stores.children import output_of

if TYPE_CHECKING:
    from pathlib import Path


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_everything_is_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = SQLiteStore(tmp_path / "new" / "deep" / "samekey.db")
        store.secret(None)
        claimed(store)
        found = modes(tmp_path)
        store.close()
    finally:
        os.umask(before)
    holder = f"new/deep/samekey.db.holders/{store._me().name}"
    assert found == {
        "new": 0o700,
        "new/deep": 0o700,
        "new/deep/samekey.db": 0o600,
        "new/deep/samekey.db-wal": 0o600,
        "new/deep/samekey.db-shm": 0o600,
        "new/deep/samekey.db.lock": 0o600,
        "new/deep/samekey.db.secret": 0o600,
        "new/deep/samekey.db.holders": 0o700,
        holder: 0o600,
    }


def test_a_directory_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    store.close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_building_a_store_touches_nothing(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "new" / "samekey.db")
    assert list(tmp_path.iterdir()) == []


def test_a_symbolic_link_and_its_target_are_one_store(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "samekey.db")
    store, linked = SQLiteStore(tmp_path / "samekey.db"), SQLiteStore(tmp_path / "link.db")
    secret = store.secret(None)
    row = claimed(store)
    assert linked.secret(None) == secret
    assert linked.holder == store.holder
    assert linked.location == str(tmp_path / "link.db")
    existing = linked.get(row.identity)
    assert existing is not None
    assert existing.own
    store.close()
    linked.close()


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "no#1.db", "ü.db", "a%20b.db"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    store = SQLiteStore(tmp_path / name)
    row = done(store)
    store.close()
    assert stored(store) == row
    store.close()
    assert (tmp_path / name).stat().st_size > 0
    assert len([path for path in tmp_path.iterdir() if path.suffix == ".db"]) == 1


# --- the secret ----------------------------------------------------------------------------------------------


def test_the_secret_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "samekey.db"
    said = output_of("say(SQLiteStore(path).secret(None).hex())", path)
    assert said == (tmp_path / "samekey.db.secret").read_text().strip()
    assert SQLiteStore(path).secret(None).hex() == said


def test_a_given_secret_is_nowhere_on_disk(tmp_path: Path) -> None:
    secret = b"a fleet's secret that must not lie about"
    store = SQLiteStore(tmp_path / "samekey.db")
    assert store.secret(secret) == secret
    row = done(store)
    store.close()
    files = everything(tmp_path)
    assert "samekey.db.secret" in files
    assert not [name for name, data in files.items() if secret in data or secret.hex().encode() in data]
    assert SQLiteStore(tmp_path / "samekey.db").secret(secret) == secret
    assert stored(SQLiteStore(tmp_path / "samekey.db")) == row  # who only looks need not know it


def test_without_the_given_secret_the_store_is_refused(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(b"a fleet's secret")
    store.close()
    with pytest.raises(StoreFormatError, match="SAMEKEY_SECRET"):
        SQLiteStore(tmp_path / "samekey.db").secret(None)


@pytest.mark.parametrize("first", [None, b"a fleet's secret"])
def test_another_secret_is_refused(tmp_path: Path, first: bytes | None) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(first)
    store.close()
    with pytest.raises(StoreFormatError, match="another secret"):
        SQLiteStore(tmp_path / "samekey.db").secret(b"of somebody else")


def test_the_secret_file_of_another_store_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        store = SQLiteStore(tmp_path / f"{name}.db")
        store.secret(None)
        store.close()
    os.replace(tmp_path / "one.db.secret", tmp_path / "two.db.secret")
    with pytest.raises(StoreFormatError, match="another secret"):
        SQLiteStore(tmp_path / "two.db").secret(None)


def test_a_lost_secret_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    secret = store.secret(None)
    store.close()
    (tmp_path / "samekey.db.secret").unlink()
    with pytest.raises(StoreFormatError, match="lost its secret"):
        SQLiteStore(tmp_path / "samekey.db").secret(None)
    assert not (tmp_path / "samekey.db.secret").exists()
    # Who has it elsewhere may go on, and the database is known to be there again.
    again = SQLiteStore(tmp_path / "samekey.db")
    assert again.secret(secret) == secret
    again.close()
    assert (tmp_path / "samekey.db.secret").read_text() == "given\n"


@pytest.mark.parametrize("text", ["", "zz", "00" * 31, "given"])
def test_a_damaged_secret_is_refused(tmp_path: Path, text: str) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    store.close()
    (tmp_path / "samekey.db.secret").write_text(text)
    with pytest.raises(StoreFormatError, match=r"samekey\.db\.secret is damaged"):
        SQLiteStore(tmp_path / "samekey.db").secret(None)


# --- creation ------------------------------------------------------------------------------------------------

KILLED_AT = """
import sqlite3
def counted(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call
class Connection(sqlite3.Connection):
    execute = counted(sqlite3.Connection.execute)
def connect(uri):
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=Connection)
def make(folder):
    for name in ("mkdir", "open", "fsync", "write", "rename", "close"):
        setattr(os, name, counted(getattr(os, name)))
    store = SQLiteStore(folder + "/in/samekey.db", _connect=connect)
    say(store.secret(None).hex())
    done(store)
    os._exit(0)
for step in range(1000):
    left = step
    pid = os.fork()
    if pid == 0:
        make(f"{path}/{step}")
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    say(code)
    if code == 0:
        break
"""


def test_creation_can_be_killed_at_any_step(tmp_path: Path) -> None:
    told: list[str] = [""]
    codes: list[int] = []
    for line in output_of(KILLED_AT, tmp_path).splitlines():
        if len(line) == 64:
            told[-1] = line
        else:
            codes.append(int(line))
            told.append("")
    assert codes == [-signal.SIGKILL] * (len(codes) - 1) + [0]
    assert len(codes) > 25
    assert told[-2]
    for step, secret in enumerate(told[:-1]):
        store = SQLiteStore(tmp_path / str(step) / "in" / "samekey.db")
        found = store.secret(None).hex()
        assert secret in {"", found}  # who had been told a secret finds it again
        row = claimed(store, "after")
        assert stored(store, "after") == row
        store.close()


AT_ONCE = """
reader, writer = os.pipe()
pids = []
for _ in range(6):
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)  # until all are there
        store = SQLiteStore(path)
        say(store.secret(None).hex())
        done(store, str(os.getpid()))
        os._exit(0)
    pids.append(pid)
os.close(writer)
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0
"""


def test_several_processes_may_make_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "samekey.db"
    secrets = output_of(AT_ONCE, path).splitlines()
    assert len(secrets) == 6
    assert len(set(secrets)) == 1
    store = SQLiteStore(path)
    assert len(store.find()) == 6
    store.close()
