"""Many connections at once are spread over pools, and behave as those of one pool would."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from samekey.http.guard import KEEPALIVE_SECONDS, MAX_CONNECTIONS, build_client
from samekey.http.library import Library, library_named
from samekey.http.proof import silence_proves
from samekey.http.watch import Reused
from tests.http.conftest import TRUST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

ANSWER = b"HTTP/1.1 201 Created\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Server:
    """Answers nobody until `together` requests wait for an answer.

    Attributes:
        opened: connections so far.
        closed: those of them that the client has closed.
        most: the most that waited at once.
    """

    def __init__(self, together: int, answer: bytes) -> None:
        self.url = ""
        self.answer = answer
        self.opened = self.closed = self.most = 0
        self._waiting = 0
        self._together = together
        self._full = anyio.Event()

    async def handle(self, stream: Any) -> None:
        self.opened += 1
        async with stream:
            try:
                while await stream.receive():
                    self._waiting += 1
                    self.most = max(self.most, self._waiting)
                    if self._waiting == self._together:
                        self._full.set()
                    await self._full.wait()
                    self._waiting -= 1
                    await stream.send(self.answer)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                self.closed += 1

    def answer_now(self) -> None:
        """From now on nobody waits for others."""
        self._full.set()

    async def has_closed(self, number: int) -> bool:
        """Returns when the client has closed so many; the test's own time-out ends it."""
        while self.closed < number:
            await anyio.lowlevel.checkpoint()
        return True


@asynccontextmanager
async def serving(together: int = 1, answer: bytes = ANSWER) -> AsyncIterator[Server]:
    server = Server(together, answer)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        server.url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"  # noqa: S610 (anyio, not Django)
        group.start_soon(listener.serve, server.handle)
        yield server
        group.cancel_scope.cancel()


@pytest.fixture
def asynchronous(module: Any) -> Library[Any, Any]:
    return library_named(module.__name__, asynchronous=True)


def built(library: Library[Any, Any], url: str = "", **options: Any) -> Any:
    return build_client(library, url, options={"trust_env": False, "verify": TRUST, **options})


async def many(client: Any, number: int, url: str = "/orders") -> list[int]:
    told: list[int] = []

    async def one() -> None:
        told.append((await client.post(url)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(number):
            group.start_soon(one)
    return told


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
        assert type(client._transport) is module.AsyncHTTPTransport


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
