"""Nothing of the request left: proven by the trace, whatever the exception is."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import trustme

from samekey.http.exchange import Exchange, exchange
from samekey.http.library import library_of
from tests.http.conftest import NOW, attempt, prepared
from tests.http.servers import Peer, Server, answering, refusing

Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


def not_sent(result: Exchange[Any]) -> str:
    """Assert the verdict; return the words for people."""
    assert result.reply is None
    assert result.failure is not None
    assert result.failure.sent is False, result
    return result.failure.summary


# --- connecting ------------------------------------------------------------------------------------------------


def test_dns_failure(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_name(*_args: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)

    assert not_sent(attempt(connect(), "http://api.shop.example/")) == "DNS lookup failed"


def test_connection_refused(connect: Connect) -> None:
    with refusing() as port:
        assert not_sent(attempt(connect(), f"http://127.0.0.1:{port}/")) == "connection refused"


def test_a_certificate_nobody_trusts(connect: Connect, tls: ssl.SSLContext) -> None:
    with Server(answering, tls=tls) as server:
        summary = not_sent(attempt(connect(base_url=server.url)))
    assert summary == "the server's certificate is not trusted"
    assert server.requests == []


def test_tls_handshake_is_reset(connect: Connect) -> None:
    with Server(Peer.reset) as server:
        summary = not_sent(attempt(connect(), f"https://127.0.0.1:{server.port}/"))
    assert summary in {"TLS handshake failed", "no connection"}


def test_tls_handshake_hangs(connect: Connect, module: Any) -> None:
    client = connect(timeout=module.Timeout(10, connect=0.05))
    with Server(Peer.wait_for_end) as server:
        assert not_sent(attempt(client, f"https://127.0.0.1:{server.port}/")) == "no TLS handshake within 0.05 s"


def test_a_port_that_speaks_no_tls(connect: Connect) -> None:
    def plain(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_for_end()

    with Server(plain) as server:
        assert not_sent(attempt(connect(), f"https://127.0.0.1:{server.port}/")) == "TLS handshake failed"


def test_the_pool_is_exhausted(connect: Connect, module: Any) -> None:
    def slow(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        peer.wait_for_end()

    with Server(slow) as server:
        limits = module.Limits(max_connections=1)
        client = connect(base_url=server.url, limits=limits, timeout=module.Timeout(10, pool=0.01))
        with client.stream("GET", "/"):
            assert not_sent(attempt(client)) == "no free connection within 0.01 s"


def test_unsupported_scheme(connect: Connect) -> None:
    client = connect()
    assert not_sent(attempt(client, request=client.build_request("POST", "gopher://api.shop.example/")))


# --- proxies ---------------------------------------------------------------------------------------------------


def closes(peer: Peer) -> None:
    peer.read_head()


def resets(peer: Peer) -> None:
    peer.read_head()
    peer.reset()


def forbids(peer: Peer) -> None:
    peer.read_head()
    peer.answer(b"", "403 Forbidden", ())


def hangs(peer: Peer) -> None:
    peer.read_head()
    peer.wait_for_end()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_proxy_refuses_the_connection(connect: Connect, scheme: str) -> None:
    with refusing() as port:
        client = connect(proxy=f"http://127.0.0.1:{port}")
        assert not_sent(attempt(client, f"{scheme}://api.shop.example/")) == "connection refused"


@pytest.mark.parametrize(
    ("behaviour", "summary"),
    [
        (forbids, "the proxy refused the connection"),
        (closes, "the connection was closed before the request"),
        (resets, "the connection was closed before the request"),
        (hangs, "no answer from the proxy within 0.05 s"),
    ],
)
def test_the_proxy_does_not_open_the_tunnel(
    connect: Connect, module: Any, behaviour: Callable[[Peer], None], summary: str
) -> None:
    with Server(behaviour) as proxy:
        client = connect(proxy=proxy.url, timeout=module.Timeout(10, read=0.05 if behaviour is hangs else 10))
        assert not_sent(attempt(client, "https://api.shop.example/")) == summary


# httpcore leaves the socket to the garbage collector when the handshake fails
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_socks_proxy_closes(connect: Connect) -> None:
    def greets(peer: Peer) -> None:
        peer.sock.recv(16)

    with Server(greets) as proxy:
        client = connect(proxy=f"socks5://127.0.0.1:{proxy.port}")
        assert not_sent(attempt(client, "http://api.shop.example/")) == "the connection was closed before the request"


# --- refused before the first byte -----------------------------------------------------------------------------


def test_an_illegal_header_reaches_nobody_and_is_not_quoted(connect: Connect) -> None:
    got: list[bytes] = []
    with Server(lambda peer: got.append(peer.sock.recv(1))) as server:
        client = connect(base_url=server.url)
        request = client.build_request("POST", "/", headers={"X-Token": "se\ncret"}, json={})
        result = attempt(client, request=request)
    assert not_sent(result) == "the request breaks the rules of HTTP"
    assert got in ([], [b""])  # [] where the server ended before it accepted
    assert "cret" not in repr(result)


def test_the_clock_has_passed_the_end_before_the_send(connect: Connect) -> None:
    with Server(answering) as server:
        client = connect(base_url=server.url)
        summary = not_sent(attempt(client, clock=lambda: NOW + timedelta(seconds=60)))
    assert summary == "the time for this attempt ran out before it began"
    assert server.connections == 0


def test_the_clock_passes_the_end_while_connecting(connect: Connect) -> None:
    readings: Iterator[int] = iter([0, 60])
    got: list[bytes] = []
    with Server(lambda peer: got.append(peer.sock.recv(1))) as server:
        client = connect(base_url=server.url)
        result = attempt(client, clock=lambda: NOW + timedelta(seconds=next(readings)))
        assert not_sent(result) == "the time for this attempt ran out before it began"
    assert got in ([], [b""])  # [] where the server ended before it accepted
    assert result.error is None


def test_no_time_left(connect: Connect) -> None:
    with Server(answering) as server:
        not_sent(attempt(connect(base_url=server.url), timeout_left=0.0))
    assert server.connections == 0


# --- stopped by the caller -------------------------------------------------------------------------------------


def stopping(event: str, error: BaseException) -> Callable[[str, Any], None]:
    """A trace callback that raises at the given event."""

    def trace(name: str, _info: Any) -> None:
        if name == event:
            raise error

    return trace


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
@pytest.mark.parametrize("event", ["connection.connect_tcp.started", "http11.send_request_headers.started"])
def test_interrupted_before_the_first_byte(connect: Connect, event: str, error: BaseException) -> None:
    got: list[bytes] = []
    with Server(lambda peer: got.append(peer.sock.recv(1))) as server:
        client = connect(base_url=server.url)
        result = attempt(client, extensions={"trace": stopping(event, error)})
    not_sent(result)
    assert result.failure is not None
    assert result.failure.interrupted
    assert result.error is error
    assert got in ([], [b""])


def test_the_request_is_as_before_after_an_attempt(connect: Connect) -> None:
    with refusing() as port:
        client = connect()
        ready = prepared(client, f"http://127.0.0.1:{port}/", json={})
        before = dict(ready.request.extensions)
        with contextlib.suppress(StopIteration):
            attempt(client, request=ready.request, timeout_left=1.0)
    assert ready.request.extensions == before


# --- no event at all -------------------------------------------------------------------------------------------


def broken(_request: Any) -> None:
    raise ZeroDivisionError


def test_a_request_hook_raises_over_a_write_that_was_cast(connect: Connect, module: Any) -> None:
    with Server(answering) as server:
        client = connect(base_url=server.url, event_hooks={"request": [broken]})
        prepared(client, json={"n": 1})
        cast = prepared(client, json={"n": 2})
        assert type(cast.auth) is module.Auth  # so it was
        result = exchange(
            library_of(client),
            client,
            cast.request,
            auth=cast.auth,
            clock=lambda: NOW,
            not_after=NOW + timedelta(seconds=60),
        )
        assert not_sent(result) == "an unexpected ZeroDivisionError"
    assert server.connections == 0


def test_a_request_hook_raises(connect: Connect) -> None:
    with Server(answering) as server:
        client = connect(base_url=server.url, auth=("u", "p"), event_hooks={"request": [broken]})
        assert not_sent(attempt(client)) == "an unexpected ZeroDivisionError"
    assert server.connections == 0


def test_ctrl_c_while_waiting_for_the_pool(connect: Connect, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()

    def interrupted(*_args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(client._transport._pool, "_assign_requests_to_connections", interrupted)
    with contextlib.suppress(KeyboardInterrupt):
        assert not_sent(attempt(client, "http://api.shop.example/")) == "interrupted by Ctrl-C"


def by_a_flow(module: Any) -> dict[str, Any]:
    return {"auth": lambda request: request, "event_hooks": {"request": [broken]}}


def by_a_mock(module: Any) -> dict[str, Any]:
    return {"transport": module.MockTransport(broken)}


def by_a_hook_that_hides_the_trace(module: Any) -> dict[str, Any]:
    def hides(request: Any) -> None:
        request.extensions = {}
        raise ZeroDivisionError

    return {"event_hooks": {"request": [hides]}}


@pytest.mark.parametrize("options", [by_a_flow, by_a_mock, by_a_hook_that_hides_the_trace])
def test_silence_proves_nothing_where_others_may_have_sent(
    connect: Connect, module: Any, options: Callable[[Any], dict[str, Any]]
) -> None:
    failure = attempt(connect(**options(module)), "http://api.shop.example/").failure
    assert failure is not None
    assert failure.sent


def test_silence_proves_nothing_for_a_patched_transport(
    connect: Connect, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.HTTPTransport, "handle_request", lambda _self, request: broken(request))
    failure = attempt(connect(), "http://api.shop.example/").failure
    assert failure is not None
    assert failure.sent
