"""`FaultTransport`: the model API behind httpx, without a socket."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import httpx

from samekey.testing._http1 import BODILESS, GARBAGE, REASONS, declared_length
from samekey.testing._values import NOT_SENT, Delivery, Reply, Wire
from samekey.testing.model import ModelAPI

TraceCallback = Callable[[str, dict[str, Any]], None]


@dataclasses.dataclass(frozen=True, slots=True)
class TracedRequest:
    """What trace events carry as `info["request"]`, with the names that httpcore uses."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]


class FaultTransport(ModelAPI, httpx.BaseTransport):
    """An httpx transport that counts effects and fails on demand.

    ```python
    transport = FaultTransport()
    transport.script(Fault.COMMIT_THEN_DROP)
    with httpx.Client(transport=transport, base_url="https://api.example") as client:
        ...
    assert len(transport.effects) == 1
    ```

    It fails as httpx over a socket fails: a dropped connection is a RemoteProtocolError, a reset a
    ReadError, a stall a ReadTimeout (at once, whatever the timeout is), a refused connection a
    ConnectError. It fires httpcore's trace events; every request is on a new connection. The body
    of a request is read before the first event. Options and behaviour are those of `ModelAPI`.

    Closing the client leaves it usable: the next client is the same script, run again.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer `request`, or raise what its fault does to it."""
        body = request.read()
        target = request.url.raw_path.decode("ascii")
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
        fault = self.next_fault(request.method, target, headers, body)
        trace = _Trace(request)
        self._connect(trace, fault.wire, request)
        with trace.step("http11.send_request_headers", request=trace.request):
            pass
        with trace.step("http11.send_request_body", request=trace.request):
            pass
        try:
            with trace.step("http11.receive_response_headers", request=trace.request) as result:
                delivery = self.handle(request.method, target, headers, body, fault)
                reply = _receive(delivery, request)
                head = (b"HTTP/1.1", reply.status, _reason(reply), _raw_headers(delivery, reply))
                result["return_value"] = head
        except BaseException:
            trace.close()
            raise
        return _respond(request, trace, delivery, reply)

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _connect(self, trace: _Trace, wire: Wire, request: httpx.Request) -> None:
        where = {"host": request.url.host, "port": request.url.port, "timeout": None}
        with trace.step("connection.connect_tcp", **where):
            if wire in NOT_SENT:
                _refuse(wire, request)


class _Trace:
    """Fires trace events as httpcore does."""

    def __init__(self, request: httpx.Request) -> None:
        self._callback: TraceCallback | None = request.extensions.get("trace")
        self.request = TracedRequest(request.method.encode("ascii"), request.url.raw_path, list(request.headers.raw))

    def fire(self, name: str, info: dict[str, Any]) -> None:
        if self._callback is not None:
            self._callback(name, info)

    @contextlib.contextmanager
    def step(self, name: str, **info: Any) -> Iterator[dict[str, Any]]:
        """Fire `started` now, and `complete` or `failed` at the end."""
        self.fire(f"{name}.started", info)
        result: dict[str, Any] = {"return_value": None}
        try:
            yield result
        except BaseException as error:
            self.fire(f"{name}.failed", {"exception": error})
            raise
        self.fire(f"{name}.complete", result)

    def close(self) -> None:
        with self.step("http11.response_closed"):
            pass


class _Body(httpx.SyncByteStream):
    """The body of an answer; `cut_off` says how it ended if that was too early."""

    def __init__(self, body: bytes, cut_off: str | None, trace: _Trace, request: httpx.Request) -> None:
        self._body = body
        self._cut_off = cut_off
        self._trace = trace
        self._request = request
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        with self._trace.step("http11.receive_response_body", request=self._trace.request):
            if self._body:
                yield self._body
            if self._cut_off is not None:
                raise httpx.RemoteProtocolError(self._cut_off, request=self._request)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._trace.close()


def _receive(delivery: Delivery, request: httpx.Request) -> Reply:
    if delivery.wire is Wire.STALL:
        raise httpx.ReadTimeout("The read operation timed out", request=request)
    if delivery.wire is Wire.RESET:
        raise httpx.ReadError("Connection reset by peer", request=request)
    if delivery.wire is Wire.GARBAGE:
        msg = f"illegal status line: {bytearray(GARBAGE.rstrip())!r}"
        raise httpx.RemoteProtocolError(msg, request=request)
    if delivery.wire is Wire.CLOSE or delivery.reply is None:
        msg = "Server disconnected without sending a response."
        raise httpx.RemoteProtocolError(msg, request=request)
    return delivery.reply


def _respond(request: httpx.Request, trace: _Trace, delivery: Delivery, reply: Reply) -> httpx.Response:
    body = b"" if request.method == "HEAD" else reply.body[: delivery.sent]
    cut_off = None if delivery.wire is Wire.ANSWER else _cut_off(delivery, reply)
    return httpx.Response(
        reply.status,
        headers=_raw_headers(delivery, reply),
        stream=_Body(body, cut_off, trace, request),
        extensions={"http_version": b"HTTP/1.1", "reason_phrase": _reason(reply)},
    )


def _refuse(wire: Wire, request: httpx.Request) -> NoReturn:
    if wire is Wire.TIME_OUT_CONNECT:
        raise httpx.ConnectTimeout("timed out", request=request)
    raise httpx.ConnectError("Connection refused", request=request)


def _raw_headers(delivery: Delivery, reply: Reply) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers]
    if reply.status not in BODILESS:
        headers.append((b"Content-Length", b"%d" % declared_length(reply, delivery.sent)))
    return headers


def _reason(reply: Reply) -> bytes:
    return REASONS.get(reply.status, "").encode()


def _cut_off(delivery: Delivery, reply: Reply) -> str:
    return (
        "peer closed connection without sending complete message body "
        f"(received {delivery.sent} bytes, expected {declared_length(reply, delivery.sent)})"
    )
