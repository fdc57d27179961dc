"""A server, a store file, and clients that are closed at the end."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import respx
import tenacity

import samekey
from samekey._core.model import Moment
from samekey._drivers.runtime import SystemClock
from samekey.stores import MemoryStore
from samekey.testing import FlakyServer
from tests.client.views import AsyncFakeClock, View, event_loop

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

    def wall(self) -> datetime:
        return self.now().wall

    def sleep(self, seconds: float) -> None:
        if seconds:
            self.slept.append(seconds)
            self.passed += seconds


def fake_clock(client: samekey.Client) -> FakeClock:
    """Gives a client a clock that does not wait."""
    clock = FakeClock()
    engine: Any = client._engine
    engine.clock = AsyncFakeClock(clock) if isinstance(client, View) else clock
    return clock


def post(client: samekey.Client, order: Any = 1, url: str = "/orders", **options: Any) -> samekey.Action:
    """One order; returns its action."""
    operation = options.pop("operation", create_order)
    if not options.keys() & {"content", "data", "files", "json"}:
        options["json"] = BODY
    with client.action(operation, scope={"order": order}) as action:
        action.post(url, **options)
    return action


def known(client: samekey.Client, order: Any = 1) -> samekey.Record:
    """What the store knows of an order."""
    record = client.record(create_order, scope={"order": order})
    assert record is not None
    return record


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store" / "samekey.db"


@dataclass(frozen=True)
class Flavour:
    """Which client the suite is run with.

    Attributes:
        module: the HTTP library.
        backend: the event loop's; None for the synchronous client.
        by_class: whether samekey makes the client below, of the class that it is given.
    """

    module: Any
    backend: str | None = None
    by_class: bool = False

    def build(self, stack: ExitStack, url: str, options: dict[str, Any]) -> samekey.Client:
        """A client, closed at the end. One that brings its own HTTP client is synchronous."""
        given = dict(options)
        asynchronous = self.backend is not None
        if self.by_class:
            given.setdefault("http", self.module.AsyncClient if asynchronous else self.module.Client)
        elif self.module is not httpx:
            own = {name: given.pop(name) for name in list(given) if name not in OURS}
            own.setdefault("timeout", self.module.Timeout(30, connect=5))
            own.setdefault("verify", False)
            make = self.module.AsyncClient if asynchronous else self.module.Client
            given["http"] = make(**own)
            if not asynchronous:
                stack.enter_context(given["http"])
        if self.backend is None:
            return stack.enter_context(samekey.Client(url, **given))
        portal = stack.enter_context(event_loop(self.backend))
        if "http" in given and not self.by_class:
            stack.callback(portal.call, given["http"].aclose)
        if isinstance(given.get("store"), MemoryStore):
            given["store"] = "memory://"
        return stack.enter_context(View(portal, samekey.AsyncClient(url, **given)))


OURS = frozenset(inspect.signature(samekey.Client).parameters) - {"timeout", "httpx_client_options"}
FLAVOURS = {
    "sync": Flavour(httpx),
    "sync-httpx2": Flavour(httpx2),
    "asyncio": Flavour(httpx, "asyncio"),
    "trio-httpx2": Flavour(httpx2, "trio"),
    "asyncio-httpx2": Flavour(httpx2, "asyncio", by_class=True),
}
OVER_RESPX = {"sync": Flavour(httpx), "asyncio": Flavour(httpx, "asyncio"), "trio": Flavour(httpx, "trio")}

synchronous = pytest.mark.parametrize("flavour", ["sync"], indirect=True)
"""For tests of threads, signals and processes, and of what a synchronous client is given."""


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Each kind of client over a socket."""
    return FLAVOURS[request.param]


@pytest.fixture(params=OVER_RESPX)
def mocked(request: pytest.FixtureRequest) -> Flavour:
    """Each kind of client that respx can patch."""
    return OVER_RESPX[request.param]


@pytest.fixture
def connect(server: FlakyServer, path: Path, flavour: Flavour) -> Iterator[Connect]:
    """Makes clients of the server, by default with a declared window and the one store."""
    with ExitStack() as stack:

        def make(base_url: str | None = None, **options: Any) -> samekey.Client:
            defaults: dict[str, Any] = {"store": path, "retry": AT_ONCE}
            if options.get("http") is None:
                defaults["verify"] = False  # to load the certificates takes longer than a test
            if "provider" not in options:
                defaults["window"] = DAY
            url = server.url if base_url is None else base_url
            return flavour.build(stack, url, defaults | options)

        yield make


@pytest.fixture
def client(connect: Connect) -> samekey.Client:
    return connect()


# HTTP alone, without a socket

API = "https://api.shop.example"
OK = httpx.Response(201, json={"id": "order_1"})


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=API, assert_all_called=False) as router:
        yield router


@pytest.fixture
def shop(mocked: Flavour) -> Iterator[samekey.Client]:
    """A client of `api`."""
    with ExitStack() as stack:
        options = {"window": DAY, "store": MemoryStore(), "retry": AT_ONCE, "verify": False}
        yield mocked.build(stack, API, options)
