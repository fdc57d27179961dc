"""The short way to a connection is taken when it leads where the pool's own way would, and never else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from samekey.http import short
from tests.http.conftest import TRUST, prepared
from tests.http.many import anyio_backend, asynchronous, built, serving
from tests.http.servers import Peer, Server
from tests.http.shortly import Build, answers, build, looks, post, request

if TYPE_CHECKING:
    from samekey.http.library import Library

__all__ = ["anyio_backend", "asynchronous", "build"]  # fixtures


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


def test_a_pool_of_the_same_name_stays_as_it_is(module: Any) -> None:
    kind = type("ConnectionPool", (type(module.HTTPTransport(verify=TRUST)._pool),), {"__module__": __name__})
    transport = module.HTTPTransport(verify=TRUST)
    transport._pool = kind()
    short.install(transport)
    assert type(transport._pool) is kind


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
