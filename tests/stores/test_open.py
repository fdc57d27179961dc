"""Which store a user means."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from samekey.errors import UsageError
from samekey.stores import (
    AsyncMemoryStore,
    AsyncSQLiteStore,
    MemoryStore,
    SQLiteStore,
    _open,
    open_async_store,
    open_store,
)


@pytest.fixture(autouse=True)
def _no_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_open, "CONTAINER_MARKS", (str(tmp_path / "mark"),))
    monkeypatch.setattr(_open, "CGROUP", str(tmp_path / "cgroup"))


def test_a_store_is_itself() -> None:
    store = MemoryStore()
    assert open_store(store) is store


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_a_file(tmp_path: Path, kind: type) -> None:
    store = open_store(kind(tmp_path / "a.db"))
    assert isinstance(store, SQLiteStore)
    assert store.location == str(tmp_path / "a.db")
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_and_a_home_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_store("a.db").location == os.path.join(os.getcwd(), "a.db")
    assert open_store("~/a.db").location == str(tmp_path / "home" / "a.db")


def test_urls() -> None:
    assert open_store("sqlite:///var/lib/a%20b.db").location == "/var/lib/a b.db"
    assert isinstance(open_store("memory://"), MemoryStore)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:hunter2@host/db",
        "redis://host",
        "sqlite://host/a.db",
        "sqlite:///",
        "sqlite:///a.db?mode=ro",
        "",
        " ",
    ],
)
def test_what_is_no_store_of_this_version_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(text)
    assert "hunter2" not in str(caught.value)


def test_the_environment_names_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAMEKEY_STORE", str(tmp_path / "env.db"))
    assert open_store(None).location == str(tmp_path / "env.db")
    assert open_store(tmp_path / "given.db").location == str(tmp_path / "given.db")
    monkeypatch.setenv("SAMEKEY_STORE", "memory://")
    assert isinstance(open_store(None), MemoryStore)


def test_the_default_is_under_the_state_directory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import platformdirs

    monkeypatch.setenv("SAMEKEY_STORE", "")
    location = open_store(None).location
    assert location == str(platformdirs.user_state_path("samekey") / "samekey.db")
    assert caplog.records == []


@pytest.mark.parametrize("hint", ["mark", "cgroup"])
def test_in_a_container_the_default_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture, hint: str) -> None:
    (tmp_path / hint).write_text("0::/kubepods/pod1\n")
    store = open_store(None)
    assert [(record.name, record.levelno) for record in caplog.records] == [("samekey", logging.WARNING)]
    assert store.location in caplog.text
    assert "dies with it" in caplog.text
    caplog.clear()
    open_store(tmp_path / "a.db")
    assert caplog.records == []


def test_the_same_rules_hold_for_event_loops(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = AsyncMemoryStore()
    assert open_async_store(store) is store
    assert isinstance(open_async_store("memory://"), AsyncMemoryStore)
    monkeypatch.setenv("SAMEKEY_STORE", str(tmp_path / "env.db"))
    for opened, path in (
        (open_async_store(None), tmp_path / "env.db"),
        (open_async_store(tmp_path / "a.db"), tmp_path / "a.db"),
        (open_async_store("sqlite:///var/lib/a%20b.db"), Path("/var/lib/a b.db")),
    ):
        assert isinstance(opened, AsyncSQLiteStore)
        assert opened.location == str(path)
    monkeypatch.setenv("SAMEKEY_STORE", "")
    assert open_async_store(None).location == open_store(None).location
    with pytest.raises(UsageError, match="postgresql:// store"):
        open_async_store("postgresql://user:hunter2@host/db")
    assert list(tmp_path.iterdir()) == []
