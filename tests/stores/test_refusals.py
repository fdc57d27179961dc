"""Places and files that a store refuses: a typed error that says what to do, and nothing is changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from samekey.errors import StoreFormatError, StoreUnavailableError
from samekey.stores import SQLiteStore, _mounts
from tests.stores.builders import claimed, done, everything
from tests.stores.children import output_of

if TYPE_CHECKING:
    from collections.abc import Callable


def made(path: Path) -> None:
    store = SQLiteStore(path)
    store.secret(None)
    for number in range(50):
        done(store, str(number))
    store.close()


def text(path: Path) -> None:
    path.write_text("dear diary, this is not a database at all\n" * 50)


def newer(path: Path) -> None:
    made(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()


def newer_alone(path: Path) -> None:
    newer(path)
    for name in (".lock", ".secret"):
        Path(f"{path}{name}").unlink()
    shutil.rmtree(f"{path}.holders")


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def cut_short(path: Path) -> None:
    made(path)
    os.truncate(path, path.stat().st_size // 2 + 100)


def cut_short_alone(path: Path) -> None:
    cut_short(path)
    Path(f"{path}.lock").unlink()


def overwritten(path: Path) -> None:
    made(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(0)
        file.write(os.urandom(size))


def a_directory(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def emptied(path: Path) -> None:
    made(path)
    os.truncate(path, 0)


def vanished(path: Path) -> None:
    made(path)
    path.unlink()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (text, "is not a samekey store"),
        (newer, "written by a newer samekey (schema 7, this one reads 1)"),
        (newer_alone, "written by a newer samekey"),
        (of_another_program, "database of another program"),
        (cut_short, "is damaged"),
        (cut_short_alone, "is damaged"),
        (overwritten, "is not a samekey store"),
        (a_directory, "is a directory"),
        (a_pipe, "is not a regular file"),
        (emptied, "has vanished"),
        (vanished, "has vanished"),
    ],
)
def test_what_is_not_a_sound_store_is_refused_unchanged(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "samekey.db"
    make(path)
    before = sorted(path.parent.iterdir()) if make is a_pipe else everything(tmp_path)
    verbs: list[Callable[[SQLiteStore], object]] = [
        lambda store: store.secret(None),
        lambda store: store.holder,
        lambda store: store.find(),
    ]
    for verb in verbs:
        store = SQLiteStore(path)
        with pytest.raises(StoreFormatError) as caught:
            verb(store)
        message = str(caught.value)
        assert words in message
        assert str(path) in message
        assert "nothing was sent" in message
        store.close()
    assert (sorted(path.parent.iterdir()) if make is a_pipe else everything(tmp_path)) == before


def test_damage_inside_is_found_when_it_is_met(tmp_path: Path) -> None:
    path = tmp_path / "samekey.db"
    made(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (size - 8192))
    store = SQLiteStore(path)
    with pytest.raises(StoreFormatError, match="is damaged"):
        store.secret(None)
        claimed(store)
    store.close()


def test_a_file_that_is_deleted_in_use_is_noticed(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    claimed(store, "before")
    (tmp_path / "samekey.db").unlink()
    with pytest.raises(StoreUnavailableError, match="deleted or replaced") as caught:
        claimed(store)
    assert not caught.value.uncertain
    store.close()
    with pytest.raises(StoreFormatError, match="has vanished"):
        store.secret(None)


def test_a_file_that_is_replaced_in_use_is_noticed(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    claimed(store, "before")
    shutil.copy(tmp_path / "samekey.db", tmp_path / "copy")
    os.replace(tmp_path / "copy", tmp_path / "samekey.db")
    with pytest.raises(StoreUnavailableError, match="deleted or replaced"):
        claimed(store)
    store.close()


# --- network file systems --------------------------------------------------------------------------------------

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:35 / {folder}/net\\040work rw,relatime shared:2 - {kind} server:/export rw
41 22 0:36 / {folder}/net\\040work/local rw - tmpfs tmpfs rw
42 22 0:37 / {folder}/covered rw - nfs4 server:/x rw
43 22 0:38 / {folder}/covered rw - ext4 /dev/sdb1 rw
broken line
"""


