"""When a request has ended, however it has ended: its place is free, and what cannot be used any more is given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from samekey.http.guard import KEEPALIVE_SECONDS, MAX_CONNECTIONS
from samekey.http.watch import Reused
from tests.http.many import ANSWER, Server, anyio_backend, asynchronous, built, many, serving

if TYPE_CHECKING:
    from samekey.http.library import Library

__all__ = ["anyio_backend", "asynchronous"]  # fixtures

pytestmark = pytest.mark.anyio


async def test_what_nobody_uses_any_more_is_given_up(
    asynchronous: Library[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(together=12) as server, serving() as other, built(asynchronous, server.url) as client:
        transport, now = client._transport, 100.0
        monkeypatch.setattr(type(transport), "clock", lambda _self: now)
        assert await many(client, 12) == [201] * 12
        await many(client, 1, f"{other.url}/orders")
        assert len(transport.pools) == 13
        now += KEEPALIVE_SECONDS / 2
        busy = await client.send(client.build_request("POST", "/orders"), stream=True)
        now += KEEPALIVE_SECONDS / 2
        await many(client, 1)
        assert [pool.busy for pool in transport.pools] == [True, False]
        assert await server.has_closed(10)
        assert await other.has_closed(1)
        assert len(transport._of) == 1
        await busy.aclose()
        for _ in range(2):
            assert await many(client, 1, f"{other.url}/orders") == [201]
            now += KEEPALIVE_SECONDS
        assert (len(transport.pools), transport._left) == (1, 99)
        assert await server.has_closed(12)
        assert await other.has_closed(2)


async def test_what_is_given_up_and_not_yet_closed_is_closed_with_the_client(
    asynchronous: Library[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(together=6) as server, built(asynchronous, server.url) as client:
        transport, now = client._transport, 100.0
        monkeypatch.setattr(type(transport), "clock", lambda _self: now)
        assert await many(client, 6) == [201] * 6
        now += KEEPALIVE_SECONDS

        async def interrupted() -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(transport.pools[-1].transport, "aclose", interrupted)
            with pytest.raises(KeyboardInterrupt):
                await client.post("/orders")
        assert len(transport._given_up) == 6
        await client.aclose()
        assert await server.has_closed(6)


async def test_one_connection_that_may_be_kept_is_found_again(asynchronous: Library[Any, Any]) -> None:
    limits = asynchronous.module.Limits(max_connections=100, max_keepalive_connections=1)
    async with serving() as server, built(asynchronous, server.url, limits=limits) as client:
        for _ in range(3):
            assert await many(client, 1) == [201]
        assert server.opened == 1


async def test_what_fails_and_what_is_cancelled_frees_its_place(asynchronous: Library[Any, Any]) -> None:
    async with built(asynchronous, "http://127.0.0.1:1") as client:
        for _ in range(3):
            with pytest.raises(asynchronous.module.ConnectError):
                await client.post("/orders")
        assert [pool.busy for pool in client._transport.pools] == [False]
    async with serving(together=2) as server, built(asynchronous, server.url) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.post, "/orders")
            while not server.most:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert [pool.busy for pool in client._transport.pools] == [False]


async def cancelled_while_it_waits(client: Any, server: Server) -> None:
    """A request that is cancelled when the server has it."""
    async with anyio.create_task_group() as group:
        group.start_soon(client.post, "/orders")
        before = server.most
        while server.most == before:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


async def test_a_pool_in_which_a_request_was_cancelled_is_given_up(asynchronous: Library[Any, Any]) -> None:
    """Else its connection, which httpcore may take for used ever after, would be one that nobody can have."""
    async with serving(together=2) as server, built(asynchronous, server.url) as client:
        transport = client._transport
        (first,) = transport.pools
        await cancelled_while_it_waits(client, server)
        assert first not in transport.pools
        assert await many(client, 2) == [201, 201]
        assert await server.has_closed(1)
        assert (transport._left, len(transport.pools), transport._given_up) == (98, 2, [])


async def test_what_a_pool_could_keep_the_next_one_keeps_when_it_is_given_up(asynchronous: Library[Any, Any]) -> None:
    limits = asynchronous.module.Limits(max_connections=3, max_keepalive_connections=1)
    async with serving(together=2) as server, built(asynchronous, server.url, limits=limits) as client:
        await cancelled_while_it_waits(client, server)
        server.answer_now()
        for _ in range(3):
            assert await many(client, 1) == [201]
        assert server.opened == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_while_a_connection_is_freed_leaves_the_next_request_one(
    asynchronous: Library[Any, Any],
) -> None:
    """One of asyncio's own, which no scope shields from: httpcore takes the connection for used ever after."""

    limits = asynchronous.module.Limits(max_connections=2)
    async with serving(answer=ANSWER[:-1]) as server, built(asynchronous, server.url, limits=limits) as client:
        began = asyncio.Event()

        async def watched(name: str, _info: Any) -> None:
            if name.endswith("receive_response_body.started"):
                began.set()

        for _ in range(3):
            began.clear()
            task = asyncio.create_task(client.post("/orders", extensions={"trace": watched}))
            await began.wait()
            for _ in range(3):  # while it waits, while it ends, and once more
                await asyncio.sleep(0)
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not any(pool.busy for pool in client._transport.pools)
        server.answer = ANSWER
        assert await many(client, 2) == [201, 201]


