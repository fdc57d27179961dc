"""Puts what the real store asks of the disk on tape: through SQLite's VFS, and through the store's own system calls."""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING, Any

import apsw

from samekey.stores import _files, _holders, _locks, _log
from tests.powerloss.disk import FailedSync, Make, Remove, Rename, Sync, SyncNames, Tape, Truncate, Write
from tests.powerloss.failing import io_error
from tests.stores.apsw_adapter import _FLAGS, _Adapter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

    from samekey.stores._connection import Connection

_names = (f"taped-{number}" for number in itertools.count())
_JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL


class TapedVFS(apsw.VFS):
    """The system's files, with what is asked of them on tape.

    Args:
        tape: where it goes.
        root: paths on the tape are relative to this folder; what lies elsewhere is not on it.
        instead: statements that are run in place of others, to see that the tests notice.
    """

    def __init__(self, tape: Tape, root: str, instead: Mapping[str, str]) -> None:
        self.name = next(_names)
        self.tape = tape
        self._root = root
        self._instead = instead
        super().__init__(self.name, "")

    def connect(self, uri: str) -> Connection:
        return _Reworded(apsw.Connection(uri, vfs=self.name, flags=_FLAGS), self._instead)

    def on_tape(self, path: str) -> str | None:
        found = os.path.relpath(path, self._root)
        return None if found.startswith("..") else found

    def xOpen(self, name: Any, flags: list[int]) -> _TapedFile:  # noqa: N802 - apsw's name
        path = None
        if name is not None:
            path = self.on_tape(name.filename() if hasattr(name, "filename") else str(name))
        asked = flags[0]
        file = _TapedFile(self.tape, path, name, flags)
        if path is not None and asked & apsw.SQLITE_OPEN_CREATE:
            # Of a journal and a log, SQLite syncs the folder with the first sync: unixOpen and unixSync in its source.
            file.folder = os.path.dirname(path) if asked & _JOURNALS else None
            if path not in self.tape.present:
                self.tape.add(Make(path))
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - apsw's name
        super().xDelete(filename, syncdir)
        path = self.on_tape(filename)
        if path is not None:
            self.tape.add(Remove(path))
            if syncdir:
                self.tape.add(SyncNames(os.path.dirname(path), by=path))


class _TapedFile(apsw.VFSFile):
    def __init__(self, tape: Tape, path: str | None, name: Any, flags: list[int]) -> None:
        self._tape = tape
        self._path = path
        self.folder: str | None = None
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - apsw's name
        super().xWrite(data, offset)
        if self._path is not None:
            self._tape.add(Write(self._path, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's name
        super().xTruncate(newsize)
        if self._path is not None:
            self._tape.add(Truncate(self._path, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        if self._path is not None and self._tape.failing:
            self._tape.add(FailedSync(self._path))
            raise io_error(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)
        if self._path is None:
            return
        self._tape.add(Sync(self._path))
        folder, self.folder = self.folder, None
        if folder is not None:
            self._tape.add(SyncNames(folder, by=self._path))


class _Reworded(_Adapter):
    def __init__(self, connection: apsw.Connection, instead: Mapping[str, str]) -> None:
        super().__init__(connection)
        self._instead = instead

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        return super().execute(self._instead.get(sql, sql), parameters)


class TapedOs:
    """The `os` module for what the store does itself: secret, lock, holders, their folders, and the rest of the log."""

    def __init__(self, vfs: TapedVFS) -> None:
        self._vfs = vfs
        self._tape = vfs.tape
        self._open: dict[int, tuple[str, int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        os.mkdir(path, mode)
        if (known := self._vfs.on_tape(path)) is not None:
            self._tape.add(Make(known, folder=True))

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        descriptor = os.open(path, flags, mode)
        known = self._vfs.on_tape(path)
        if known is not None:
            self._open[descriptor] = known, 0
            if flags & os.O_CREAT and known not in self._tape.present:
                self._tape.add(Make(known))
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        written = os.write(descriptor, data)
        path, offset = self._open[descriptor]
        self._tape.add(Write(path, offset, data[:written]))
        self._open[descriptor] = path, offset + written
        return written

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        if descriptor in self._open:
            path = self._open[descriptor][0]
            folder = os.path.isdir(f"/dev/fd/{descriptor}")
            self._tape.add(SyncNames("" if path == "." else path) if folder else Sync(path))

    def fdatasync(self, descriptor: int) -> None:
        path = self._open[descriptor][0]
        if self._tape.failing:
            self._tape.add(FailedSync(path))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fdatasync(descriptor)
        self._tape.add(Sync(path))

    def ftruncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)
        self._tape.add(Truncate(self._open[descriptor][0], length))

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        os.close(descriptor)

    def unlink(self, path: str) -> None:
        os.unlink(path)
        if (known := self._vfs.on_tape(path)) is not None:
            self._tape.add(Remove(known))

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)
        source, target = self._vfs.on_tape(old), self._vfs.on_tape(new)
        assert source is not None
        assert target is not None
        self._tape.add(Rename(source, target))


def tape_os(vfs: TapedVFS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the store's own system calls taped too."""
    taped = TapedOs(vfs)
    for module in (_files, _locks, _log, _holders):
        monkeypatch.setattr(module, "os", taped)
