"""Both libraries, and short ways to make one attempt."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import httpx2
import pytest

from samekey.http.exchange import Exchange, exchange
from samekey.http.library import Library, library_of
from samekey.http.outgoing import Prepared, prepare

TRUST = ssl.create_default_context()
"""Made once: it takes longer than most tests."""

NOW = datetime(2026, 11, 24, 5, 10, tzinfo=UTC)


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def module(request: pytest.FixtureRequest) -> Any:
    """The namespace of either library."""
    return request.param


@pytest.fixture
def library(module: Any) -> Iterator[Library[Any, Any]]:
    with module.Client(verify=TRUST) as client:
        yield library_of(client)


@pytest.fixture
def connect(module: Any) -> Iterator[Callable[..., Any]]:
    """Makes clients that are closed at the end."""
    with ExitStack() as stack:

        def make(**options: Any) -> Any:
            return stack.enter_context(module.Client(**{"timeout": 10.0, "verify": TRUST, **options}))

        yield make


def prepared(client: Any, url: str = "/orders", **options: Any) -> Prepared:
    """A POST, ready to be sent."""
    return prepare(library_of(client), client, "POST", url, options, boundary="b0undary")


def attempt(client: Any, url: str = "/orders", *, request: Any = None, **options: Any) -> Exchange[Any]:
    """One POST with a JSON body, or the given request, as `exchange` sees it."""
    how = {name: options.pop(name) for name in ("fresh_connection", "timeout_left", "clock") if name in options}
    if request is None:
        options.setdefault("json", {"total": "19.99"})
        request = prepared(client, url, **options).request
    library = library_of(client)
    return exchange(
        library,
        client,
        request,
        auth=library.module.USE_CLIENT_DEFAULT,
        clock=how.get("clock", lambda: NOW),
        not_after=NOW + timedelta(seconds=60),
        timeout=how.get("timeout_left"),
        fresh_connection=how.get("fresh_connection", False),
    )
