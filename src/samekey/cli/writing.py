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


def write(path: str, text: str) -> None:
    """Puts a text file in place in one step; ends the command if that cannot be done, and then nothing has changed."""
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(READABLE)
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        leave(Exit.USAGE, f"{path} cannot be written ({error.strerror}); name a file in a directory of yours.")
