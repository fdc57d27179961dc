"""Many connections at once: a pool for each behind one transport.

A pool of httpcore looks at each of its connections on every request, and asks the system about each idle one. With 64 at
once that costs more than the request itself, the more so as an action's connection is idle while its record is
committed. So the client that we build for an event loop has pools of one connection each, for each server its own; the
next is made when the ones before it are in use. A lone request always finds its own connection again. When all are in use,
requests wait here and not at one of the pools, so that none waits longer than it would for one pool.

A pool closes what has been idle for too long when it is asked for a connection, and of many most are not asked again. So
those that nobody has used for so long are given up here, and their place is any server's. So is one in which a request was
cancelled, or that httpcore (1.0.9 at least) takes for used though its request has ended: it would do so ever after.
"""

from __future__ import annotations

from collections import deque
from contextlib import AsyncExitStack, suppress
from functools import cache, partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio

from samekey.http import onewrite, short
from samekey.http.veto import Veto

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping


def wanted(options: Mapping[str, Any]) -> bool:
    """Whether a client with these options gets pools.

    Not with HTTP/2, which has many requests on one connection, not where the transport is the caller's, and not
    where one pool is enough.
    """
    most = options["limits"].max_connections
    return not options.get("http2") and options.get("transport") is None and (most is None or most > 1)


def spread(module: Any, client: Any, options: Mapping[str, Any]) -> None:
    """Gives an asynchronous client pools instead of its one; what goes through a proxy keeps to that proxy's own pool.

    Args:
        module: the client's library.
        client: built from `options`.
        options: with `limits`, and with `verify` as an SSL context, which all pools share.
    """
    known = {name: options[name] for name in ("verify", "trust_env", "http1") if name in options}
    make = partial(module.AsyncHTTPTransport, **known)
    client._transport = _classes(module)[0](module, make, options["limits"])  # noqa: SLF001 (there is no public way to it)


def one_of(transport: Any) -> Any:
    """The transport itself, or one like all those behind it."""
    return transport.pools[0].transport if isinstance(transport, _Pools) else transport


class _Pool:
    """One connection, whether it may be kept while it is idle, whether it is in use, and when it last was."""

    def __init__(self, transport: Any, keeps: int) -> None:
        self.transport = transport
        self.writes = onewrite.install(transport)
        short.install(transport)
        self.keeps = keeps
        self.busy = False
        self.last_used = 0.0


class _Waiting:
    """A request that waits until a pool with room is handed to it."""

    def __init__(self, url: Any) -> None:
        self.url = url
        self.handed = anyio.Event()
        self.pool: _Pool | None = None


