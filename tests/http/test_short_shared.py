"""The short way where others wait for the connection, talk out of turn, or are cancelled: nobody gets what is another's."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import httpx2
import pytest

import samekey
from tests.http.conftest import TRUST
from tests.http.many import ANSWER, anyio_backend, asynchronous, built, serving
from tests.http.servers import PATIENCE, Peer, Server
from tests.http.shortly import Build, answers, build, looks, post, request

if TYPE_CHECKING:
    from samekey.http.library import Library

__all__ = ["anyio_backend", "asynchronous", "build"]  # fixtures


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    told: list[Any] = []

    def run() -> None:
        try:
            told.append(call())
        except Exception as error:  # noqa: BLE001 - that is the question
            told.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, told


@pytest.mark.parametrize("fails", [False, True])
def test_who_waits_for_the_connection_gets_it(build: Build, module: Any, fails: bool) -> None:
    """It is the only one that there may be, and the request that has it came to it by the short way."""
    go = threading.Event()

    def handler(peer: Peer) -> None:
        while peer.read_request():
            if len(server.requests) == 2:
                assert go.wait(PATIENCE)
                if fails:
                    peer.reset()
                    return
            peer.answer()

    with Server(handler) as server:
        client = build(server.url, limits=module.Limits(max_connections=1))
        post(client)
        first, told = in_thread(lambda: post(client))
        while len(server.requests) < 2:
            pass
        second, told_second = in_thread(lambda: post(client))
        while not client._transport._pool._requests:
            pass
        go.set()
        first.join(PATIENCE)
        second.join(PATIENCE)
        assert [type(each) for each in told] == [module.ReadError if fails else int]
        assert told_second == [200]
        assert len(server.requests) == 3


def test_a_thread_that_was_faster_keeps_the_connection(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection itself says so, and the pool's own way is gone; the request leaves once."""
    with Server(answers) as server:
        client = build(server.url)
        post(client)
        pool = client._transport._pool
        (connection,) = pool.connections
        taken = []

        def unavailable(_request: Any) -> Any:
            taken.append(True)
            monkeypatch.undo()
            raise pool.unavailable

        monkeypatch.setattr(connection._connection, "handle_request", unavailable)
        assert post(client) == 200
        assert taken == [True]
        assert len(server.requests) == 2


def test_what_was_taken_is_out_of_the_reach_of_other_threads(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at it and the send one could have closed it for another server, or because its time is over."""
    with Server(answers) as server:
        client = build(server.url)
        post(client)
        (connection,) = client._transport._pool.connections
        line = connection._connection
        usual, seen = line.handle_request, []

        def look(sent: Any) -> Any:
            seen.append((line.is_idle(), line.is_available(), line.has_expired(), line.is_closed()))
            return usual(sent)

        line._expire_at = 1e300
        monkeypatch.setattr(line, "handle_request", look)
        assert post(client) == 200
        assert line.is_idle()
    assert seen == [(False, False, False, False)]


def test_more_connections_than_may_be_kept_are_closed(build: Build, module: Any) -> None:
    with Server(answers) as server:
        client = build(server.url, limits=module.Limits(max_keepalive_connections=1))
        post(client)
        response = client.send(request(client), stream=True)
        post(client)  # on another one
        assert server.connections == 2
        response.close()
        assert len(client._transport._pool.connections) == 1
        assert post(client) == 200


def talkative(peer: Peer, *, at: int = 1) -> None:
    """Answers one request twice, the second time with what is no answer to anything."""
    while peer.read_request():
        more = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n" if len(peer.server.requests) == at else b""
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" + more)


def test_an_answer_that_nobody_asked_for_is_not_the_next_ones(build: Build) -> None:
    with Server(talkative) as server:
        client = build(server.url)
        assert [post(client) for _ in range(3)] == [200] * 3
        assert server.connections == 2


@pytest.mark.anyio
async def test_nor_is_it_the_next_tasks(asynchronous: Library[Any, Any]) -> None:
    with Server(talkative) as server:
        async with built(asynchronous, server.url) as client:
            assert [(await client.send(request(client))).status_code for _ in range(3)] == [200] * 3
        assert server.connections == 2


def test_nor_that_of_a_request_of_another_kind(build: Build) -> None:
    with Server(functools.partial(talkative, at=2)) as server:
        client = build(server.url)
        assert [post(client, alone=alone) for alone in (True, True, False)] == [200] * 3
        assert server.connections == 2


@pytest.mark.anyio
async def test_nor_that_of_a_tasks(asynchronous: Library[Any, Any]) -> None:
    with Server(functools.partial(talkative, at=2)) as server:
        async with built(asynchronous, server.url) as client:
            for alone in (True, True, False):
                assert (await client.send(request(client, alone=alone))).status_code == 200
        assert server.connections == 2


@pytest.mark.anyio
async def test_a_cancellation_that_has_come_already_comes_before_the_first_byte(
    asynchronous: Library[Any, Any],
) -> None:
    """Nothing was sent then, and the record says so."""
    name = asynchronous.name
    classes = {"httpx": httpx.AsyncClient, "httpx2": httpx2.AsyncClient}
    operation = samekey.Operation("create_order", scope=("order",))
    with Server(answers) as server:
        async with samekey.AsyncClient(
            server.url, window=timedelta(days=1), store="memory://", http=classes[name], verify=TRUST
        ) as client:

            async def act(order: int) -> None:
                async with client.action(operation, scope={"order": order}) as action:
                    await action.post("/orders", json={"order": order})

            for order in range(3):
                await act(order)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await act(99)
            assert scope.cancelled_caught
            record = await client.record(operation, scope={"order": 99})
            assert record is not None
            assert record.status is samekey.Status.PENDING
            assert len(server.requests) == 3
            await act(99)
            assert len(server.requests) == 4


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.anyio
async def test_a_cancellation_does_not_keep_an_answer_from_being_closed(
    asynchronous: Library[Any, Any], ends: bool
) -> None:
    """Whether the connection is kept, or ended by this answer, which takes a moment."""
    async with serving() as server, built(asynchronous, server.url) as client:
        await client.send(request(client))
        if ends:
            server.answer = ANSWER.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
        pool = client._transport.pools[0].transport._pool
        seen = looks(pool)
        with anyio.CancelScope() as scope:
            response = await client.send(request(client), stream=True)
            parts = [part async for part in response.stream]
            scope.cancel()
            await response.aclose()
        assert (parts, seen) == ([b"ok"], [])
        assert not scope.cancelled_caught
        assert [connection.is_closed() for connection in pool.connections] == [ends]
        assert [connection.is_idle() for connection in pool.connections] == [not ends]
        await client.send(request(client))
        assert server.opened == 1 + ends
