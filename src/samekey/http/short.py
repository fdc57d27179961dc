"""The short way for the usual action's request (`Prepared.alone`): to the connection that the last one left.

A pool of httpcore makes an entry for each request, looks through its requests and connections when it comes and again
when it goes, and makes its answer anew: a tenth of a whole POST, and for an event loop a turn more. With one connection,
idle, of the same server, and nobody else who asks, all that leads to that connection. So the pools that we build take it at
once, under their lock. If it is not available after all, the pool decides as ever; a request of any other kind, or at any
other time, never comes here.

Nor is there a trace on it, which takes httpcore an object and two calls for each thing that it has to tell: what is to be
known is known here. Whoever reads httpcore's log lines gets them: then nothing goes the short way.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import anyio.lowlevel
import h11

from samekey.http import handing
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
        handing.install(transport)


def _core_of(kind: Any) -> str:
    package: str = kind.__module__.partition(".")[0]
    return package


def handler_below(kind: type[Any]) -> Any:
    """What a kind of pool handles requests with; where it is what is added here, what that hands them on to."""
    found = handler_of(kind)
    ours = found in {_Threads.handle_request, _Tasks.handle_async_request}
    return handler_of(kind.__bases__[-1]) if ours else found


_KNOWN: Final = frozenset({"_connections", "_requests", "_optional_thread_lock"})


class Follower(Protocol):
    """Who sends a request, as what its extension `ALONE` has (a `Watch`).

    Attributes:
        fresh: whether a used connection will not do.
    """

    fresh: bool

    def leaves_untraced(self) -> None:
        """It is about to leave. What this raises keeps it from that."""

    def stays(self) -> None:
        """It has not left after all, and goes another way, with its trace."""

    def head_failed(self, error: BaseException) -> None:
        """This was raised before its head was out."""

    def is_out(self) -> None:
        """It is out, and its answer is awaited."""

    def answered(self, status: int) -> None:
        """The head of its answer has come."""


class _Short:
    """Mixed into the library's own kind of pool.

    Attributes:
        outer: the library's kind of connection.
        inner: what that has inside, if the server speaks HTTP/1.1.
        handler: what the outer one handles a request with. If that is another now, somebody has put something in its place,
            such as a mock, and it must not be left out.
        unavailable: what the inner one raises when it is in use.
        log: where httpcore says what it does.
    """

    outer: type[Any]
    inner: type[Any] | None
    handler: Any
    unavailable: type[Exception]
    log: logging.Logger
    _connections: list[Any]
    _requests: list[Any]

    def _idle(self, request: Any) -> Any:
        """The connection to take, if there is one."""
        connections = self._connections
        if len(connections) != 1 or self._requests or self.log.isEnabledFor(logging.DEBUG):
            return None
        connection = connections[0]
        if type(connection) is not self.outer or handler_of(self.outer) is not self.handler:
            return None
        line = connection._connection  # noqa: SLF001 (there is no public way to it)
        if type(line) is not self.inner or not line.is_idle() or not line.can_handle_request(request.url.origin):
            return None
        _end_if_unasked(line)
        return None if line.has_expired() else line


def _end_if_unasked(line: Any) -> None:
    """If the server has said more than it was asked, that answers nothing, and the connection is not used again."""
    if line._h11_state.trailing_data[0]:  # noqa: SLF001 (there is no public way to it)
        line._expire_at = 0.0  # noqa: SLF001 (as above)


class _Threads(_Short):
    def handle_request(self, request: Any) -> Any:
        follower: Follower | None = request.extensions.get(ALONE)
        if follower is None or follower.fresh:
            return super().handle_request(request)  # type: ignore[misc]
        leaving = _Leaving(request.stream, follower)
        try:
            if self._takes(request, leaving):
                return self._sent(request, leaving, follower)
        except self.unavailable:
            request.stream = leaving.below
            follower.stays()
        except BaseException as error:
            if not leaving.begun:
                follower.head_failed(error)
            self._let_go(leaving.line)
            raise
        return super().handle_request(request)  # type: ignore[misc]

    def _sent(self, request: Any, leaving: _Leaving, follower: Follower) -> Any:
        request.stream = leaving
        follower.leaves_untraced()
        response = leaving.line.handle_request(request)
        follower.answered(response.status)
        response.stream = _Body(leaving.line, request, self)
        return response

    def _takes(self, request: Any, leaving: _Leaving) -> bool:
        """Takes the connection, if there is one to take, out of the reach of other threads."""
        pool: Any = self
        with pool._optional_thread_lock:  # noqa: SLF001 (it is one)
            line = self._idle(request)
            if line is None:
                return False
            leaving.line = line  # first, so that an interruption lets go of it
            # What is new is neither to be had nor to be closed, and takes a request.
            line._state, line._expire_at = type(line._state).NEW, None  # noqa: SLF001 (there is no public way to it)
        return True

    def _let_go(self, line: Any) -> None:
        """Whatever has ended its use, wherever: it is not left as one that is in use."""
        if line is not None and line._state in {type(line._state).NEW, type(line._state).ACTIVE}:  # noqa: SLF001 (as above)
            line.close()
        self.pass_on()

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
        follower: Follower | None = request.extensions.get(ALONE)
        line = None
        if follower is not None and not follower.fresh:
            # It comes at the next turn, which would be in the middle of the first write.
            await anyio.lowlevel.checkpoint_if_cancelled()
            line = self._idle(request)
        if line is None or follower is None:
            return await super().handle_async_request(request)  # type: ignore[misc]
        line._state_lock = _UNLOCKED  # noqa: SLF001 (there is no public way to it)
        body = request.stream = _LeavingAsync(request.stream, follower)
        try:
            follower.leaves_untraced()
            response = await line.handle_async_request(request)
        except self.unavailable:
            request.stream = body.below
            follower.stays()
            return await super().handle_async_request(request)  # type: ignore[misc]
        except BaseException as error:
            if not body.begun:
                follower.head_failed(error)
            await self.pass_on()
            raise
        follower.answered(response.status)
        response.stream = _AsyncBody(line, request, self)
        return response

    async def pass_on(self) -> None:
        """The connection is free: whoever waits for one gets it."""
        if self._requests:
            pool: Any = self
            with pool._optional_thread_lock:  # noqa: SLF001 (it is one)
                closing = pool._assign_requests_to_connections()  # noqa: SLF001
            await pool._close_connections(closing)  # noqa: SLF001


class _Leaving:
    """A request's body, and who is told when it was handed over; httpcore begins with it when the head was."""

    begun: bool = False
    line: Any = None
    """The connection that was taken for it."""

    def __init__(self, below: Any, follower: Follower) -> None:
        self.below = below
        self._follower = follower

    def __iter__(self) -> Iterator[bytes]:
        self.begun = True
        yield from self.below
        self._follower.is_out()


