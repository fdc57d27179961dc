"""What leaves the machine together: the head and the body of an action's request, and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from samekey.http.exchange import Exchange, exchange_async
from samekey.http.onewrite import ALONE, OneWrite, install
from samekey.http.outgoing import prepare
from tests.http.conftest import NOW
from tests.http.many import anyio_backend, asynchronous, built
from tests.http.servers import Peer, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from samekey.http.library import Library

__all__ = ["anyio_backend", "asynchronous"]  # fixtures

pytestmark = pytest.mark.anyio


class Below:
    """A connection, or what opens it, that takes down what is written."""

    def __init__(self, inner: Any, written: list[bytes]) -> None:
        self._inner = inner
        self._written = written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def connect_tcp(self, *arguments: Any, **options: Any) -> Below:
        return Below(await self._inner.connect_tcp(*arguments, **options), self._written)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        self._written += [buffer] if buffer else []
        await self._inner.write(buffer, timeout)


@pytest.fixture
def server() -> Iterator[Server]:
    def answers(peer: Peer) -> None:
        while peer.read_request():
            peer.answer()

    with Server(answers) as server:
        yield server


def recorded(client: Any) -> list[bytes]:
    """What the client writes from now on, each write by itself."""
    written: list[bytes] = []
    for pool in client._transport.pools:
        backend = pool.transport._pool._network_backend
        backend._below = Below(backend._below, written)
    return written


async def exchanged(
    library: Library[Any, Any], client: Any, *, clock: Callable[[], datetime], **options: Any
) -> tuple[Exchange[Any], bool]:
    """What one attempt brought, and whether it was sent alone."""
    freeze: Any = "nothing" if "fingerprint" in options else "request"
    prepared = prepare(library, client, "POST", "/orders", options, boundary="b0undary", freeze=freeze)
    brought = await exchange_async(
        library,
        client,
        prepared.request,
        auth=prepared.auth,
        clock=clock,
        not_after=NOW + timedelta(seconds=60),
        alone=prepared.alone,
    )
    return brought, prepared.alone


async def attempt(library: Library[Any, Any], client: Any, **options: Any) -> bool:
    """One attempt that is answered; whether it was sent alone."""
    brought, alone = await exchanged(library, client, clock=lambda: NOW, **options)
    assert brought.reply is not None
    return alone


async def test_an_actions_request_leaves_in_one_write(asynchronous: Library[Any, Any], server: Server) -> None:
    async with built(asynchronous, server.url) as client:
        written = recorded(client)
        assert not await attempt(asynchronous, client, json={"order": 1})  # the first of its kind takes the long way
        written.clear()
        for order in (2, 3):
            assert await attempt(asynchronous, client, json={"order": order})
        assert written == server.requests[1:]


async def test_what_is_too_late_at_the_last_look_has_not_left(asynchronous: Library[Any, Any], server: Server) -> None:
    async with built(asynchronous, server.url) as client:
        written = recorded(client)
        await attempt(asynchronous, client, json={"order": 1})
        written.clear()
        times = iter([NOW, NOW + timedelta(seconds=60)])
        brought, alone = await exchanged(asynchronous, client, clock=lambda: next(times), json={"order": 2})
        assert alone
        assert brought.failure is not None
        assert not brought.failure.sent
        assert written == []
        assert await attempt(asynchronous, client, json={"order": 3})
    assert [request.partition(b"\r\n\r\n")[2] for request in server.requests] == [b'{"order":1}', b'{"order":3}']


async def test_requests_at_once_are_not_mixed_up(asynchronous: Library[Any, Any], server: Server) -> None:
    async with built(asynchronous, server.url) as client:
        await attempt(asynchronous, client, json={"order": "first"})
        async with anyio.create_task_group() as group:
            for order in range(20):
                group.start_soon(partial(attempt, asynchronous, client, json={"order": order}))
    bodies = {request.partition(b"\r\n\r\n")[2] for request in server.requests[1:]}
    assert bodies == {b'{"order":%d}' % order for order in range(20)}


async def test_a_request_that_is_not_sent_alone_is_written_as_it_comes(
    asynchronous: Library[Any, Any], server: Server
) -> None:
    async with built(asynchronous, server.url) as client:
        written = recorded(client)

        async def parts() -> AsyncIterator[bytes]:
            assert written[-1].endswith(b"\r\n\r\n"), "its head has left before its body is there"
            yield b"part"

        assert not await attempt(asynchronous, client, content=parts(), fingerprint="f")
        assert len(written) > 1


async def test_nothing_is_held_back_while_somebody_waits_for_an_answer() -> None:
    class Connection:
        def __init__(self) -> None:
            self.written = b""

        async def connect_tcp(self) -> Connection:
            return self

        async def write(self, buffer: bytes, _timeout: float | None) -> None:
            self.written += buffer

        async def read(self, _most: int, _timeout: float | None) -> bytes:
            return self.written

    opener = OneWrite(Connection())
    stream = await opener.connect_tcp()
    opener.next_is({ALONE: True})
    await stream.write(b"head")
    assert await stream.read(100) == b"head"
    await stream.write(b"more")
    assert await stream.read(100) == b"headmore"
    opener.next_is({})
    await stream.write(b", and another one")
    assert await stream.read(100) == b"headmore, and another one"


async def test_a_connection_that_was_not_made_leaves_nothing_to_the_next_request(
    asynchronous: Library[Any, Any], server: Server
) -> None:
    async with built(asynchronous, server.url) as client:
        written = recorded(client)
        (pool,) = client._transport.pools
        pool.writes.next_is({ALONE: True})  # and then there was no connection to write to
        assert (await client.post("/orders", json={"order": 1})).status_code == 200
        assert len(written) == 2


async def test_a_transport_of_another_build_stays_as_it_is() -> None:
    transport = object()
    install(transport).next_is({})
