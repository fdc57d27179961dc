"""Writing a file that others read meanwhile: they see the old one or the new one, whole."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from samekey.cli.exits import Exit, leave

READABLE: Final = 0o644
"""Readable for everybody, as a collector that runs under another user needs it."""


def write(path: str, text: str, mode: int | None = None) -> None:
    """Puts a text file in place in one step; ends the command if that cannot be done, and then nothing has changed.

    Args:
        path: where.
        text: what.
        mode: who may read it; None for what the umask says.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        leave(Exit.USAGE, f"{path} is not a regular file, and would be replaced by one; name a file.")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o666 & ~_umask() if mode is None else mode)
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        leave(Exit.USAGE, f"{path} cannot be written ({error.strerror}); name a file in a directory of yours.")


def _umask() -> int:
    """What the process takes from new files; it can be read only by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