class _LeavingAsync(_Leaving):
    """The same for a loop. It is in memory, so nothing is awaited; nor is it an asynchronous generator, of which loops keep books."""

    def __aiter__(self) -> Self:
        self._parts = iter(self)
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        del self._parts
        raise StopAsyncIteration


class _Body:
    """An answer's body; when it is closed, its connection is free."""

    _closed = False

    def __init__(self, line: Any, request: Any, pool: _Threads) -> None:
        self._line = line
        self._request = request
        self._pool = pool

    def __iter__(self) -> Iterator[bytes]:
        parts: Iterator[bytes] = self._line._receive_response_body(self._request)  # noqa: SLF001 (there is no public way)
        return parts

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._line._response_closed()  # noqa: SLF001 (as above)
        finally:
            _end_if_unasked(self._line)
            self._pool.pass_on()


class _AsyncBody:
    """The same for a loop; a cancellation does not keep it from being closed."""

    _closed = False

    def __init__(self, line: Any, request: Any, pool: _Tasks) -> None:
        self._line = line
        self._request = request
        self._pool = pool

    def __aiter__(self) -> AsyncIterator[bytes]:
        parts: AsyncIterator[bytes] = self._line._receive_response_body(self._request)  # noqa: SLF001 (as above)
        return parts

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if _is_over(self._line):  # nothing is awaited then
                await self._line._response_closed()  # noqa: SLF001 (as above)
            else:
                with anyio.CancelScope(shield=True):
                    await self._line._response_closed()  # noqa: SLF001 (as above)
        finally:
            _end_if_unasked(self._line)
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
        "inner": _if_known(getattr(core, inner)),
        "handler": staticmethod(handler) if is_native(handler, name) else None,
        "unavailable": core.ConnectionNotAvailable,
        "log": logging.getLogger(f"{name}.http11"),
    }
    return type(kind.__name__, (_Tasks if loops else _Threads, kind), members)


def _if_known(kind: type[Any]) -> type[Any] | None:
    """A kind of connection, if it is built as we know it."""
    return kind if {"_receive_response_body", "_response_closed"} <= vars(kind).keys() else None
