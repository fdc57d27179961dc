"""Stores whose disk is never cut off again: they need no syncs, and a sync is what takes time."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from samekey.stores import _files
from samekey.stores._connection import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from samekey.stores._connection import Connection


class _Unsynced:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        return self._connection.execute(re.sub(r"(synchronous =) \w+", r"\1 OFF", sql), parameters)

    def close(self) -> None:
        self._connection.close()


def connect_unsynced(uri: str) -> Connection:
    """The standard library's SQLite, as the store uses it, but that it never waits for the disk."""
    return _Unsynced(connect(uri))


class _Os:
    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, descriptor: int) -> None:
        pass


def leave_out_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's own files are not synced either."""
    monkeypatch.setattr(_files, "os", _Os())
