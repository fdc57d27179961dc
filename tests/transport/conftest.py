"""A server, a store file, and clients over the transport, of both libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
import tenacity

import samekey
from samekey.testing import FlakyServer

DAY = timedelta(days=1)
AT_ONCE = samekey.RetryPolicy(attempts=5, wait=tenacity.wait_none(), budget=None)
ONCE = samekey.RetryPolicy(attempts=1)
BODY = {"total": "19.99", "currency": "EUR"}

create_order = samekey.Operation("create_order", scope=("order",), reference="/id")

Wire = Callable[..., Any]


class VendorError(Exception):
    """What an SDK wraps everything in."""


def vendor_post(client: Any, *, times: int = 3, **options: Any) -> Any:
    """An SDK's call: retries whatever is raised, with a key of its own each time, and wraps it in the end."""
    headers = {"Idempotency-Key": f"vendor-{times}", "X-Retry-Count": str(times)}
    try:
        return client.post("/orders", json=BODY, headers=headers, **options)
    except Exception as error:
        if times > 1:
            return vendor_post(client, times=times - 1, **options)
        raise VendorError("connection error") from error


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    """One of the two."""
    module: ModuleType = request.param
    return module


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store" / "samekey.db"


@pytest.fixture
def transport(path: Path) -> Iterator[Callable[..., samekey.Transport]]:
    """Makes transports over the one store; each stands for another run of the script."""
    with ExitStack() as stack:

        def make(**options: Any) -> samekey.Transport:
            given: dict[str, Any] = {"window": DAY, "store": path, "retry": AT_ONCE, "verify": False}
            if "provider" in options:
                del given["window"]
            transport = samekey.Transport(**(given | options))
            stack.callback(transport.close)
            return transport

        yield make


@pytest.fixture
def wire(library: ModuleType, server: FlakyServer, transport: Callable[..., samekey.Transport]) -> Iterator[Wire]:
    """Makes clients of the library over such a transport."""
    with ExitStack() as stack:

        def make(*, client: dict[str, Any] | None = None, **options: Any) -> Any:
            below = transport(**options)
            return stack.enter_context(library.Client(base_url=server.url, transport=below, **(client or {})))

        yield make


def order(number: int = 1, operation: Any = create_order, **options: Any) -> samekey.AmbientAction:
    """The ambient action of an order."""
    return samekey.action(operation, scope={"order": number}, **options)
