"""An exception in a few words for people. Never its own text, which may quote a header, a body or a URL."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol


class Phase(Protocol):
    """How far an attempt had come.

    Attributes:
        sends: how often a request's headers were begun.
        tls: whether a TLS handshake was begun and not completed.
        answering: whether the answer's headers had come.
        status: the status in them; 0 if nobody has told.
        timeouts: the attempt's time-outs in seconds.
    """

    sends: int
    tls: bool
    answering: bool
    status: int
    timeouts: Mapping[str, float]


_BY_NAME: Final = {
    "ProxyError": "the proxy refused the connection",
    "UnsupportedProtocol": "the URL's scheme is not supported",
    "InvalidURL": "a URL cannot be parsed",
    "LocalProtocolError": "the request breaks the rules of HTTP",
    "DecodingError": "the answer cannot be decoded",
    "KeyboardInterrupt": "interrupted by Ctrl-C",
    "SystemExit": "interrupted by exit",
    "CancelledError": "cancelled",
    "GeneratorExit": "interrupted",
}
_LOST: Final = ("ProtocolError", "ReadError", "WriteError", "CloseError", "NetworkError", "OSError")


def chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what led to it, each once: chains can be cycles."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__context__, link.__cause__]
        if isinstance(link, BaseExceptionGroup):
            waiting += link.exceptions


def summarise(error: BaseException, phase: Phase) -> str:
    """A few words, without secrets: `DNS lookup failed`, `no answer within 30 s`."""
    names = [cls.__name__ for cls in type(error).__mro__]
    if "TimeoutException" in names:
        return _timed_out(names, phase)
    if names[0] == "AnswerTooLongError":
        # Where the client's transport is a double, nobody has told the status.
        return f"{f'HTTP {phase.status}, and ' if phase.status else ''}an answer too long to be read"
    for name in names:
        if name in _BY_NAME:
            return _BY_NAME[name]
    if "ConnectError" in names:
        return _not_connected(error, phase)
    if any(name in _LOST for name in names):
        return _lost(error, phase)
    return f"an unexpected {type(error).__name__}"


def _timed_out(names: list[str], phase: Phase) -> str:
    def within(name: str) -> str:
        seconds: Any = phase.timeouts.get(name)
        return f"within {seconds:.3g} s" if isinstance(seconds, (int, float)) else "in time"

    if "PoolTimeout" in names:
        return f"no free connection {within('pool')}"
    if "ConnectTimeout" in names:
        return f"{'no TLS handshake' if phase.tls else 'no connection'} {within('connect')}"
    if "WriteTimeout" in names:
        return f"the request was not taken {within('write')}"
    if phase.sends == 0:
        return f"no answer from the proxy {within('read')}"
    return f"{'no complete answer' if phase.answering else 'no answer'} {within('read')}"


def _not_connected(error: BaseException, phase: Phase) -> str:
    links = list(chain(error))
    if any(isinstance(link, socket.gaierror) for link in links):
        return "DNS lookup failed"
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in links):
        return "the server's certificate is not trusted"
    if phase.tls or any(isinstance(link, ssl.SSLError) for link in links):
        return "TLS handshake failed"
    if any(isinstance(link, ConnectionRefusedError) for link in links):
        return "connection refused"
    return "no connection"


def _lost(error: BaseException, phase: Phase) -> str:
    if phase.sends == 0:
        return "TLS handshake failed" if phase.tls else "the connection was closed before the request"
    if phase.answering:
        return "connection lost in the middle of the answer"
    if any(isinstance(link, ssl.SSLError) for link in chain(error)):
        return "the server ended TLS without an answer"
    return "connection closed without an answer"
