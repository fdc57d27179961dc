"""Fixtures for tests of scripts that use samekey; pytest finds them by itself. Nothing happens until one is asked for.

They are described in the documentation, "Test your script". This module is imported at every start of pytest, also by
who does not use samekey today, so it imports nothing of samekey's by itself.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from samekey.stores import SQLiteStore
    from samekey.testing import Crash, FlakyServer, ManualClock, ModelAPI

MOST_ATTEMPTS = 10
"""Sends in one run where nothing waits: a policy made for hours must not run through its thousand attempts at once."""


@pytest.fixture
def samekey_store(tmp_path: Path) -> Iterator[SQLiteStore]:
    """A store of this test's own; every client takes it that is given no store object, in programs it starts too."""
    from samekey.stores import SQLiteStore
    from samekey.testing import set_testing

    store = SQLiteStore(tmp_path / "samekey.db")
    with set_testing(store=store.location):
        yield store
    store.close()


@pytest.fixture
def samekey_server(samekey_store: SQLiteStore) -> Iterator[FlakyServer]:  # noqa: ARG001 (a server goes with a fresh store)
    """A running `FlakyServer` that shares the test's clock."""
    from samekey._testmode import TESTMODE
    from samekey.testing import FlakyServer

    def now() -> float:
        return time.time() if TESTMODE.clock is None else TESTMODE.clock.wall().timestamp()

    with FlakyServer(clock=now) as server:
        yield server


@pytest.fixture
def samekey_clock() -> Iterator[ManualClock]:
    """A clock that stands still until the test moves it, in place of the machine's."""
    from samekey.testing import ManualClock, set_testing

    clock = ManualClock()
    with set_testing(clock=clock):
        yield clock


@pytest.fixture
def samekey_no_sleep(request: pytest.FixtureRequest) -> Iterator[ManualClock]:
    """No wait before a further attempt takes time, and a run has ten attempts at most; `.waits` tells what was waited."""
    from samekey.testing import ManualClock, set_testing

    own = "samekey_clock" in request.fixturenames
    clock: ManualClock = request.getfixturevalue("samekey_clock") if own else ManualClock(ticking=True)
    with set_testing(clock=clock, attempts=MOST_ATTEMPTS):
        yield clock


@pytest.fixture
def crash_at(samekey_server: FlakyServer) -> Callable[..., Crash]:
    """`samekey.testing.crash_at`, for scripts that write to `samekey_server`."""
    from samekey.testing import crash_at

    crash: Callable[..., Any] = functools.partial(crash_at, server=samekey_server)
    return crash


@pytest.fixture
def assert_effects() -> Callable[[ModelAPI, int], None]:
    """`samekey.testing.assert_effects`."""
    from samekey.testing import assert_effects

    return assert_effects
