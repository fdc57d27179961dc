"""Writes through a proxy's tunnel: its CONNECT is no request, and the answer to it no answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

import samekey
from samekey.http.exchange import Exchange, exchange, exchange_async
from samekey.http.library import library_of
from tests.http.conftest import NOW, prepared
from tests.http.servers import Peer, Server

Drop = Callable[[Peer], None]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def api(authority: trustme.CA) -> Iterator[Server]:
    """Executes what it gets, answers the first request of all, and no later one; each has a connection of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def once(peer: Peer) -> None:
        if peer.read_request() and len(peer.server.requests) == 1:
            peer.answer(headers=("Content-Type: application/json", "Connection: close"))

    with Server(once, tls=context) as server:
        yield server


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def tunnel(peer: Peer) -> None:
    """A proxy that does as it is told."""
    head = peer.read_head()
    if not head:
        return
    host, _, port = head.split(b" ")[1].decode().rpartition(":")
    with socket.create_connection((host, int(port))) as beyond:
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=pump, args=(beyond, peer.sock), daemon=True)
        back.start()
        pump(peer.sock, beyond)
        back.join()


@pytest.fixture
def proxy() -> Iterator[Server]:
    with Server(tunnel) as server:
        yield server


class Late:
    """A clock that says that it is too late from the second look on."""

    def __init__(self, on_time: int) -> None:
        self.looks = 0
        self.on_time = on_time

    def __call__(self) -> datetime:
        self.looks += 1
        return NOW if self.looks <= self.on_time else NOW + timedelta(hours=1)


def sent(
    module: Any, url: str, *, asynchronous: bool, on_time: int = 9, **options: Any
) -> tuple[Exchange[Any], Exchange[Any]]:
    """Two writes of a kind, each through a tunnel of its own: the second one comes from a mould."""
    how: dict[str, Any] = {"not_after": NOW + timedelta(seconds=60)}

    def one(client: Any) -> dict[str, Any]:
        ready = prepared(client, json={"total": "19.99"})
        return {"request": ready.request, "auth": ready.auth, "alone": ready.alone}

    async def both() -> tuple[Exchange[Any], Exchange[Any]]:
        async with module.AsyncClient(base_url=url, **options) as client:
            library = library_of(client)
            first = await exchange_async(library, client, clock=lambda: NOW, **one(client), **how)
            again = one(client)
            assert again["alone"]
            return first, await exchange_async(library, client, clock=Late(on_time), **again, **how)

    if asynchronous:
        return asyncio.run(both())
    with module.Client(base_url=url, **options) as client:
        library = library_of(client)
        first = exchange(library, client, clock=lambda: NOW, **one(client), **how)
        again = one(client)
        assert again["alone"]
        return first, exchange(library, client, clock=Late(on_time), **again, **how)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_write_whose_answer_is_lost_behind_a_tunnel_may_have_been_sent(
    module: Any, api: Server, proxy: Server, trusted: ssl.SSLContext, *, asynchronous: bool
) -> None:
    url = f"https://localhost:{api.port}"
    first, second = sent(module, url, asynchronous=asynchronous, verify=trusted, proxy=proxy.url)
    assert first.reply is not None
    assert second.failure is not None
    assert second.failure.sent
    assert len(api.requests) == proxy.connections == 2


def test_the_last_look_is_after_the_tunnel_was_made(
    module: Any, api: Server, proxy: Server, trusted: ssl.SSLContext, *, asynchronous: bool
) -> None:
    url = f"https://localhost:{api.port}"
    _, second = sent(module, url, asynchronous=asynchronous, on_time=1, verify=trusted, proxy=proxy.url)
    assert second.failure is not None
    assert not second.failure.sent
    assert (len(api.requests), proxy.connections) == (1, 2)


def test_nothing_is_paid_twice_through_a_tunnel(
    api: Server, proxy: Server, trusted: ssl.SSLContext, tmp_path: Path
) -> None:
    """An API without keys: what may have happened waits for a person."""
    options: dict[str, Any] = {"verify": trusted, "proxy": proxy.url, "store": tmp_path / "samekey.db"}
    with samekey.Client(f"https://localhost:{api.port}", provider="keyless", **options) as client:

        def pay(invoice: int) -> None:
            with client.action("pay", scope={"invoice": invoice}) as action:
                action.post("/pay", json={"total": "19.99"})

        pay(1)
        for _ in range(2):
            with pytest.raises(samekey.NeedsReviewError):
                pay(2)
    assert len(api.requests) == 2
