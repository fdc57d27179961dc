"""The short way for the usual action's request (`Prepared.alone`): to the connection that the last one left.

A pool of httpcore makes an entry for each request, looks through its requests and connections when it comes and again
when it goes, and makes its answer anew: a tenth of a whole POST, and for an event loop a turn more. With one connection,
idle, of the same server, and nobody else who asks, all that leads to that connection. So the pools that we build take it at
once, under their lock. If it is not available after all, the pool decides as ever; a request of any other kind, or at any
other time, never comes here.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
import h11

from samekey.http.native import handler_of, is_native
from samekey.http.onewrite import ALONE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Self

_KINDS: Final = frozenset({"ConnectionPool", "AsyncConnectionPool"})
_CORES: Final = frozenset({"httpcore", "httpcore2"})


def install(transport: Any) -> None:
    """Has a transport's pool take the short way; one that is not built as we know it stays as it is."""
    pool: Any = getattr(transport, "_pool", None)
    kind: Any = type(pool)
    known = kind.__name__ in _KINDS and _core_of(kind) in _CORES
    if known and vars(pool).keys() >= _KNOWN:
        pool.__class__ = _shortened(kind)


def _core_of(kind: Any) -> str:
    package: str = kind.__module__.partition(".")[0]
    return package


def handler_below(kind: type[Any]) -> Any:
    """What a kind of pool handles requests with; where it is what is added here, what that hands them on to."""
    found = handler_of(kind)
    ours = found in {_Threads.handle_request, _Tasks.handle_async_request}
    return handler_of(kind.__bases__[-1]) if ours else found


_KNOWN: Final = frozenset({"_connections", "_requests", "_optional_thread_lock"})


class _Short:
    """Mixed into the library's own kind of pool.

    Attributes:
        outer: the library's kind of connection.
        inner: what that has inside, if the server speaks HTTP/1.1.
        handler: what the outer one handles a request with. If that is another now, somebody has put something in its place,
            such as a mock, and it must not be left out.
        unavailable: what the inner one raises when it is in use.
    """

    outer: type[Any]
    inner: type[Any]
    handler: Any
    unavailable: type[Exception]
    _connections: list[Any]
    _requests: list[Any]

    def _idle(self, request: Any) -> Any:
        """The connection to take, if there is one."""
        connections = self._connections
        if len(connections) != 1 or self._requests:
            return None
        connection = connections[0]
        if type(connection) is not self.outer or handler_of(self.outer) is not self.handler:
            return None
        line = connection._connection  # noqa: SLF001 (there is no public way to it)
        if type(line) is not self.inner or not line.is_idle() or not line.can_handle_request(request.url.origin):
            return None
        if line._h11_state.trailing_data[0]:  # noqa: SLF001
            line._expire_at = 0.0  # noqa: SLF001 (the server has said more than it was asked: that answers nothing)
        return None if line.has_expired() else line


class _Threads(_Short):
    def handle_request(self, request: Any) -> Any:
        line = self._taken(request) if ALONE in request.extensions else None
        if line is None:
            return super().handle_request(request)  # type: ignore[misc]
        try:
            response = line.handle_request(request)
        except self.unavailable:
            return super().handle_request(request)  # type: ignore[misc]
        except BaseException:
            self.pass_on()
            raise
        response.stream = _Body(response.stream, self)
        return response

    def _taken(self, request: Any) -> Any:
        """The connection to take, if there is one, out of the reach of other threads."""
        pool: Any = self
        with pool._optional_thread_lock:  # noqa: SLF001 (it is one)
            line = self._idle(request)
            if line is not None:  # what is new is neither to be had nor to be closed, and takes a request
                line._state, line._expire_at = type(line._state).NEW, None  # noqa: SLF001 (there is no public way to it)
        return line

    def pass_on(self) -> None:
        """The connection is free: whoever waits for one gets it, and what there is too much of is closed."""
        if self._requests or len(self._connections) > 1:
            pool: Any = self
            with pool._optional_thread_lock:  # noqa: SLF001 (it is one)
                closing = pool._assign_requests_to_connections()  # noqa: SLF001
            pool._close_connections(closing)  # noqa: SLF001


class _Unlocked:
    """In place of the lock of a connection.

    That guards a check and the change that follows, and tasks cannot come in between two lines; but asking for it takes a
    turn of the loop, twice a request.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to release."""


_UNLOCKED: Final = _Unlocked()


class _Tasks(_Short):
    async def handle_async_request(self, request: Any) -> Any:
        line = None
        if ALONE in request.extensions:
            # It comes at the next turn, which would be in the middle of the first write.
            await anyio.lowlevel.checkpoint_if_cancelled()
            line = self._idle(request)
        if line is None:
            return await super().handle_async_request(request)  # type: ignore[misc]
        line._state_lock = _UNLOCKED  # noqa: SLF001 (there is no public way to it)
        try:
            response = await line.handle_async_request(request)
        except self.unavailable:
            return await super().handle_async_request(request)  # type: ignore[misc]
        except BaseException:
            await self.pass_on()
            raise
        response.stream = _AsyncBody(response.stream, line, self)
        return response

    async def pass_on(self) -> None:
        """The connection is free: whoever waits for one gets it."""
        if self._requests:
            pool: Any = self
            with pool._optional_thread_lock:  # noqa: SLF001 (it is one)
                closing = pool._assign_requests_to_connections()  # noqa: SLF001
            await pool._close_connections(closing)  # noqa: SLF001


class _Body:
    """An answer's body; when it is closed, its connection is free."""

    def __init__(self, below: Any, pool: _Threads) -> None:
        self._below = below
        self._pool = pool

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._below)

    def close(self) -> None:
        try:
            self._below.close()
        finally:
            self._pool.pass_on()


class _AsyncBody:
    """The same for a loop; a cancellation does not keep it from being closed."""

    def __init__(self, below: Any, line: Any, pool: _Tasks) -> None:
        self._below = below
        self._line = line
        self._pool = pool

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._below.__aiter__()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        try:
            if _is_over(self._line):  # nothing is awaited then
                await self._below.aclose()
            else:
                with anyio.CancelScope(shield=True):
                    await self._below.aclose()
        finally:
            await self._pool.pass_on()


def _is_over(line: Any) -> bool:
    """Whether request and answer have come to their ends, and the connection can have the next."""
    state = line._h11_state  # noqa: SLF001 (there is no public way to it)
    return state.our_state is h11.DONE and state.their_state is h11.DONE


@cache
def _shortened(kind: Any) -> type[Any]:
    name = _core_of(kind)
    core: Any = sys.modules[name]
    loops = hasattr(kind, "handle_async_request")
    outer, inner = ("AsyncHTTPConnection", "AsyncHTTP11Connection") if loops else ("HTTPConnection", "HTTP11Connection")
    handler = handler_of(getattr(core, outer))
    members = {
        "outer": getattr(core, outer),
        "inner": getattr(core, inner),
        "handler": staticmethod(handler) if is_native(handler, name) else None,
        "unavailable": core.ConnectionNotAvailable,
    }
    return type(kind.__name__, (_Tasks if loops else _Threads, kind), members)
