"""A connection of asyncio that is listened to all the time: nothing of what comes unasked is taken for an answer, or grows."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
from collections import deque
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trustme

from samekey.http import listening
from tests.http.many import asynchronous, built
from tests.http.servers import Peer, Server

if TYPE_CHECKING:
    from samekey.http.library import Library

__all__ = ["asynchronous"]  # fixtures

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def answers(peer: Peer) -> None:
    while peer.read_request():
        peer.answer()


def trusting_and_trusted() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a client and of the server that it trusts."""
    authority = trustme.CA()
    trusting, trusted = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(trusting)
    authority.issue_cert("127.0.0.1").configure_cert(trusted)
    return trusting, trusted


def line_of(client: Any) -> Any:
    """The connection of a client that has made one."""
    (connection,) = client._transport.pools[0].transport._pool.connections
    return connection._connection


def protocol_of(client: Any) -> Any:
    stream = line_of(client)._network_stream._below._stream
    return getattr(stream, "transport_stream", stream)._protocol


async def test_it_is_listened_to_once(asynchronous: Library[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def told(name: str) -> None:
        usual = getattr(asyncio.SelectorEventLoop, name)

        def call(loop: Any, *arguments: Any) -> Any:
            asked.append(name)
            return usual(loop, *arguments)

        monkeypatch.setattr(asyncio.SelectorEventLoop, name, call)

    with Server(answers) as server:
        async with built(asynchronous, server.url) as client:
            assert (await client.post("/", content=b"{}")).status_code == 200
            for name in "_add_reader", "_remove_reader":
                told(name)
            for _ in range(3):
                assert (await client.post("/", content=b"{}")).status_code == 200
            assert asked == []
        assert server.connections == 1


@pytest.mark.parametrize("over_tls", [False, True])
async def test_what_has_come_unasked_is_not_the_next_answer(asynchronous: Library[Any, Any], over_tls: bool) -> None:
    """It is not in the system any more, where httpcore looks for it."""
    said = threading.Event()
    trusting, tls = trusting_and_trusted()

    def talkative(peer: Peer) -> None:
        while peer.read_request():
            peer.send(OK)
            if len(server.requests) == 1:
                said.wait()
                peer.send(b"HTTP/1.1 500 Unasked\r\ncontent-length: 0\r\n\r\n")

    with Server(talkative, tls=tls if over_tls else None) as server:
        async with built(asynchronous, server.url, verify=trusting) as client:
            assert (await client.post("/", content=b"{}")).status_code == 200
            protocol = protocol_of(client)
            said.set()
            while not protocol.read_queue:
                await anyio.lowlevel.checkpoint()
            assert line_of(client).has_expired()
            assert [(await client.post("/", content=b"{}")).status_code for _ in range(2)] == [200] * 2
        assert server.connections == 2


async def test_nor_is_what_came_with_the_answer_over_tls(asynchronous: Library[Any, Any]) -> None:
    """It has left the queue then, with the piece that the answer was in."""
    trusting, tls = trusting_and_trusted()

    def talkative(peer: Peer) -> None:
        while peer.read_request():
            peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            peer.send(OK)
            if len(server.requests) == 1:
                peer.send(b"HTTP/1.1 500 Unasked\r\ncontent-length: 0\r\n\r\n")
            peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    with Server(talkative, tls=tls) as server:
        async with built(asynchronous, server.url, verify=trusting) as client:
            assert [(await client.post("/", content=b"{}")).status_code for _ in range(3)] == [200] * 3
        assert server.connections == 2


async def test_a_client_that_is_forgotten_leaves_no_connection(asynchronous: Library[Any, Any]) -> None:
    with Server(answers) as server:
        client = built(asynchronous, server.url)
        assert (await client.post("/", content=b"{}")).status_code == 200
        transport = protocol_of(client).transport
        del client
        for _ in range(10):
            gc.collect()
            await anyio.lowlevel.checkpoint()
        assert transport.is_closing()


async def test_a_connection_whose_end_has_come_is_not_used_again(asynchronous: Library[Any, Any]) -> None:
    ends = threading.Semaphore(0)

    def once(peer: Peer) -> None:
        peer.read_request()
        peer.answer()
        ends.acquire()

    with Server(once) as server:
        async with built(asynchronous, server.url) as client:
            for number in (1, 2):
                assert (await client.post("/", content=b"{}")).status_code == 200
                protocol = protocol_of(client)
                ends.release()
                while not (protocol.is_at_eof or protocol.exception):
                    await anyio.lowlevel.checkpoint()
                assert line_of(client).has_expired()
                assert server.connections == number


async def test_a_server_that_says_more_and_more_is_listened_to_no_more(asynchronous: Library[Any, Any]) -> None:
    said = threading.Event()

    def endless(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        said.wait()
        with suppress(OSError):
            while True:
                peer.sock.sendall(bytes(1 << 20))

    with Server(endless) as server:
        async with built(asynchronous, server.url) as client:
            assert (await client.post("/", content=b"{}")).status_code == 200
            protocol = protocol_of(client)
            said.set()
            while protocol.transport.is_reading() and len(protocol.read_queue) < 10 * listening.MOST_PIECES:
                await anyio.lowlevel.checkpoint()
            assert len(protocol.read_queue) == listening.MOST_PIECES
            assert line_of(client).has_expired()


async def test_an_answer_of_many_pieces_is_read_to_its_end(asynchronous: Library[Any, Any]) -> None:
    """Also when more of it has come than is kept at once."""
    body = bytes(range(256)) * 40_000

    def large(peer: Peer) -> None:
        while peer.read_request():
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    with Server(large) as server:
        async with built(asynchronous, server.url) as client:
            for _ in range(2):
                async with client.stream("POST", "/", content=b"{}") as response:
                    protocol = protocol_of(client)
                    while protocol.transport.is_reading():
                        await anyio.lowlevel.checkpoint()
                    assert await response.aread() == body
        assert server.connections == 1


def transport_of(name: str) -> Any:
    return type(name, (), {})()


@pytest.mark.parametrize(
    "stream",
    [
        SimpleNamespace(),  # of trio
        SimpleNamespace(_stream=SimpleNamespace(_transport=transport_of("TCPTransport"), _protocol=None)),  # of uvloop
        SimpleNamespace(
            _stream=SimpleNamespace(_transport=transport_of("_SelectorSocketTransport"), _protocol=SimpleNamespace())
        ),  # of another anyio
        SimpleNamespace(
            _stream=SimpleNamespace(
                _transport=transport_of("_SelectorSocketTransport"),
                _protocol=SimpleNamespace(read_queue=deque(), read_event=asyncio.Event()),
            )
        ),  # of one that does not know of a connection's end
    ],
)
async def test_one_that_is_built_otherwise_stays_as_it_is(stream: Any) -> None:
    assert listening.go_on(stream) is None