@pytest.mark.parametrize("kind", ["nfs4", "nfs", "cifs", "9p", "fuse.sshfs", "ceph"])
def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(folder=tmp_path, kind=kind))
    monkeypatch.setattr(_mounts, "MOUNTINFO", mounts)
    store = SQLiteStore(tmp_path / "net work" / "deep" / "samekey.db")
    with pytest.raises(StoreFormatError, match=rf"network file system \({kind}\)"):
        store.secret(None)
    assert [path.name for path in tmp_path.iterdir()] == ["mountinfo"]


@pytest.mark.parametrize("folder", ["net work/local", "net workshop", "covered", "elsewhere"])
def test_a_local_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(folder=tmp_path, kind="nfs4"))
    monkeypatch.setattr(_mounts, "MOUNTINFO", mounts)
    store = SQLiteStore(tmp_path / folder / "samekey.db")
    assert store.secret(None)
    store.close()


def test_where_nothing_tells_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mounts, "MOUNTINFO", tmp_path / "none")
    store = SQLiteStore(tmp_path / "samekey.db")
    assert store.secret(None)
    store.close()


# --- permissions: root has them all, so these are asked as somebody else ------------------------------------------

NOBODY = 65534

AS_NOBODY = """
import tempfile
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""

TELL = """
def tell(path):
    store = SQLiteStore(path)
    try:
        store.secret(None)
        claimed(store)
        say("no error")
    except StoreError as error:
        say(type(error).__name__ + ": " + str(error))
    store.close()
"""


def give(path: Path) -> None:
    """Hands a folder and all in it to somebody who is not root."""
    if os.geteuid() == 0:
        for base, folders, files in os.walk(path):
            for name in (base, *(os.path.join(base, name) for name in (*folders, *files))):
                os.chown(name, NOBODY, NOBODY)


@pytest.fixture
def open_tmp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that others can reach: pytest's own is private to this user."""
    import tempfile

    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    return folder


def as_nobody(path: Path) -> str:
    if sys.platform != "linux":
        pytest.skip("drops privileges the way Linux does")
    options: dict[str, Any] = {"env": {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}}
    return output_of(AS_NOBODY + TELL + "tell(path)", path, **options)


@pytest.fixture
def store_folder(open_tmp: Path) -> Any:
    folder = open_tmp / "store"
    made(folder / "samekey.db")
    give(open_tmp)
    yield folder
    shutil.rmtree(open_tmp)


def test_a_read_only_directory_is_refused(store_folder: Path) -> None:
    store_folder.chmod(0o500)
    before = everything(store_folder)
    said = as_nobody(store_folder / "samekey.db")
    assert said.startswith("StoreUnavailableError: ")
    assert "nothing was sent" in said
    assert everything(store_folder) == before


def test_a_read_only_file_is_refused(store_folder: Path) -> None:
    (store_folder / "samekey.db").chmod(0o400)
    before = everything(store_folder)["samekey.db"]
    said = as_nobody(store_folder / "samekey.db")
    assert said.startswith("StoreUnavailableError: ")
    assert "read-only" in said
    assert everything(store_folder)["samekey.db"] == before


def test_a_place_where_nothing_may_be_made_is_refused(store_folder: Path) -> None:
    store_folder.chmod(0o500)
    said = as_nobody(store_folder / "new" / "samekey.db")
    assert said.startswith("StoreUnavailableError: ")
    assert "no permission" in said


def test_the_file_of_another_user_is_refused(store_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(store_folder / "samekey.db", 12345, 12345)
    said = as_nobody(store_folder / "samekey.db")
    assert said.startswith("StoreUnavailableError: ")
    assert "another user (uid 12345)" in said


def test_a_file_in_the_way_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match="nothing was sent"):
        SQLiteStore(tmp_path / "file" / "samekey.db").secret(None)
