"""The request, or a part of it, was at the server: unknown, whatever the exception is."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import samekey.http.exchange as exchange_module
from samekey.http.exchange import Exchange
from tests.http.conftest import attempt, prepared
from tests.http.servers import Peer, Server, answering, refusing

Connect = Callable[..., Any]
LARGE = b"x" * 20_000_000


def maybe_sent(result: Exchange[Any]) -> str:
    """Assert the verdict; return the words for people."""
    assert result.reply is None
    assert result.failure is not None
    assert result.failure.sent is True, result
    return result.failure.summary


# --- answers ---------------------------------------------------------------------------------------------------


def test_an_answer_is_read_decoded_and_framed(connect: Connect) -> None:
    with Server(answering) as server:
        result = attempt(connect(base_url=server.url))
    assert result.failure is None
    assert result.error is None
    assert result.reply is not None
    assert (result.reply.status, result.reply.body, result.reply.framed) == (200, b'{"id": 7}', True)
    assert result.reply.header("content-type") == "application/json"
    assert result.native is not None
    assert result.native.json() == {"id": 7}


def test_an_answer_that_ends_with_the_connection_is_not_framed(connect: Connect) -> None:
    def ends(peer: Peer) -> None:
        peer.read_request()
        peer.send(b'HTTP/1.1 200 OK\r\n\r\n{"id": 7}')

    with Server(ends) as server:
        result = attempt(connect(base_url=server.url))
    assert result.reply is not None
    assert result.reply.framed is False


def test_a_redirect_is_not_followed(connect: Connect) -> None:
    with refusing() as elsewhere:

        def redirects(peer: Peer) -> None:
            peer.read_request()
            peer.answer(b"", "307 Temporary Redirect", (f"Location: http://127.0.0.1:{elsewhere}/",))

        with Server(redirects) as server:
            result = attempt(connect(base_url=server.url, follow_redirects=True))
    assert result.reply is not None
    assert result.reply.status == 307
    assert len(server.requests) == 1


def test_an_early_413_with_a_reset(connect: Connect) -> None:
    def too_large(peer: Peer) -> None:
        peer.read_head()
        peer.answer(b"", "413 Content Too Large", ("Connection: close",))
        peer.reset()

    with Server(too_large) as server:
        result = attempt(connect(base_url=server.url), request=None, content=b"x" * 1_000_000, json=None)
    if result.reply is None:  # which of the two the client sees is a race
        maybe_sent(result)
    else:
        assert result.reply.status == 413


def test_a_401_may_be_answered_by_the_authentication_flow(connect: Connect, module: Any) -> None:
    def digest(peer: Peer) -> None:
        peer.read_request()
        peer.answer(b"", "401 Unauthorized", ('WWW-Authenticate: Digest realm="a", nonce="b", qop="auth"',))
        peer.read_request()
        peer.answer()

    with Server(digest) as server:
        client = connect(base_url=server.url, auth=module.DigestAuth("user", "pass"))
        result = attempt(client, fresh_connection=True)
    assert result.reply is not None
    assert result.reply.status == 200
    assert len(server.requests) == 2


# --- the request is wrong --------------------------------------------------------------------------------------


def test_a_body_of_another_length_than_announced(connect: Connect) -> None:
    with Server(Peer.wait_for_end) as server:
        client = connect(base_url=server.url)
        request = client.build_request("POST", "/", content=b"abc", headers={"Content-Length": "5"})
        assert maybe_sent(attempt(client, request=request)) == "the request breaks the rules of HTTP"


@pytest.mark.parametrize("chunks", [0, 1])
def test_the_body_raises_while_it_is_read(connect: Connect, chunks: int) -> None:
    error = ZeroDivisionError("mine")

    def body() -> Iterator[bytes]:
        yield from [b"x"] * chunks
        raise error

    heads: list[bytes] = []
    with Server(lambda peer: heads.append(peer.read_head())) as server:
        client = connect(base_url=server.url)
        result = attempt(client, request=client.build_request("POST", "/", content=body()))
        assert server.closed.wait(10)
    assert maybe_sent(result) == "an unexpected ZeroDivisionError"
    assert result.error is error
    assert heads[0].startswith(b"POST / HTTP/1.1")


# --- the connection ends ---------------------------------------------------------------------------------------


def closes(peer: Peer) -> None:
    peer.read_request()


def resets(peer: Peer) -> None:
    peer.read_request()
    peer.reset()


@pytest.mark.parametrize("behaviour", [closes, resets])
def test_no_answer(connect: Connect, behaviour: Callable[[Peer], None]) -> None:
    with Server(behaviour) as server:
        assert maybe_sent(attempt(connect(base_url=server.url))) == "connection closed without an answer"


@pytest.mark.parametrize("end", [Peer.reset, lambda _peer: None])
def test_the_answer_is_cut(connect: Connect, end: Callable[[Peer], None]) -> None:
    def cuts(peer: Peer) -> None:
        peer.read_request()
        peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id"')
        end(peer)

    with Server(cuts) as server:
        summary = maybe_sent(attempt(connect(base_url=server.url)))
    # a reset may overtake the answer
    assert summary in {"connection lost in the middle of the answer", "connection closed without an answer"}


def test_the_connection_is_reset_in_the_middle_of_a_large_body(connect: Connect) -> None:
    def resets_early(peer: Peer) -> None:
        peer.read_head()
        peer.reset()

    with Server(resets_early) as server:
        client = connect(base_url=server.url)
        request = client.build_request("POST", "/", content=LARGE)
        assert maybe_sent(attempt(client, request=request)) == "connection closed without an answer"


def test_the_answer_cannot_be_decoded(connect: Connect) -> None:
    def garbles(peer: Peer) -> None:
        peer.read_request()
        peer.answer(b"this is no gzip", headers=("Content-Encoding: gzip",))

    with Server(garbles) as server:
        assert maybe_sent(attempt(connect(base_url=server.url))) == "the answer cannot be decoded"


def test_the_server_never_answers(connect: Connect, module: Any) -> None:
    with Server(Peer.wait_for_end) as server:
        client = connect(base_url=server.url, timeout=module.Timeout(10, read=0.05))
        assert maybe_sent(attempt(client)) == "no answer within 0.05 s"


def test_time_left_shortens_every_timeout(connect: Connect) -> None:
    with Server(Peer.wait_for_end) as server:
        client = connect(base_url=server.url, timeout=3600.0)
        assert maybe_sent(attempt(client, timeout_left=0.05)) == "no answer within 0.05 s"


def test_the_server_stops_in_the_middle_of_its_answer(connect: Connect, module: Any) -> None:
    def stalls(peer: Peer) -> None:
        peer.read_request()
        peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id"')
        peer.wait_for_end()

    with Server(stalls) as server:
        client = connect(base_url=server.url, timeout=module.Timeout(10, read=0.05))
        assert maybe_sent(attempt(client)) == "no complete answer within 0.05 s"


def test_the_server_takes_no_more_of_the_request(connect: Connect, module: Any) -> None:
    def sleeps(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.read_head()
        peer.server.closed.wait(5)

    with Server(sleeps) as server:
        client: Any = connect(base_url=server.url, timeout=module.Timeout(10, write=0.05))
        result = attempt(client, request=client.build_request("POST", "/", content=LARGE))
        assert maybe_sent(result) == "the request was not taken within 0.05 s"
        server.closed.set()


# --- connections that were used before -------------------------------------------------------------------------


def stale(peer: Peer) -> None:
    """Answers once, and closes when the second request is on its way, as an idle time-out may."""
    peer.read_request()
    peer.answer()
    if peer.number == 1:
        peer.sock.recv(1)
        peer.reset()


def test_a_used_connection_may_die_with_the_request_on_it(connect: Connect) -> None:
    with Server(stale) as server:
        client = connect(base_url=server.url)
        assert attempt(client).reply is not None
        assert maybe_sent(attempt(client)) == "connection closed without an answer"


def test_a_fresh_connection_is_not_stale_and_takes_one_request(connect: Connect) -> None:
    with Server(stale) as server:
        client = connect(base_url=server.url)
        assert attempt(client).reply is not None
        result = attempt(client, fresh_connection=True)
    assert result.reply is not None
    assert server.connections == 2
    assert len(server.requests) == 2


def test_every_idle_connection_is_passed_over_for_a_fresh_one(connect: Connect) -> None:
    with Server(answering) as server:
        client = connect(base_url=server.url)
        with client.stream("GET", "/"), client.stream("GET", "/"), client.stream("GET", "/"):
            pass
        assert server.connections == 3
        assert attempt(client, fresh_connection=True).reply is not None
    assert server.connections == 4
    assert len(server.requests) == 4


def test_a_connection_that_the_server_has_closed_is_replaced_silently(connect: Connect) -> None:
    def once(peer: Peer) -> None:
        peer.read_request()
        peer.answer()

    with Server(once) as server:
        client = connect(base_url=server.url)
        assert attempt(client).reply is not None
        assert server.closed.wait(10)
        assert attempt(client).reply is not None
    assert len(server.requests) == 2


# --- stopped by the caller -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
@pytest.mark.parametrize(
    "event",
    ["send_request_body.started", "receive_response_headers.started", "receive_response_body.complete"],
)
def test_interrupted_after_the_first_byte(connect: Connect, event: str, error: BaseException) -> None:
    def trace(name: str, _info: Any) -> None:
        if name == f"http11.{event}":
            raise error

    with Server(answering) as server:
        result = attempt(connect(base_url=server.url), extensions={"trace": trace})
    maybe_sent(result)
    assert result.failure is not None
    assert result.failure.interrupted
    assert result.error is error


def test_ctrl_c_while_waiting_for_the_answer(connect: Connect) -> None:
    def interrupts(peer: Peer) -> None:
        peer.read_request()
        os.kill(os.getpid(), signal.SIGINT)
        peer.wait_for_end()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Server(interrupts) as server:
            result = attempt(connect(base_url=server.url))
    finally:
        signal.signal(signal.SIGINT, before)
    assert maybe_sent(result) == "interrupted by Ctrl-C"
    assert isinstance(result.error, KeyboardInterrupt)


def test_a_complete_answer_counts_although_ctrl_c_came(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    stops = iter([KeyboardInterrupt()])

    def reply_of(response: Any) -> Any:
        for stop in stops:
            raise stop
        return original(response)

    original = exchange_module.reply_of
    monkeypatch.setattr(exchange_module, "reply_of", reply_of)
    with Server(answering) as server:
        result = attempt(connect(base_url=server.url))
    assert result.reply is not None
    assert result.failure is None
    assert isinstance(result.error, KeyboardInterrupt)


def test_a_response_hook_raises(connect: Connect) -> None:
    def hook(_response: Any) -> None:
        raise ZeroDivisionError

    with Server(answering) as server:
        client = connect(base_url=server.url, event_hooks={"response": [hook]})
        assert maybe_sent(attempt(client)) == "an unexpected ZeroDivisionError"


# --- something below sends twice -------------------------------------------------------------------------------


def test_a_transport_that_retries_is_stopped_at_its_second_send(connect: Connect, module: Any) -> None:
    class Stubborn(module.BaseTransport):  # type: ignore[misc]
        inner = module.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            while True:
                try:
                    return self.inner.handle_request(request)
                except Exception:  # noqa: BLE001 - of whatever kind
                    continue

        def close(self) -> None:
            self.inner.close()

    with Server(closes) as server:
        result = attempt(connect(base_url=server.url, transport=Stubborn()))
    assert "second send was stopped" in maybe_sent(result)
    assert len(server.requests) == 1


def test_a_second_try_that_is_refused_does_not_hide_the_first(connect: Connect, module: Any) -> None:
    class Twice(module.BaseTransport):  # type: ignore[misc]
        inner = module.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            try:
                return self.inner.handle_request(request)
            except module.TransportError:
                request.url = request.url.copy_with(port=refused)
                return self.inner.handle_request(request)

        def close(self) -> None:
            self.inner.close()

    with refusing() as refused, Server(closes) as server:
        result = attempt(connect(base_url=server.url, transport=Twice()))
    assert isinstance(result.error, module.ConnectError)
    assert maybe_sent(result) == "connection refused"


def test_a_users_trace_callback_still_gets_its_events(connect: Connect) -> None:
    names: list[str] = []
    with Server(answering) as server:
        client = connect(base_url=server.url)
        ready = prepared(client, json={}, extensions={"trace": lambda name, _info: names.append(name)})
        for _ in range(2):
            assert attempt(client, request=ready.request).reply is not None
    assert names.count("http11.send_request_headers.started") == 2
