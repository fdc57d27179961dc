"""A copy of the tree in which one mutant at a time lives, and children that run in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

from tests.mutants.mutant import PACKAGE, Mutant

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "docs", "benchmarks")
ENDLESS = 900.0
"""Seconds after which a child does not end by itself: the mutant hangs."""


@dataclass(frozen=True)
class Run:
    """What a child said.

    Attributes:
        failed: whether it found something.
        by: the test, or the history, or what else told.
        seconds: how long it took.
    """

    failed: bool
    by: str
    seconds: float


class ChildError(RuntimeError):
    """A child did not do what it was asked: it says nothing about the mutant."""


class Workspace:
    """The copy."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        shutil.copytree(ROOT, self.root, ignore=LEFT_OUT)

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Has the mutant in the tree, and only this one."""
        before = {edit.file: self._path(edit.file).read_text(encoding="utf-8") for edit in mutant.edits}
        try:
            for edit in mutant.edits:
                text = self._path(edit.file).read_text(encoding="utf-8")
                self._write(edit.file, text.replace(edit.old, edit.new))
            yield
        finally:
            for file, text in before.items():
                self._write(file, text)

    def run(self, finder: Sequence[str], *, histories: int) -> Run:
        """Runs the simulation or some tests in the copy.

        Raises:
            ChildError: it ran something else, or nothing.
        """
        begun = time.monotonic()
        command = [sys.executable, "-m", "tests.mutants.child", str(self.root / "src"), str(histories), *finder]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.root / "src"), str(self.root)]),
            "CI": "1",  # the same examples on every run
        }
        try:
            child = subprocess.run(
                command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=ENDLESS, check=False
            )
        except subprocess.TimeoutExpired:
            return Run(True, f"no end within {ENDLESS:.0f} s", time.monotonic() - begun)
        return _read(child, time.monotonic() - begun)

    def _path(self, file: str) -> Path:
        return self.root / PACKAGE / file

    def _write(self, file: str, text: str) -> None:
        path = self._path(file)
        path.write_text(text, encoding="utf-8")
        # Python compares whole seconds and sizes, which two mutants may have in common.
        Path(cache_from_source(str(path))).unlink(missing_ok=True)


def _read(child: subprocess.CompletedProcess[str], seconds: float) -> Run:
    last = child.stdout.strip().rpartition("\n")[2]
    try:
        said = json.loads(last)
        return Run(said["failed"], said["by"], seconds)
    except (ValueError, KeyError, TypeError):
        raise ChildError(f"{last or child.stderr.strip()[-2000:] or 'it said nothing'}") from None
