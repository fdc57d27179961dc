"""Which file stands behind a path, asked without asking for its times."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from samekey._core.verbs import Claim, Claimed
from samekey.stores import SQLiteStore, _inodes
from tests.stores.builders import record, settlement

linux = pytest.mark.skipif(sys.platform != "linux", reason="statx is Linux's")


@pytest.fixture
def fresh() -> Iterator[None]:
    """What the C library has is looked up anew, and once more after the test."""
    _inodes._statx.cache_clear()
    yield
    _inodes._statx.cache_clear()


@pytest.mark.parametrize("path", ["/", "/dev/null", "/proc/self/status", "/proc/self", sys.executable])
def test_they_are_those_of_stat(path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"no {path} here")
    found = os.stat(path)
    assert _inodes.inode_of(path) == (found.st_dev, found.st_ino)
    asked = _inodes.asker(path)()
    assert asked in {(found.st_ino, os.major(found.st_dev), os.minor(found.st_dev)), (found.st_dev, found.st_ino)}


def test_another_file_at_the_same_path_is_another(tmp_path: Path) -> None:
    path, other = tmp_path / "log", tmp_path / "other"
    ask = _inodes.asker(str(path))
    assert ask() is None
    path.touch()
    other.touch()
    first = ask()
    assert first == ask() is not None
    other.rename(path)
    assert ask() not in {first, None}
    path.unlink()
    assert ask() is None


def test_links_are_followed_and_names_may_be_odd(tmp_path: Path) -> None:
    odd = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"n\xc3\xa4m\xff e"))
    with open(odd, "wb"):
        pass
    link = tmp_path / "link"
    link.symlink_to(odd)
    assert _inodes.inode_of(odd) == _inodes.inode_of(str(link)) is not None
    assert _inodes.asker(odd)() == _inodes.asker(str(link))() is not None


def test_nothing_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (str(tmp_path / "missing"), str(tmp_path / "file" / "beyond")):
        assert _inodes.inode_of(path) is None
        assert _inodes.asker(path)() is None


def test_what_a_path_is_to_blame_for_is_told_as_by_stat(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for ask in (partial(_inodes.inode_of, str(loop)), _inodes.asker(str(loop))):
        with pytest.raises(OSError, match="loop") as caught:
            ask()
        assert caught.value.errno == errno.ELOOP


@linux
@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("kind", ["forbidden", "missing"])
def test_where_statx_is_not_to_be_had_stat_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    import ctypes

    def forbidden(*_: object) -> int:
        ctypes.set_errno(errno.EPERM)  # as old sandboxes answer what they do not know
        return -1

    class Library:
        def __init__(self, *_: object, **__: object) -> None:
            if kind == "forbidden":
                self.statx = forbidden

    monkeypatch.setattr(ctypes, "CDLL", Library)
    path = str(tmp_path / "file")
    ask = _inodes.asker(path)
    assert ask() is None
    with open(path, "wb"):
        pass
    assert ask() == _inodes.inode_of(path) is not None


@linux
def test_an_action_asks_for_no_times_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel notes that somebody asked, each sync of the log takes longer by a fourth."""
    store = SQLiteStore(tmp_path / "samekey.db")
    assert isinstance(store.claim(Claim(record(store, "first"))), Claimed)
    asked: list[str] = []
    usual = os.stat

    def stat(path: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(os.fspath(path))
        return usual(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        row = record(store, "second")
        assert isinstance(store.claim(Claim(row)), Claimed)
        store.settle(settlement(row))
    store.close()
    assert [path for path in asked if path.endswith("-wal")] == []
