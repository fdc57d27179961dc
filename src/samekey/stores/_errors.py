"""What went wrong below, in one sentence each: what happened, whether anything was sent, what to do next."""

import errno
import sqlite3
import threading
from typing import Final

from samekey.errors import StoreError, StoreFormatError, StoreUnavailableError

NOTHING_SENT: Final = "so nothing was sent"
NOT_RECORDED: Final = "so this was not recorded"
KEEP: Final = "do not delete the file: it is what prevents duplicates"

_SQLITE: Final = {
    "SQLITE_FULL": ("cannot be written (disk full)", "free space and run it again"),
    "SQLITE_READONLY_DBMOVED": (
        "was deleted or replaced while it was in use",
        "put the file back and start the program again",
    ),
    "SQLITE_READONLY_DIRECTORY": (
        "cannot be written (its directory is read-only)",
        "make the directory writable and run it again",
    ),
    "SQLITE_READONLY": ("cannot be written (read-only)", "make the file writable and run it again"),
    "SQLITE_CANTOPEN": (
        "cannot be opened",
        "check the file, its directory and their permissions, and run it again",
    ),
    "SQLITE_BUSY": ("has been locked for too long by another program", "end that program and run it again"),
    "SQLITE_LOCKED": ("has been locked for too long by another program", "end that program and run it again"),
    "SQLITE_PERM": ("cannot be used (no permission)", "check the file's permissions and run it again"),
    "SQLITE_AUTH": ("cannot be used (no permission)", "check the file's permissions and run it again"),
}
_DAMAGED: Final = ("SQLITE_CORRUPT", "SQLITE_FORMAT", "SQLITE_ERROR", "SQLITE_SCHEMA")
_OS: Final = {
    errno.EACCES: (
        "cannot be written (no permission)",
        "check the permissions of its directory and run it again",
    ),
    errno.EPERM: (
        "cannot be written (no permission)",
        "check the permissions of its directory and run it again",
    ),
    errno.EROFS: ("cannot be written (read-only file system)", "choose a writable place and run it again"),
    errno.ENOSPC: ("cannot be written (disk full)", "free space and run it again"),
    errno.EDQUOT: ("cannot be written (disk quota reached)", "free space and run it again"),
    errno.EIO: ("cannot be written (the disk reports an error)", "check the disk and run it again"),
    errno.EFBIG: ("cannot be written (file too large)", "raise the limit on file sizes and run it again"),
}


def from_sqlite(error: sqlite3.Error, path: str, *, so: str = NOTHING_SENT, uncertain: bool = False) -> StoreError:
    """Translates what the SQLite library raised.

    Args:
        error: the exception, with `sqlite_errorname` where the library gave one.
        path: the store's file.
        so: what that means for the caller.
        uncertain: whether it was the commit that failed.
    """
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith("SQLITE_NOTADB"):
        return StoreFormatError(f"{path} is not a samekey store, {so}; give store= another path.")
    if name.startswith("SQLITE_CONSTRAINT"):
        return StoreFormatError(
            f"the store {path} has this key under another action, {so}; find out who else writes to it, and {KEEP}."
        )
    if name.startswith(_DAMAGED):
        return StoreFormatError(
            f"the store {path} is damaged ({error}), {so}; restore it from a backup, or save what 'sqlite3 .recover' "
            f"finds in it, and {KEEP}."
        )
    for start, (what, then) in _SQLITE.items():
        if name.startswith(start):
            return StoreUnavailableError(f"the store {path} {what}, {so}; {then}.", uncertain=uncertain)
    return StoreUnavailableError(
        f"the store {path} failed ({name or type(error).__name__}: {error}), {so}; check the disk and run it again.",
        uncertain=uncertain,
    )


def is_of_the_disk(error: sqlite3.Error) -> bool:
    """Whether the disk is to blame, so that a statement which commits itself may be on it all the same."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_IOERR", "SQLITE_FULL"))


def leave_to_its_handler(error: Exception) -> None:
    """Raises an `OSError` that no call on a file has raised, such as `TimeoutError("too long")`.

    A signal handler raised it while the call went on, and it is for who set the handler, as a Ctrl-C is. Handlers run in the
    main thread only.

    Raises:
        OSError: the exception itself.
    """
    if isinstance(error, OSError) and (error.errno is None or isinstance(error, _OF_SOCKETS)) and _is_main():
        raise error


_OF_SOCKETS: Final = (BrokenPipeError, ConnectionRefusedError, ConnectionResetError)
"""And not ConnectionAbortedError, which a file system in a program of its own can raise."""


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def from_os(error: OSError, path: str, *, so: str = NOTHING_SENT, uncertain: bool = False) -> StoreUnavailableError:
    """Translates what the operating system raised.

    Args:
        error: the exception.
        path: the store's file.
        so: what that means for the caller.
        uncertain: whether it was the sync after a commit that failed.

    Raises:
        OSError: the exception itself, if it is a signal handler's.
    """
    leave_to_its_handler(error)
    why = error.strerror or type(error).__name__
    what, then = _OS.get(error.errno or 0, (f"cannot be used ({why})", "check the path and run it again"))
    return StoreUnavailableError(f"the store {path} {what}, {so}; {then}.", uncertain=uncertain)
