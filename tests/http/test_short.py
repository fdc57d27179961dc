"""The short way to a connection is taken when it leads where the pool's own way would, and never else."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import httpx2
import pytest

import samekey
from samekey.http import short
from samekey.http.guard import build_client
from samekey.http.library import library_named
from samekey.http.onewrite import ALONE
from tests.http.conftest import TRUST, prepared
from tests.http.many import ANSWER, anyio_backend, asynchronous, built, serving
from tests.http.servers import PATIENCE, Peer, Server

if TYPE_CHECKING:
    from samekey.http.library import Library

__all__ = ["anyio_backend", "asynchronous"]  # fixtures

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


def test_the_next_request_takes_the_connection_that_the_last_one_left(build: Build) -> None:
    with Server(answers) as server:
        client = build(server.url)
        assert post(client) == 200
        seen = looks(client._transport._pool)
        assert [post(client) for _ in range(3)] == [200] * 3
        assert seen == []
        assert server.connections == 1
        assert post(client, alone=False) == 200
        assert seen != []
        assert (server.connections, len(server.requests)) == (1, 5)


@pytest.mark.anyio
async def test_so_does_a_task(asynchronous: Library[Any, Any]) -> None:
    async with serving() as server, built(asynchronous, server.url) as client:
        assert (await client.send(request(client))).status_code == 201
        seen = looks(client._transport.pools[0].transport._pool)
        for _ in range(3):
            assert (await client.send(request(client))).status_code == 201
        assert (seen, server.opened) == ([], 1)
        await client.send(request(client, alone=False))
        assert seen != []
        assert server.opened == 1


@pytest.mark.parametrize("options", [{"http2": True}, {"limits": None}])
@pytest.mark.anyio
async def test_so_does_a_task_with_a_single_pool(asynchronous: Library[Any, Any], options: dict[str, Any]) -> None:
    given = {
        name: asynchronous.module.Limits(max_connections=1) if value is None else value
        for name, value in options.items()
    }
    async with serving() as server, built(asynchronous, server.url, **given) as client:
        await client.send(request(client))
        seen = looks(client._transport._pool)
        assert (await client.send(request(client))).status_code == 201
        assert (seen, server.opened) == ([], 1)


@pytest.mark.anyio
async def test_tasks_wait_for_a_single_connection(asynchronous: Library[Any, Any]) -> None:
    limits = asynchronous.module.Limits(max_connections=1)
    async with serving() as server, built(asynchronous, server.url, limits=limits) as client:
        await client.send(request(client))
        told = []

        async def one() -> None:
            told.append((await client.send(request(client))).status_code)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
        assert told == [201] * 20
        assert server.most == 1


def test_a_transport_of_the_callers_own_stays_as_it_is(build: Build, module: Any) -> None:
    with Server(answers) as server:
        client = build(server.url, transport=module.HTTPTransport(verify=TRUST))
        post(client)
        seen = looks(client._transport._pool)
        post(client)
        assert seen != []
    double = module.MockTransport(lambda _request: module.Response(204))
    short.install(double)
    assert post(build("https://api.shop.example", transport=double)) == 204


def test_another_server_has_a_connection_of_its_own(build: Build) -> None:
    with Server(answers) as one, Server(answers) as two:
        client = build(one.url)
        for url in (one.url, two.url, one.url, two.url):
            assert post(client, f"{url}/orders") == 200
        assert [len(server.requests) for server in (one, two)] == [2, 2]
        assert [server.connections for server in (one, two)] == [1, 1]


def once(peer: Peer) -> None:
    peer.read_request()
    peer.answer()


def last(peer: Peer) -> None:
    peer.read_request()
    peer.answer(headers=("Connection: close",))
    peer.wait_for_end()


@pytest.mark.parametrize("handler", [once, last])
def test_a_connection_that_the_server_ends_is_not_used_again(build: Build, handler: Callable[[Peer], None]) -> None:
    with Server(handler) as server:
        client = build(server.url)
        for number in range(1, 4):
            assert post(client) == 200
            assert (server.connections, len(server.requests)) == (number, number)
            pool = client._transport._pool
            while any(not (each.is_closed() or each.has_expired()) for each in pool.connections):
                pass  # until its end has come


@pytest.mark.parametrize("handler", [once, last])
@pytest.mark.anyio
async def test_nor_does_a_task_use_it(asynchronous: Library[Any, Any], handler: Callable[[Peer], None]) -> None:
    with Server(handler) as server:
        async with built(asynchronous, server.url) as client:
            for number in range(1, 4):
                assert (await client.send(request(client))).status_code == 200
                assert (server.connections, len(server.requests)) == (number, number)
                pool = client._transport.pools[0].transport._pool
                while any(not (each.is_closed() or each.has_expired()) for each in pool.connections):
                    await anyio.lowlevel.checkpoint()


def test_nor_is_one_that_was_idle_for_too_long(build: Build, module: Any) -> None:
    with Server(answers) as server:
        client = build(server.url, limits=module.Limits(keepalive_expiry=0.0))
        for number in range(1, 4):
            assert post(client) == 200
            assert server.connections == number


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


def test_a_pool_of_the_same_name_stays_as_it_is(module: Any) -> None:
    kind = type("ConnectionPool", (type(module.HTTPTransport(verify=TRUST)._pool),), {"__module__": __name__})
    transport = module.HTTPTransport(verify=TRUST)
    transport._pool = kind()
    short.install(transport)
    assert type(transport._pool) is kind


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


def test_what_was_put_in_a_connections_place_is_not_left_out(
    build: Build, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(answers) as server:
        client = build(server.url)
        post(client)
        pool = client._transport._pool

        def mock(_self: Any, _request: Any) -> Any:
            raise pool.unavailable.__mro__[1]("mocked")  # httpcore's own, which the library does not translate

        with monkeypatch.context() as patch:
            patch.setattr(pool.outer, "handle_request", mock)
            with pytest.raises(Exception, match="mocked"):
                post(client)
        assert len(server.requests) == 1
        assert post(client) == 200
    assert module.__name__.replace("httpx", "httpcore") == pool.outer.__module__.partition(".")[0]


@pytest.mark.parametrize("where", ["class", "object"])
def test_who_puts_a_method_in_the_pools_place_sees_each_request(
    build: Build, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Silence proves nothing then, and the request goes the long way."""
    with Server(answers) as server:
        client = build(server.url)
        alone = [prepared(client, json={"total": total}).alone for total in ("1", "2")]
        assert alone == [False, True]
        pool = client._transport._pool
        thing = type(pool) if where == "class" else pool
        monkeypatch.setattr(thing, "handle_request", functools.partial(thing.handle_request))
        assert not prepared(client, json={"total": "3"}).alone
        monkeypatch.undo()
        assert prepared(client, json={"total": "4"}).alone
    assert short.handler_below(type(pool)) is type(pool).__bases__[-1].handle_request  # type: ignore[attr-defined]


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