class _Pools:
    """Mixed into the library's own kind of transport, which it asks for."""

    clock: Callable[[], float] = staticmethod(monotonic)

    def __init__(self, module: Any, make: Callable[..., Any], limits: Any) -> None:
        self._module = module
        self._make = make
        self._limits = limits
        self._left = _number(limits.max_connections)
        self._idle = _number(limits.max_keepalive_connections)
        self._of: dict[tuple[str, str, int | None], list[_Pool]] = {}
        self.pools = [self._another()]
        self._unused: list[_Pool] = self.pools[:]
        self._queue: deque[_Waiting] = deque()
        self._given_up: list[Any] = []
        self._look_at = 0.0 if limits.keepalive_expiry is not None else float("inf")

    def _another(self) -> _Pool:
        # The first pools are used the most, so what may be kept idle is theirs.
        keeps = int(self._idle > 0)
        self._left -= 1
        self._idle -= keeps
        own = self._module.Limits(
            max_connections=1, max_keepalive_connections=keeps, keepalive_expiry=self._limits.keepalive_expiry
        )
        return _Pool(self._make(limits=own), keeps)

    def _one_for(self, url: Any) -> _Pool | None:
        """The server's first that is free, else a new one, else another server's, which gives up its idle connection."""
        own = self._of.setdefault((url.scheme, url.host, url.port), [])
        for pool in own:
            if not pool.busy:
                return pool
        if self._unused:
            own.append(self._unused.pop())
            return own[-1]
        if self._left > 0:
            own.append(self._another())
            self.pools.append(own[-1])
            return own[-1]
        return next((pool for pool in self.pools if not pool.busy), None)

    async def _handed(self, request: Any) -> _Pool:
        """Waits for another request to end, no longer than a request may wait for a connection."""
        waiting = _Waiting(request.url)
        self._queue.append(waiting)
        seconds = request.extensions.get("timeout", {}).get("pool")
        try:
            with anyio.move_on_after(seconds):
                await waiting.handed.wait()
        except BaseException:
            if waiting.pool is not None:
                self.free(waiting.pool)
            raise
        finally:
            if waiting.pool is None:
                self._queue.remove(waiting)
        if waiting.pool is None:
            raise self._module.PoolTimeout("all connections are in use", request=request)
        return waiting.pool

    def free(self, pool: _Pool, *, interrupted: bool = False) -> None:
        """A request has ended: its place is the next one's."""
        if interrupted or _is_stuck(pool.transport):
            self._give_up(pool)
            another = self._one_for(self._queue[0].url) if self._queue else None
            if another is not None:
                another.busy = True
                self._hand_over(another)
        elif self._queue:
            self._hand_over(pool)
        else:
            pool.busy = False
            pool.last_used = self.clock()

    def _hand_over(self, pool: _Pool) -> None:
        waiting = self._queue.popleft()
        waiting.pool = pool
        waiting.handed.set()

    def _give_up(self, pool: _Pool) -> None:
        self.pools.remove(pool)
        self._left += 1
        self._idle += pool.keeps
        self._given_up.append(pool.transport)
        for server, own in list(self._of.items()):
            self._of[server] = [other for other in own if other is not pool]
            if not self._of[server]:
                del self._of[server]
        if not self.pools:
            self.pools.append(self._another())
            self._unused.append(self.pools[0])

    async def _tidy(self) -> None:
        """Gives up what has been idle for too long, by a look at all pools once in that time, and closes what was given up."""
        now, expiry = self.clock(), self._limits.keepalive_expiry
        if now >= self._look_at:
            self._look_at = now + expiry
            used = [pool for own in self._of.values() for pool in own]
            for pool in used:
                if not pool.busy and now - pool.last_used >= expiry:
                    self._give_up(pool)
        while self._given_up:
            transport = self._given_up.pop()
            try:
                with suppress(Exception):  # nobody has asked for it
                    await transport.aclose()
            except BaseException:
                self._given_up.append(transport)  # for the next one, or the end
                raise

    async def handle_async_request(self, request: Any) -> Any:
        if self._given_up or self.clock() >= self._look_at:
            await self._tidy()
        pool = None if self._queue else self._one_for(request.url)
        if pool is None:
            pool = await self._handed(request)
        else:
            pool.busy = True
        try:
            pool.writes.next_is(request.extensions)
            response = await pool.transport.handle_async_request(request)
            response.stream = _classes(self._module)[1](response.stream, partial(self.free, pool))
        except BaseException as error:
            self.free(pool, interrupted=_is_interruption(error))
            raise
        return response

    async def aclose(self) -> None:
        async with AsyncExitStack() as all_of_them:
            for transport in (*self._given_up, *(pool.transport for pool in self.pools)):
                all_of_them.push_async_callback(transport.aclose)


def _number(limit: int | None) -> float:
    return float("inf") if limit is None else limit


def _is_interruption(error: BaseException) -> bool:
    """Whether httpcore was left in the middle of something: a cancellation, Ctrl-C. Our own veto it takes as any failure."""
    return not isinstance(error, (Exception, Veto))


def _is_stuck(transport: Any) -> bool:
    """Whether httpcore takes a connection for used whose request has ended: a cancellation came while it was being freed."""
    connections = getattr(getattr(transport, "_pool", None), "connections", ())
    return any(not (each.is_idle() or each.is_closed()) for each in connections)


def _nothing(*, interrupted: bool = False) -> None:
    """What there is to free the second time."""


class _Stream:
    """An answer's body; when it is closed, its connection is free."""

    def __init__(self, stream: Any, free: Callable[..., None]) -> None:
        self._stream = stream
        self._free: Callable[..., None] | None = free

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        free, self._free = self._free or _nothing, None
        try:
            await self._stream.aclose()
        except BaseException as error:
            free(interrupted=_is_interruption(error))
            raise
        free()


@cache
def _classes(module: Any) -> tuple[type[Any], type[Any]]:
    return (
        type("Pools", (_Pools, module.AsyncBaseTransport), {}),
        type("Stream", (_Stream, module.AsyncByteStream), {}),
    )
