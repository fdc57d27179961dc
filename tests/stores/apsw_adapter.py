"""The real store over another SQLite library, whose VFS lets a test count and cut what reaches the disk."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any

import apsw

from samekey.stores import _log

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from samekey.stores._connection import Connection

_names = {
    value: name
    for name, value in vars(apsw).items()
    if name.startswith("SQLITE_") and isinstance(value, int)
    and name in apsw.mapping_result_codes | apsw.mapping_extended_result_codes
}  # fmt: skip


class Syncs(apsw.VFS):
    """Counts the calls that make files survive a power loss, by the end of the file's name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802 - apsw's name
        return _File(self, name, flags)

    def synced(self) -> None:
        """For those who want to know more than how often."""

    def connect(self, uri: str) -> Connection:
        return _Adapter(apsw.Connection(uri, vfs=self.name, flags=_FLAGS))

    def count_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Counts what the store syncs itself too: its log."""
        monkeypatch.setattr(_log, "os", _Os(self))


class _Os:
    def __init__(self, vfs: Syncs) -> None:
        self._vfs = vfs

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fdatasync(self, descriptor: int) -> None:
        self._vfs.counts["-wal"] += 1
        os.fdatasync(descriptor)


_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI


class _File(apsw.VFSFile):
    def __init__(self, vfs: Syncs, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        path = name.filename() if hasattr(name, "filename") else str(name)
        self._kind = path.rpartition("samekey.db")[2] or "db"
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        self._vfs.counts[self._kind] += 1
        self._vfs.synced()
        super().xSync(flags)


class _Cursor:
    def __init__(self, rows: list[Any], changes: int) -> None:
        self._rows = rows
        self.rowcount = changes

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows


class _Adapter:
    """Speaks apsw as the standard library's module does."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> _Cursor:
        try:
            rows = list(self._connection.execute(sql, tuple(parameters)))
        except apsw.Error as error:
            translated = sqlite3.OperationalError(str(error))
            code = getattr(error, "extendedresult", 1)
            translated.sqlite_errorname = _names.get(code, _names.get(code & 0xFF, "SQLITE_ERROR"))
            raise translated from error
        return _Cursor(rows, self._connection.changes())

    def close(self) -> None:
        self._connection.close()