async def test_an_interrupt_before_the_send_frees_the_place(
    asynchronous: Library[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as server, built(asynchronous, server.url) as client:
        (pool,) = client._transport.pools

        def interrupted(_extensions: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(pool.writes, "next_is", interrupted)
        with pytest.raises(KeyboardInterrupt):
            await client.post("/orders")
        assert client._transport._left + len(client._transport.pools) == MAX_CONNECTIONS
        assert not any(pool.busy for pool in client._transport.pools)
        assert await many(client, 1) == [201]


async def test_who_waits_for_a_pool_that_is_given_up_gets_another(asynchronous: Library[Any, Any]) -> None:
    limits = asynchronous.module.Limits(max_connections=2)
    async with built(asynchronous, "http://127.0.0.1:1", limits=limits) as client:
        transport = client._transport
        transport.pools.append(transport._another())
        transport._of["http", "127.0.0.1", 1] = transport.pools[:]
        transport._unused.clear()
        one, two = transport.pools
        one.busy = two.busy = True
        request = client.build_request("POST", "/orders")
        async with anyio.create_task_group() as group:

            async def refused() -> None:
                with pytest.raises(asynchronous.module.ConnectError):
                    await transport.handle_async_request(request)

            group.start_soon(refused)
            while not transport._queue:
                await anyio.lowlevel.checkpoint()
            transport.free(one, interrupted=True)
        assert one not in transport.pools
        assert not transport._queue
        assert sum(pool.busy for pool in transport.pools) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_places_of_pools_that_are_given_up_are_given_to_those_who_wait(
    asynchronous: Library[Any, Any],
) -> None:
    limits = asynchronous.module.Limits(max_connections=4)
    async with serving(together=1000) as server, built(asynchronous, server.url, limits=limits) as client:
        transport = client._transport
        scopes = [anyio.CancelScope() for _ in range(6)]

        async def one(scope: anyio.CancelScope) -> None:
            with scope:
                await client.post("/orders")

        async with anyio.create_task_group() as group:
            for scope in scopes:
                group.start_soon(one, scope)
            while server.most < 4 or len(transport._queue) < 2:
                await anyio.lowlevel.checkpoint()
            first, second, *_ = transport.pools
            for scope in scopes[:2]:
                scope.cancel()
            while first in transport.pools or second in transport.pools or transport._queue:
                await anyio.lowlevel.checkpoint()
            assert [pool.busy for pool in transport.pools] == [True] * 4
            group.cancel_scope.cancel()


async def test_our_own_veto_breaks_no_pool(asynchronous: Library[Any, Any]) -> None:
    async with serving() as server, built(asynchronous, server.url) as client:
        await many(client, 1)
        (pool,) = client._transport.pools

        async def veto(name: str, _info: Any) -> None:
            if name.endswith("send_request_headers.started"):
                raise Reused

        with pytest.raises(Reused):
            await client.post("/orders", extensions={"trace": veto})
        assert (client._transport.pools, pool.busy) == ([pool], False)


async def test_an_answer_that_is_closed_twice_frees_one_place(asynchronous: Library[Any, Any]) -> None:
    async with serving() as server, built(asynchronous, server.url) as client:
        response = await client.send(client.build_request("POST", "/orders"), stream=True)
        assert [pool.busy for pool in client._transport.pools] == [True]
        await response.stream.aclose()
        await response.stream.aclose()
        assert [pool.busy for pool in client._transport.pools] == [False]
