"""What holds for every test: its own state directory, no outside settings, repeatable examples in CI."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]  # for the tests of our own plugin

PROXIES = [f"{scheme}_PROXY" for scheme in ("ALL", "HTTP", "HTTPS", "NO")]
OUTSIDE = ["SAMEKEY_ENCRYPTION_KEY", "SAMEKEY_SECRET", "SAMEKEY_STORE", *PROXIES, *(name.lower() for name in PROXIES)]
"""Settings of the machine that would change what a test sees."""

# A shell that runs its children in the background has them ignore Ctrl-C, and their children too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Where this is set, each of the many children compiles httpx, pydantic and samekey anew: 2 s of a processor, not 0.8 s.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shared runner stalls now and then, so no deadline; in CI the examples are the same on every run.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests, and the children they start, away from the user's store and proxies."""
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
