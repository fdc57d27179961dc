"""Exit codes, and how a command ends with one sentence instead of a traceback."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from samekey.cli.render import safe
from samekey.errors import SamekeyError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Exit(IntEnum):
    """What the exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    STORE = 4
    REFUSED = 5
    OPEN = 6
    DIFFERS = 7
    INTERRUPTED = 130


EXIT_CODES: Final = {
    Exit.OK: "done",
    Exit.FAILED: "demo: samekey made a duplicate or lost an order; doctor: something is not well; contract --check: it differs; "
    "audit: there are duplicates; probe: it ended early, or was not agreed to",
    Exit.USAGE: "wrong option or argument; a key that fits more than one action",
    Exit.NOT_FOUND: "no such store, or no such action in it",
    Exit.STORE: "the store cannot be used",
    Exit.REFUSED: "the decision was refused: the record is another by now, is being worked on, or does not allow it; "
    "copy: actions are being sent, or the target has other records of the same actions",
    Exit.OPEN: "review --check: there are actions that need somebody; recover, recheck, reencrypt: some are still open",
    Exit.DIFFERS: "probe: the API differs from its profile",
    Exit.INTERRUPTED: "Ctrl-C",
}
"""The exit codes of all commands, for `--help` and the documentation."""


def complain(sentence: str) -> None:
    """Writes one sentence to standard error."""
    print(f"samekey: {safe(sentence)}", file=sys.stderr)


def leave(code: Exit, sentence: str) -> NoReturn:
    """Ends the command."""
    complain(sentence)
    raise typer.Exit(code)


@contextmanager
def sentences() -> Iterator[None]:
    """Ends the command with the sentence of a samekey exception, should there be one."""
    try:
        yield
    except SamekeyError as error:
        leave(_code_of(error), str(error))


def _code_of(error: SamekeyError) -> Exit:
    if isinstance(error, UsageError):
        return Exit.USAGE
    return Exit.STORE if isinstance(error, StoreError) else Exit.FAILED
