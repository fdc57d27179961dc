"""A usual action leaves no circle of objects for the garbage collector, which would otherwise go through all that lives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_an_action_leaves_no_circle(flavour: str, library: str) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.client.leaving", flavour, library],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(child.stdout) == []
