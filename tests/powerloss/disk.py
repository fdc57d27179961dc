"""A disk that forgets: what was asked of it, in order, and what of that is there after the power was cut.

A power loss is judged as POSIX allows it, not as ext4 happens to behave. Of a file's bytes, what was written since its
last sync is there, or not, or in part; of a directory's names, what was made, renamed or removed since the directory's
last sync is there, or not. So a removed file comes back if nobody synced its directory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from random import Random

SECTOR = 512

# --- what can be asked of it ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Make:
    """A new name for a new, empty file or folder."""

    path: str
    folder: bool = False


@dataclass(frozen=True)
class Write:
    path: str
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Truncate:
    path: str
    size: int


@dataclass(frozen=True)
class Sync:
    """A file's bytes are on the medium when it returns."""

    path: str


@dataclass(frozen=True)
class FailedSync:
    """An error was reported, and Linux takes the file's bytes for written: no later sync tries them again."""

    path: str


@dataclass(frozen=True)
class SyncNames:
    """A folder's names are on the medium when it returns.

    Attributes:
        by: the file for whose sake SQLite syncs the folder: new, or removed.
    """

    path: str
    by: str | None = None


@dataclass(frozen=True)
class Remove:
    path: str


@dataclass(frozen=True)
class Rename:
    path: str
    new: str


@dataclass(frozen=True)
class Mark:
    """Nothing for the disk: what the program knew when it had come so far."""

    what: str
    value: Any = field(default=None, repr=False)


Operation: TypeAlias = Make | Write | Truncate | Sync | FailedSync | SyncNames | Remove | Rename | Mark
Names: TypeAlias = Make | Remove | Rename


class Tape:
    """The operations in their order, and the names that are there now.

    Attributes:
        failing: whether SQLite's syncs fail.
    """

    def __init__(self) -> None:
        self.failing = False
        self.log: list[Operation] = []
        self.present: set[str] = set()

    def add(self, operation: Operation) -> None:
        self.log.append(operation)
        match operation:
            case Make(path):
                self.present.add(path)
            case Remove(path):
                self.present.discard(path)
            case Rename(path, new):
                self.present.discard(path)
                self.present.add(new)
            case _:
                pass

    def mark(self, what: str, value: Any = None) -> None:
        self.add(Mark(what, value))


# --- what a power loss leaves ----------------------------------------------------------------------------------------

Kept = Literal["nothing", "all", "some", "sectors"]
"""What is left of bytes that were not synced."""

KeptNames = Literal["nothing", "all", "some", "made"]
"""What is left of names that were not synced; made: what was made and renamed, but what was removed comes back."""


@dataclass
class _Node:
    folder: bool
    synced: bytes = b""
    pending: list[Write | Truncate] = field(default_factory=list)

    def content(self, kept: Kept, random: Random) -> bytes:
        content = bytearray(self.synced)
        for operation in self.pending:
            if isinstance(operation, Truncate):
                if kept == "all" or (kept != "nothing" and random.random() < 0.5):
                    del content[operation.size :]
                continue
            if kept == "all":
                _put(content, operation.offset, operation.data)
                continue
            for offset, piece in _pieces(operation, whole=kept == "some") if kept != "nothing" else ():
                if random.random() < 0.5:
                    _put(content, offset, piece)
                elif random.random() < 0.5:
                    # The length got there before the bytes: what is there is what the medium held before.
                    missing = max(0, offset + len(piece) - max(len(content), offset))
                    _put(content, offset + len(piece) - missing, random.randbytes(missing))
        return bytes(content)


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if data and len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _pieces(write: Write, *, whole: bool) -> Iterator[tuple[int, bytes]]:
    """The parts of a write that reach the medium each on its own."""
    start, end = write.offset, write.offset + len(write.data)
    while start < end:
        stop = end if whole else min(end, (start // SECTOR + 1) * SECTOR)
        yield start, write.data[start - write.offset : stop - write.offset]
        start = stop


Image: TypeAlias = dict[str, bytes | None]
"""Files with their bytes, folders with None."""


class Disk:
    """The state of the medium after some operations.

    Args:
        strict: a folder's sync settles no more than it was asked for: SQLite's the one name, other syncs what is new. A
            removed file comes back unless its removal was synced itself. Else it settles all names, as on Unix.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._nodes: list[_Node] = []
        self._now: dict[str, int] = {}
        self._synced: dict[str, int] = {}
        self._pending: list[tuple[Names, int]] = []

    def do(self, operation: Operation) -> None:
        match operation:
            case Make(path, folder):
                self._nodes.append(_Node(folder))
                self._now[path] = len(self._nodes) - 1
                self._pending.append((operation, self._now[path]))
            case Remove(path):
                self._pending.append((operation, self._now.pop(path)))
            case Rename(path, new):
                self._now[new] = self._now.pop(path)
                self._pending.append((operation, self._now[new]))
            case Write(path) | Truncate(path):
                self._nodes[self._now[path]].pending.append(operation)
            case Sync(path):
                node = self._nodes[self._now[path]]
                node.synced, node.pending = _everything(node), []
            case FailedSync(path):
                self._nodes[self._now[path]].pending = []
            case SyncNames(path, by):
                self._sync_names(path, by)
            case Mark():
                pass

    def _sync_names(self, folder: str, by: str | None) -> None:
        left = []
        for operation, node in self._pending:
            # With a new name, what became of the same name before is settled too.
            asked = not isinstance(operation, Remove) if by is None else operation.path == by
            if os.path.dirname(operation.path) == folder and (asked or not self._strict):
                _apply(self._synced, operation, node)
            else:
                left.append((operation, node))
        self._pending = left

    def image(self, names: KeptNames, data: Kept, random: Random) -> Image:
        """One of the things that may be there when the power is cut now."""
        there = dict(self._synced)
        for operation, node in self._pending:
            if (
                names == "all"
                or (names == "made" and not isinstance(operation, Remove))
                or (names == "some" and random.random() < 0.5)
            ):
                _apply(there, operation, node)
        found: Image = {}
        for path, number in sorted(there.items()):
            file = self._nodes[number]
            if all(str(folder) in there for folder in Path(path).parents if str(folder) != "."):
                found[path] = None if file.folder else file.content(data, random)
        return found


def _everything(node: _Node) -> bytes:
    content = bytearray(node.synced)
    for operation in node.pending:
        if isinstance(operation, Truncate):
            del content[operation.size :]
        else:
            _put(content, operation.offset, operation.data)
    return bytes(content)


def _apply(names: dict[str, int], operation: Names, node: int) -> None:
    match operation:
        case Make(path):
            names[path] = node
        case Remove(path):
            names.pop(path, None)
        case Rename(path, new):
            names.pop(path, None)
            names[new] = node


def write_image(image: Image, folder: Path) -> None:
    """Lays an image out in a folder, as the next boot finds it."""
    for path, content in image.items():
        if content is None:
            (folder / path).mkdir(mode=0o700)
        else:
            (folder / path).write_bytes(content)


def cuts(log: Iterable[Operation], *, strict: bool) -> Iterator[tuple[int, Operation, Disk, list[Mark]]]:
    """Every moment at which the power can be cut: before each operation, and at the end; with the marks so far."""
    disk = Disk(strict=strict)
    marks: list[Mark] = []
    number = 0
    for operation in log:
        if isinstance(operation, Mark):
            marks.append(operation)
            continue
        number += 1
        yield number, operation, disk, marks
        disk.do(operation)
    yield number + 1, Mark("end"), disk, marks
