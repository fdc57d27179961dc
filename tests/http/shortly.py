"""Clients that samekey makes, over connections that their requests leave one another: what the tests of the short way share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from samekey.http.guard import build_client
from samekey.http.library import library_named
from samekey.http.onewrite import ALONE
from tests.http.conftest import TRUST
from tests.http.servers import Peer

Build = Callable[..., Any]


@pytest.fixture
def build(module: Any) -> Iterator[Build]:
    """Makes the clients that samekey makes, for threads."""
    with ExitStack() as stack:

        def make(url: str, **options: Any) -> Any:
            library = library_named(module.__name__, asynchronous=False)
            return stack.enter_context(build_client(library, url, options={"verify": TRUST, **options}))

        yield make


def answers(peer: Peer) -> None:
    while peer.read_request():
        peer.answer()


class Follower:
    """Who sends a request, and what that one is told of it."""

    def __init__(self, *, fresh: bool = False, veto: BaseException | None = None) -> None:
        self.fresh = fresh
        self.veto = veto
        self.told: list[Any] = []

    def leaves_untraced(self) -> None:
        self.told.append("leaves")
        if self.veto is not None:
            raise self.veto

    def stays(self) -> None:
        self.told.append("stays")

    def head_failed(self, error: BaseException) -> None:
        self.told.append(type(error).__name__)

    def is_out(self) -> None:
        self.told.append("is out")

    def answered(self, status: int) -> None:
        self.told.append(status)


def request(client: Any, url: str = "/orders", *, alone: bool = True, follower: Follower | None = None) -> Any:
    extensions = {ALONE: follower or Follower()} if alone else {}
    return client.build_request("POST", url, content=b"{}", extensions=extensions)


def post(client: Any, url: str = "/orders", *, alone: bool = True) -> int:
    status: int = client.send(request(client, url, alone=alone)).status_code
    return status


def looks(pool: Any) -> list[int]:
    """Gets an element whenever the pool looks through its connections from now on."""
    seen: list[int] = []
    usual = pool._assign_requests_to_connections

    def counted() -> Any:
        seen.append(len(pool.connections))
        return usual()

    pool._assign_requests_to_connections = counted
    return seen
