"""A server, a store file, and clients that are closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import tenacity

import samekey
from samekey._core.model import Moment
from samekey._drivers.runtime import SystemClock
from samekey.testing import FlakyServer

DAY = timedelta(days=1)
AT_ONCE = samekey.RetryPolicy(attempts=5, wait=tenacity.wait_none(), budget=None)
ONCE = samekey.RetryPolicy(attempts=1)

create_order = samekey.Operation("create_order", scope=("order",), reference="/id")
BODY = {"total": "19.99", "currency": "EUR"}

Connect = Callable[..., samekey.Client]


class FakeClock:
    """The machine's clocks, moved on by whoever sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.passed = 0.0

    def now(self) -> Moment:
        real = SystemClock().now()
        wall = real.wall + timedelta(seconds=self.passed)
        return replace(real, wall=wall, boot_time=real.boot_time + self.passed)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds


def fake_clock(client: samekey.Client) -> FakeClock:
    """Gives a client a clock that does not wait."""
    clock = FakeClock()
    client._engine.clock = clock
    return clock


def post(client: samekey.Client, order: Any = 1, url: str = "/orders", **options: Any) -> samekey.Action:
    """One order; returns its action."""
    operation = options.pop("operation", create_order)
    body = {} if options.keys() & {"content", "data", "files", "json"} else {"json": BODY}
    with client.action(operation, scope={"order": order}) as action:
        action.post(url, **body, **options)
    return action


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store" / "samekey.db"


@pytest.fixture
def connect(server: FlakyServer, path: Path) -> Iterator[Connect]:
    """Makes clients of the server, by default with a declared window and the one store."""
    with ExitStack() as stack:

        def make(base_url: str | None = None, **options: Any) -> samekey.Client:
            defaults: dict[str, Any] = {"store": path, "retry": AT_ONCE}
            if options.get("http") is None:
                defaults["verify"] = False  # to load the certificates takes longer than a test
            if "provider" not in options:
                defaults["window"] = DAY
            url = server.url if base_url is None else base_url
            return stack.enter_context(samekey.Client(url, **(defaults | options)))

        yield make


@pytest.fixture
def client(connect: Connect) -> samekey.Client:
    return connect()
