"""Real processes for the store tests."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent

PRELUDE = """
import os, signal, sys
from samekey.stores import SQLiteStore
from samekey.errors import StoreError
from tests.stores.builders import claimed, done, record, settlement, stored, at
path = sys.argv[1]
def say(text):
    os.write(1, f'{text}\\n'.encode())  # at once: forked processes share the pipe
"""


@contextmanager
def child(code: str, *arguments: Any, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Runs Python on `code`, with stdin and stdout as pipes; it is killed at the latest when the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def output_of(code: str, *arguments: Any, **options: Any) -> str:
    """All that it says; it must end well."""
    with child(code, *arguments, **options) as process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said.strip()
