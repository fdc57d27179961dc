"""Many connections at once: small pools behind one transport.

A pool of httpcore looks at each of its connections on every request, and asks the system about each idle one. With 64 at
once that costs more than the request itself, the more so as an action's connection is idle while its record is
committed. So the client that we build for an event loop has pools of a few connections each; the next is made when the
ones before it are full. A lone request always finds its own connection again.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

POOL_CONNECTIONS: Final = 8
"""Connections in one pool."""


def wanted(options: Mapping[str, Any]) -> bool:
    """Whether a client with these options gets pools.

    Not with HTTP/2, which has many requests on one connection, not where the transport is the caller's, and not
    where one pool is enough.
    """
    most = options["limits"].max_connections
    return not options.get("http2") and options.get("transport") is None and (most is None or most > POOL_CONNECTIONS)


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
    """One of them, and how many connections are in use."""

    def __init__(self, transport: Any, most: float) -> None:
        self.transport = transport
        self.most = most
        self.busy = 0


class _Pools:
    """Mixed into the library's own kind of transport, which it asks for."""

    def __init__(self, module: Any, make: Callable[..., Any], limits: Any) -> None:
        self._module = module
        self._make = make
        self._limits = limits
        self._left = _number(limits.max_connections)
        self._idle = _number(limits.max_keepalive_connections)
        self.pools = [self._another()]

    def _another(self) -> _Pool:
        # The first pools are used the most, so what may be kept idle is theirs.
        most = min(POOL_CONNECTIONS, self._left)
        idle = min(most, self._idle)
        self._left -= most
        self._idle -= idle
        own = self._module.Limits(
            max_connections=most, max_keepalive_connections=idle, keepalive_expiry=self._limits.keepalive_expiry
        )
        return _Pool(self._make(limits=own), most)

    def _roomy(self) -> _Pool:
        """The first with room, else a new one, else the one with the fewest in its queue."""
        for pool in self.pools:
            if pool.busy < pool.most:
                return pool
        if self._left > 0:
            self.pools.append(self._another())
            return self.pools[-1]
        return min(self.pools, key=lambda pool: pool.busy / pool.most)

    async def handle_async_request(self, request: Any) -> Any:
        pool = self._roomy()
        pool.busy += 1
        try:
            response = await pool.transport.handle_async_request(request)
        except BaseException:
            pool.busy -= 1
            raise
        response.stream = _classes(self._module)[1](response.stream, pool)
        return response

    async def aclose(self) -> None:
        async with AsyncExitStack() as all_of_them:
            for pool in self.pools:
                all_of_them.push_async_callback(pool.transport.aclose)


def _number(limit: int | None) -> float:
    return float("inf") if limit is None else limit


class _Stream:
    """An answer's body; when it is closed, its connection is free."""

    def __init__(self, stream: Any, pool: _Pool) -> None:
        self._stream = stream
        self._pool: _Pool | None = pool

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.busy -= 1
        await self._stream.aclose()


@cache
def _classes(module: Any) -> tuple[type[Any], type[Any]]:
    return (
        type("Pools", (_Pools, module.AsyncBaseTransport), {}),
        type("Stream", (_Stream, module.AsyncByteStream), {}),
    )
