"""A disk that fails when it is told to, below SQLite and below the store's own files."""

from __future__ import annotations

import errno
import itertools
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import apsw

from samekey.stores import _files
from tests.stores.apsw_adapter import _FLAGS, _Adapter

if TYPE_CHECKING:
    import pytest

    from samekey.stores._connection import Connection

_names = (f"failing-{number}" for number in itertools.count())


def io_error(code: int) -> apsw.Error:
    error: Any = apsw.FullError() if code == apsw.SQLITE_FULL else apsw.IOError()
    error.extendedresult = code
    return error  # type: ignore[no-any-return]


class _Closing(_Adapter):
    """SQLite tells no error of a last checkpoint when it closes; only apsw raises what the VFS raised meanwhile."""

    def close(self) -> None:
        with suppress(apsw.Error):
            super().close()


class FailingDisk(apsw.VFS):
    """Fails at the n-th call of one kind, then as long as it is not told otherwise.

    Attributes:
        call: "xSync", "xWrite" or "xTruncate"; "" for none.
        code: SQLite's extended result code.
        good: how many of these calls still succeed.
        once: whether it works again after the first failure.
    """

    def __init__(self) -> None:
        self.name = next(_names)
        self.works()
        super().__init__(self.name, "")

    def works(self) -> None:
        self.call, self.code, self.good, self.once, self.failed = "", 0, 0, False, 0

    def fail(self, call: str, code: int, *, good: int = 0, once: bool = False) -> None:
        self.call, self.code, self.good, self.once, self.failed = call, code, good, once, 0

    def connect(self, uri: str) -> Connection:
        return _Closing(apsw.Connection(uri, vfs=self.name, flags=_FLAGS))

    def fails(self, call: str) -> bool:
        if call != self.call:
            return False
        self.good -= 1
        fails = self.good == -1 if self.once else self.good < 0
        self.failed += fails
        return fails

    def check(self, call: str) -> None:
        if self.fails(call):
            raise io_error(self.code)

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802 - apsw's name
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        self._disk.check("xSync")
        super().xSync(flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - apsw's name
        self._disk.check("xWrite")
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's name
        self._disk.check("xTruncate")
        super().xTruncate(newsize)


class _Os:
    def __init__(self, disk: FailingDisk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, descriptor: int) -> None:
        if self._disk.fails("xSync"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(descriptor)

    def write(self, descriptor: int, data: bytes) -> int:
        if self._disk.fails("xWrite"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(descriptor, data)


def fail_own_files_too(disk: FailingDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "os", _Os(disk))
