"""The files of a store: the database and what lies beside it.

The database itself is never opened by us, only by SQLite: closing it would drop the locks that SQLite holds in this
process, and another process would then lose commits. The one exception is its creation, before SQLite knows it.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from samekey.errors import StoreFormatError, StoreUnavailableError
from samekey.stores._errors import NOTHING_SENT
from samekey.stores._mounts import network_file_system

PRIVATE_DIRECTORY: Final = 0o700
PRIVATE_FILE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Files:
    """Where the parts of one store are.

    Attributes:
        shown: the path as the user knows it.
        database: the file itself, symbolic links followed, so that all its users find the same neighbours.
    """

    shown: str
    database: str

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Self:
        """The files of the store at `path`."""
        shown = os.path.abspath(os.fspath(path))
        return cls(shown, os.path.realpath(shown))

    @property
    def directory(self) -> str:
        """The directory of the database."""
        return os.path.dirname(self.database)

    @property
    def lock(self) -> str:
        """Writers queue at this file."""
        return self.database + ".lock"

    @property
    def keeper(self) -> str:
        """The lock of the one process that empties the log."""
        return self.database + ".keeper"

    @property
    def log(self) -> str:
        """SQLite's write-ahead log."""
        return self.database + "-wal"

    @property
    def index(self) -> str:
        """SQLite's index of the log, which all processes share: memory behind a file."""
        return self.database + "-shm"

    @property
    def secret(self) -> str:
        """What keys are derived from; its presence also says that a store was made here."""
        return self.database + ".secret"

    @property
    def holders(self) -> str:
        """A directory with one locked file per process that holds actions."""
        return self.database + ".holders"


def refuse_unfit(files: Files) -> None:
    """Looks at the place, without changing anything.

    Raises:
        StoreFormatError: something else is there, the store has vanished, or it is on a network file system.
        StoreUnavailableError: it belongs to another user, or another user could replace it.
    """
    kind = network_file_system(files.database)
    if kind is not None:
        raise StoreFormatError(
            f"the store {files.shown} is on a network file system ({kind}), whose locks do not protect it, "
            f"{NOTHING_SENT}; choose a path on a local disk."
        )
    _refuse_tricks(files, _stat(files.database))
    # In this order: a store in the making has bytes before it has a secret.
    made_before = os.path.lexists(files.secret)
    found = _stat(files.database)
    if made_before and (found is None or (stat.S_ISREG(found.st_mode) and found.st_size == 0)):
        raise StoreFormatError(
            f"the store {files.shown} has vanished: its secret is still there, its database is not, {NOTHING_SENT}; "
            f"restore the database, or remove {files.secret} if every action in it may be sent again."
        )
    if found is None:
        return
    if not stat.S_ISREG(found.st_mode):
        what = "a directory" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise StoreFormatError(f"{files.shown} is {what}, {NOTHING_SENT}; give store= the path of a file.")
    if found.st_uid != os.geteuid():
        raise StoreUnavailableError(
            f"the store {files.shown} belongs to another user (uid {found.st_uid}), {NOTHING_SENT}; run it as that "
            "user, or choose another store."
        )


def _refuse_tricks(files: Files, found: os.stat_result | None) -> None:
    """What another user of the machine could have put here, so that we write or read a file of theirs or of ours."""
    for path in _on_the_way(files.shown):
        link = _lstat(path)
        if link is not None and stat.S_ISLNK(link.st_mode) and link.st_uid not in {os.geteuid(), 0}:
            raise StoreUnavailableError(
                f"the way to the store {files.shown} goes over a symbolic link of another user ({path}), {NOTHING_SENT}; "
                "give the real path."
            )
    directory = _stat(files.directory)
    if directory is not None and directory.st_mode & stat.S_IWOTH and not directory.st_mode & stat.S_ISVTX:
        raise StoreUnavailableError(
            f"every user of this machine can replace the store {files.shown}, {NOTHING_SENT}; chmod o-w "
            f"{files.directory}, or choose a directory of your own."
        )
    if found is not None and stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        raise StoreFormatError(
            f"the store {files.shown} has {found.st_nlink} names (hard links), of which each would have a log of its own, "
            f"{NOTHING_SENT}; remove the others, and copy a store with a backup of SQLite's."
        )
    for path in (
        files.lock,
        files.keeper,
        files.log,
        f"{files.database}-shm",
        f"{files.database}-journal",
        files.secret,
        files.holders,
    ):
        beside = _lstat(path)
        if beside is not None and (stat.S_ISLNK(beside.st_mode) or beside.st_uid != os.geteuid()):
            what = (
                "is a symbolic link"
                if stat.S_ISLNK(beside.st_mode)
                else f"belongs to another user (uid {beside.st_uid})"
            )
            raise StoreUnavailableError(
                f"{path}, which is a part of the store, {what}, {NOTHING_SENT}; remove it if nobody uses it, or choose "
                "another store."
            )


def _on_the_way(path: str) -> list[str]:
    """A path and all directories above it."""
    above = [path]
    while (parent := os.path.dirname(above[-1])) != above[-1]:
        above.append(parent)
    return above


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def make_directory(path: str) -> None:
    """Makes a directory and its missing parents, private and durable; what exists stays as it is."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        make_directory(parent)
    with suppress(FileExistsError):
        os.mkdir(path, PRIVATE_DIRECTORY)
        os.chmod(path, PRIVATE_DIRECTORY)  # a umask may have taken our own rights too
        sync_directory(parent)


def sync_directory(path: str) -> None:
    """Makes the names in a directory survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_private(path: str, flags: int) -> int:
    """Opens a file of ours, and makes it private from its first byte, whatever the umask. Follows no link."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW, PRIVATE_FILE)
    if flags & os.O_CREAT and stat.S_IMODE(os.fstat(descriptor).st_mode) & PRIVATE_FILE != PRIVATE_FILE:
        os.fchmod(descriptor, PRIVATE_FILE)
    return descriptor


def reserve(files: Files) -> None:
    """Makes the empty database file, private, so that SQLite's own files beside it are private too."""
    with suppress(FileExistsError):
        # SQLite does not know the file yet, so closing it takes no lock away.
        os.close(open_private(files.database, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        sync_directory(files.directory)


def write_durably(path: str, content: bytes) -> None:
    """Puts a small private file in place, whole or not at all."""
    new = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(new)  # left by a process that was killed right here
    descriptor = open_private(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(new, path)
    sync_directory(os.path.dirname(path))


def read_small(path: str) -> bytes | None:
    """The content of a small file of ours (never the database), or None if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
