"""What happens to one attempt, as httpcore's trace tells it.

Whether a byte of the request left is told by the trace, not by the type of the exception, which errs both ways: a proxy
that closes on CONNECT is a ReadError although nothing left, and a second connection that is refused is a ConnectError
although the first one took the request. The rule, in order:

1. an event, but none of a request's headers (other than CONNECT's): nothing left, whatever the exception is;
2. no event at all, and an exception that says so itself (mocks and foreign transports: their word), or only the
   library's own code on the way, which sends nothing without an event (`proof.py`): nothing left;
3. headers begun once, and refused by h11 before it wrote them: nothing left;
4. everything else: it may have been sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from samekey._core.model import Failure
from samekey.http.checks import TIMEOUTS
from samekey.http.onewrite import ALONE
from samekey.http.proof import silence_proves
from samekey.http.summary import summarise
from samekey.http.veto import Veto

if TYPE_CHECKING:
    from samekey.http.library import Library

MAX_REUSED: Final = 32
"""How many idle connections one attempt closes in search of a fresh one; httpx keeps at most 20 by default."""

_SAY_SO: Final = (
    "PoolTimeout",
    "ConnectError",
    "ConnectTimeout",
    "ProxyError",
    "UnsupportedProtocol",
    "InvalidURL",
)
_REFUSED_IN_FRONT: Final = (401, 407)
_NAMES: Final = frozenset(TIMEOUTS)


class Reused(Veto):
    """The connection was used before, and the server may be closing it at this moment."""


class _TooLate(Veto):
    """The clock is past the time until which this attempt was permitted."""


class _SentTwice(Veto):
    """Something below us sends a second time of its own accord (HTTP/2 after a GOAWAY, a retrying transport)."""


class Watch:
    """Follows one attempt through the trace of httpcore, and stops a send that must not happen.

    The object itself is the synchronous trace callback, `told` its asynchronous twin. The user's own callback comes first, so
    that the last look is the last statement before the first byte.

    Attributes:
        user_trace: the caller's own trace callback.
        timeouts: the time-outs of this attempt, in seconds.
        fresh: whether a connection that was used before is refused.
        alive: whether there was any event.
        connected: whether a connection was opened for this attempt.
        tls: whether a TLS handshake was begun and not completed.
        sends: how often the headers of a request, other than CONNECT, were begun.
        answering: whether the headers of an answer came.
        status: the status in them, 0 before.
    """

    # As class attributes: most attempts never change them.
    _callback: Callable[..., Any]
    _reused = 0
    _unwritten = False
    alive: bool = False
    connected: bool = False
    tls: bool = False
    sends: int = 0
    answering: bool = False
    status: int = 0

    def __init__(
        self,
        request: Any,
        clock: Callable[[], datetime],
        not_after: datetime,
        *,
        fresh: bool,
        alone: bool = False,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        self._request = request
        self._clock = clock
        self._not_after = not_after
        self.fresh: bool = fresh
        self._alone = alone
        self._meanwhile = meanwhile
        self._before: Mapping[str, Any] = request.extensions
        self.user_trace: Any = self._before.get("trace")
        self.timeouts: Mapping[str, float] = {}

    def begin(self, timeout: float | None, callback: Callable[..., Any] | None = None) -> Failure | None:
        """Hang the trace into the request and shorten its time-outs; a failure if it is too late already."""
        # Transports without a trace have their last look here.
        if self._clock() >= self._not_after or (timeout is not None and timeout <= 0):
            return _too_late(sent=False)
        given = self._before.get("timeout", {})
        self.timeouts = given if timeout is None else _shortened(given, timeout)
        self._callback = callback or self
        self._request.extensions = {**self._before, "timeout": self.timeouts, "trace": self._callback}
        if self._alone:
            self._request.extensions[ALONE] = self
        return None

    def again(self) -> None:
        """A used connection was refused and is closed now: the next one, or in the end any one."""
        self._reused += 1
        self.fresh = self._reused < MAX_REUSED
        self.connected = False

    def end(self) -> None:
        """Take the trace out of the request."""
        # The response is a circle that holds on to these extensions; without them the watch goes at once.
        self._request.extensions.pop("trace", None)
        self._request.extensions.pop(ALONE, None)
        self._request.extensions = self._before
        del self._callback

    def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        """The trace callback."""
        self.alive = True
        if self.user_trace is not None:
            self.user_trace(name, info)
        self._react(name, info)

    async def told(self, name: str, info: Mapping[str, Any]) -> None:
        """The trace callback of an asynchronous client."""
        self.alive = True
        if self.user_trace is not None:
            await self.user_trace(name, info)
        self._react(name, info)

    def _react(self, name: str, info: Mapping[str, Any]) -> None:
        react = _REACTIONS.get(name)
        if react is not None:
            react(self, name, info)

    # --- what is seen: the trace tells it, or the short way, which has none -------------------------------------

    def leaves_untraced(self) -> None:
        """It is about to leave by the short way, which tells of it by the methods below."""
        self.alive = True
        self._request.extensions.pop("trace", None)
        self._leaves()

    def stays(self) -> None:
        """It has not left that way after all, and goes another, which has a trace."""
        self.sends -= 1
        self._request.extensions["trace"] = self._callback

    def _leaves(self, *, reused: bool = False) -> None:
        """The last look."""
        # An authentication flow may answer a 401: that first send was refused in front, and is over.
        if self.sends and self.status not in _REFUSED_IN_FRONT:
            raise _SentTwice
        if reused:
            raise Reused
        if self._clock() >= self._not_after:
            raise _TooLate
        self.sends += 1
        self.status = 0

    def head_failed(self, error: BaseException) -> None:
        """Its head was not handed over whole."""
        # h11 refuses illegal fields before it returns a byte to write.
        if type(error).__name__ == "LocalProtocolError":
            self._unwritten = True

    def is_out(self) -> None:
        """Its last byte was handed over."""
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()

    def answered(self, status: int) -> None:
        """The head of an answer has come, perhaps before the request was out."""
        self.answering = bool(self.sends)
        self.status = status
        if self.answering:
            self.is_out()

    def _headers_start(self, name: str, info: Mapping[str, Any]) -> None:
        if info["request"].method != b"CONNECT":
            self._leaves(reused=self.fresh and not self.connected and name.startswith("http11"))

    def _headers_failed(self, _name: str, info: Mapping[str, Any]) -> None:
        self.head_failed(info["exception"])

    def _awaiting(self, _name: str, info: Mapping[str, Any]) -> None:
        if info["request"].method != b"CONNECT":
            self.is_out()

    def _answer(self, _name: str, info: Mapping[str, Any]) -> None:
        # (version, status, …) in HTTP/1.1, (status, …) in HTTP/2
        self.answered(next((part for part in info["return_value"] if isinstance(part, int)), 0))
        if self._alone and self.answering:  # and it is no proxy's answer to CONNECT, which comes before the request
            # httpcore sends nothing after this, and asks anew for each thing that it has to tell.
            self._request.extensions.pop("trace", None)

    def _connected(self, _name: str, _info: Mapping[str, Any]) -> None:
        self.connected = True

    def _tls_start(self, _name: str, _info: Mapping[str, Any]) -> None:
        self.tls = True

    def _tls_complete(self, _name: str, _info: Mapping[str, Any]) -> None:
        self.tls = False

    def failure(self, library: Library[Any, Any], client: Any, auth: Any, error: BaseException) -> Failure:
        """What an exception that ended the attempt means."""
        sent = not self._proven_unsent(library, client, auth, error)
        if isinstance(error, _TooLate):
            return _too_late(sent=sent)
        if isinstance(error, _SentTwice):
            return Failure(
                sent=True,
                summary="the connection ended before an answer, and a silent second send was stopped",
            )
        # Ctrl-C, exit, cancellation, a generator that is closed: none of them is an Exception.
        return Failure(sent=sent, summary=summarise(error, self), interrupted=not isinstance(error, Exception))

    def _proven_unsent(self, library: Library[Any, Any], client: Any, auth: Any, error: BaseException) -> bool:
        if self.sends:
            return self.sends == 1 and self._unwritten
        return (
            self.alive
            or isinstance(error, tuple(getattr(library.module, name) for name in _SAY_SO))
            or silence_proves(library, client, self._request, auth, self._callback)
        )


# httpcore names an event after the module it comes from.
_REACTIONS: Final[dict[str, Callable[[Watch, str, Mapping[str, Any]], None]]] = {
    f"{part}.{event}": react
    for parts, event, react in (
        (("connection", "socks"), "connect_tcp.complete", Watch._connected),  # noqa: SLF001 (the class's own table)
        (("connection",), "connect_unix_socket.complete", Watch._connected),  # noqa: SLF001
        (("connection", "proxy", "socks"), "start_tls.started", Watch._tls_start),  # noqa: SLF001
        (("connection", "proxy", "socks"), "start_tls.complete", Watch._tls_complete),  # noqa: SLF001
        (("http11", "http2"), "send_request_headers.started", Watch._headers_start),  # noqa: SLF001
        (("http11",), "send_request_headers.failed", Watch._headers_failed),  # noqa: SLF001
        (("http11", "http2"), "receive_response_headers.started", Watch._awaiting),  # noqa: SLF001
        (("http11", "http2"), "receive_response_headers.complete", Watch._answer),  # noqa: SLF001
    )
    for part in parts
}


def _shortened(timeouts: Mapping[str, Any], limit: float) -> Mapping[str, float]:
    given = timeouts.values()
    if timeouts.keys() == _NAMES and None not in given and max(given) <= limit:
        return timeouts
    shortened = {}
    for name in TIMEOUTS:
        value = timeouts.get(name)
        shortened[name] = limit if value is None or value > limit else value
    return shortened


def _too_late(*, sent: bool) -> Failure:
    return Failure(sent=sent, summary="the time for this attempt ran out before it began")
