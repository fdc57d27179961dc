"""Connections and disks of an SQLite store that tell what is asked of them, and fail when they are told to."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from samekey.stores import SQLiteStore, _log
from samekey.stores._connection import connect
from tests.stores.builders import done

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class Heard:
    """A connection that tells what it runs, and fails when it is told to.

    Attributes:
        sql: the first word of each statement that reads or writes rows, or begins or ends a transaction.
        levels: the levels that were set.
        before: is called before each of the statements.
        fails: the name of the error that the next one raises, which is then undone as SQLite would.
        when: the word of the statement that fails.
    """

    def __init__(self) -> None:
        self.sql: list[str] = []
        self.levels: list[str] = []
        self.before: Callable[[str], None] = lambda _word: None
        self.fails = ""
        self.when = ""

    def connect(self, uri: str) -> Any:
        self.connection = connect(uri)
        return self

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction

    def close(self) -> None:
        self.connection.close()

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        word = sql.split(maxsplit=1)[0]
        if word != "PRAGMA":
            self.sql.append(word)
            self.before(word)
        elif "synchronous" in sql:
            self.levels.append(sql.rsplit(maxsplit=1)[-1])
        if self.fails and word == self.when:
            error = sqlite3.OperationalError("as told")
            error.sqlite_errorname, self.fails = self.fails, ""
            raise error
        return self.connection.execute(sql, parameters)

    def opened(self, folder: Path) -> Iterator[SQLiteStore]:
        """A store over such connections that has made two actions, so that the next ones are usual."""
        with closing(SQLiteStore(folder / "samekey.db", _connect=self.connect)) as store:
            done(store, "first")  # adds the operation
            done(store, "second")  # reads its scope names
            self.sql.clear()
            self.levels.clear()
            yield store


class Disk:
    """The `os` module for the store's log, whose syncs can fail or be counted.

    Attributes:
        interrupts: what a signal handler raises while the disk is at work.
    """

    def __init__(self) -> None:
        self.syncs = 0
        self.fails = False
        self.opens = True
        self.interrupts: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int) -> int:
        if not self.opens:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if self.interrupts is not None:
            raise self.interrupts
        return os.open(path, flags)

    def fdatasync(self, descriptor: int) -> None:
        self.syncs += 1
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.interrupts is not None:
            raise self.interrupts
        os.fdatasync(descriptor)


def syncs_again(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Is told when a sync that failed is made good."""
    again: list[str] = []
    sync_again = store._engine._sync_again

    def syncing(connection: Any) -> None:
        again.append("synced")
        sync_again(connection)

    monkeypatch.setattr(store._engine, "_sync_again", syncing)
    return again


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def store(heard: Heard, tmp_path: Path) -> Iterator[SQLiteStore]:
    yield from heard.opened(tmp_path)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(_log, "os", disk)
    return disk
