"""Many connections at once are spread over pools, and behave as those of one pool would."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from samekey.http.handing import kind_below
from samekey.http.library import Library
from samekey.http.proof import silence_proves
from tests.http.conftest import TRUST
from tests.http.many import anyio_backend, asynchronous, built, many, serving

__all__ = ["anyio_backend", "asynchronous"]  # fixtures

pytestmark = pytest.mark.anyio


async def test_one_at_a_time_keeps_to_one_connection(asynchronous: Library[Any, Any]) -> None:
    async with serving() as server, built(asynchronous, server.url) as client:
        for _ in range(5):
            assert await many(client, 1) == [201]
        assert server.opened == 1
        assert len(client._transport.pools) == 1


async def test_many_at_once_have_a_connection_each_and_find_it_again(asynchronous: Library[Any, Any]) -> None:
    async with serving(together=30) as server, built(asynchronous, server.url) as client:
        assert await many(client, 30) == [201] * 30
        assert len(client._transport.pools) == 30
        assert await many(client, 30) == [201] * 30
        assert server.opened == 30
        assert [pool.busy for pool in client._transport.pools] == [False] * 30
        assert all(len(pool.transport._pool.connections) == 1 for pool in client._transport.pools)


async def test_the_callers_limits_hold_for_all_pools_together(asynchronous: Library[Any, Any]) -> None:
    limits = asynchronous.module.Limits(max_connections=19, max_keepalive_connections=10)
    async with serving(together=19) as server, built(asynchronous, server.url, limits=limits) as client:
        assert await many(client, 60) == [201] * 60
        assert server.most == 19
        assert len(client._transport.pools) == 19
        idle = [pool.transport._pool._max_keepalive_connections for pool in client._transport.pools]
        assert idle == [1] * 10 + [0] * 9


async def test_a_request_that_hangs_holds_up_no_more_than_its_own_connection(asynchronous: Library[Any, Any]) -> None:
    limits = asynchronous.module.Limits(max_connections=4)
    async with (
        serving(together=1000) as hanging,
        serving() as server,
        built(asynchronous, limits=limits) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(3):
            group.start_soon(client.post, f"{hanging.url}/orders")
        while hanging.most < 3:
            await anyio.lowlevel.checkpoint()
        with anyio.fail_after(30):
            assert await many(client, 20, f"{server.url}/orders") == [201] * 20
        group.cancel_scope.cancel()


async def test_who_waits_too_long_for_a_connection_is_told_and_leaves(asynchronous: Library[Any, Any]) -> None:
    limits = asynchronous.module.Limits(max_connections=3)
    async with (
        serving(together=1000) as server,
        built(asynchronous, server.url, limits=limits) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(3):
            group.start_soon(client.post, "/orders")
        while server.most < 3:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(asynchronous.module.PoolTimeout) as told:
            await client.post("/orders", timeout=asynchronous.module.Timeout(5, pool=0.01))
        assert told.value.request.method == "POST"
        assert not client._transport._queue
        group.cancel_scope.cancel()
    assert not any(pool.busy for pool in client._transport.pools)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_is_cancelled_just_when_a_connection_is_handed_over_hands_it_on(
    asynchronous: Library[Any, Any],
) -> None:
    limits = asynchronous.module.Limits(max_connections=2)
    async with built(asynchronous, "http://127.0.0.1:1", limits=limits) as client:
        transport = client._transport
        transport.pools.append(transport._another())
        transport._unused.clear()
        for pool in transport.pools:
            pool.busy = True
        request = client.build_request("POST", "/orders")
        for handed in (False, True):
            task = asyncio.create_task(transport.handle_async_request(request))
            while not transport._queue:
                await anyio.lowlevel.checkpoint()
            if handed:
                transport.free(transport.pools[1])
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not transport._queue
        assert [pool.busy for pool in transport.pools] == [True, False]


async def test_each_server_has_its_own_pools_and_keeps_its_connection(asynchronous: Library[Any, Any]) -> None:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serving()) for _ in range(3)]
        client = await stack.enter_async_context(built(asynchronous))
        for _ in range(3):
            for server in servers:
                assert (await client.post(f"{server.url}/orders")).status_code == 201
        assert [server.opened for server in servers] == [1] * len(servers)
        assert len(client._transport.pools) == len(servers)


async def test_one_server_more_than_the_limit_has_pools_for_is_still_served(asynchronous: Library[Any, Any]) -> None:
    limits = asynchronous.module.Limits(max_connections=3)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serving()) for _ in range(5)]
        client = await stack.enter_async_context(built(asynchronous, limits=limits))
        for server in servers * 2:
            assert (await client.post(f"{server.url}/orders")).status_code == 201
        assert len(client._transport.pools) == 3
        assert sum(len(pool.transport._pool.connections) for pool in client._transport.pools) <= 3


async def test_silence_proves_as_much_as_with_one_pool(asynchronous: Library[Any, Any]) -> None:
    async with built(asynchronous, "https://api.shop.example") as client:
        trace = object()
        request = client.build_request("POST", "/orders", extensions={"trace": trace})
        assert silence_proves(asynchronous, client, request, None, trace)
        client._transport.pools[0].transport = asynchronous.module.MockTransport(lambda _request: None)
        assert not silence_proves(asynchronous, client, request, None, trace)


@pytest.mark.parametrize("options", [{"http2": True}, {"limits": 1}, {"transport": True}])
async def test_one_pool_stays_where_more_would_change_something(
    asynchronous: Library[Any, Any], options: dict[str, Any]
) -> None:
    module = asynchronous.module
    if "limits" in options:
        options = {"limits": module.Limits(max_connections=options["limits"])}
    if "transport" in options:
        options = {"transport": module.AsyncHTTPTransport(verify=TRUST)}
    async with built(asynchronous, **options) as client:
        kind = type(client._transport)
        assert (kind if "transport" in options else kind_below(kind)) is module.AsyncHTTPTransport


async def test_one_context_is_made_for_all_pools(
    asynchronous: Library[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    context = asynchronous.module.create_ssl_context

    def counted(*arguments: Any, **options: Any) -> Any:
        asked.append(options.get("verify", True))
        return context(*arguments, **options)

    monkeypatch.setattr(asynchronous.module, "create_ssl_context", counted)
    async with serving(together=20) as server, built(asynchronous, server.url, verify=False) as client:
        assert await many(client, 20) == [201] * 20
        contexts = {id(pool.transport._pool._ssl_context) for pool in client._transport.pools}
    assert len(contexts) == 1
    assert asked == [False]
