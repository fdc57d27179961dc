"""`FlakyServer` as a server: HTTP/1.1, TLS, restarts, clients that die, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import trustme

import samekey.testing
from samekey.testing import Fault, FlakyServer, Seen

DESCRIPTORS = Path("/dev/fd")
POST = b"POST /orders HTTP/1.1\r\nHost: api\r\n"


def raw(server: FlakyServer, *parts: bytes) -> bytes:
    """Send parts over one connection; return all that comes back until the server closes it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        for part in parts:
            sock.sendall(part)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def child(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments])


# HTTP


def test_bodies_arrive_byte_for_byte(server: FlakyServer, client: httpx.Client) -> None:
    large = os.urandom(3_000_000)
    client.post("/files", content=large)
    client.post("/files", content=iter([b"a" * 70_000, b"", b"b"]))
    client.post("/files", files={"f": ("x.bin", b"\r\n\r\n\x00")})
    bodies = [seen.body for seen in server.requests]
    assert bodies[0] == large
    assert bodies[1] == b"a" * 70_000 + b"b"
    assert b"\r\n\r\n\x00" in bodies[2]
    assert server.requests[1].header("Transfer-Encoding") == "chunked"


def test_requests_share_a_connection_and_may_be_pipelined(server: FlakyServer) -> None:
    request = POST + b"Content-Length: 2\r\n\r\n{}"
    answer = raw(server, request + request + request[:20], request[20:])
    assert answer.count(b"HTTP/1.1 201 Created\r\n") == 3
    assert b"Connection: close" not in answer


def test_a_request_may_come_byte_by_byte(server: FlakyServer) -> None:
    request = POST + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nTrailer: t\r\n\r\n"
    answer = raw(server, *(bytes([byte]) for byte in request))
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert server.effects[0].body == b"{}"


def test_the_client_can_end_the_connection_with_its_request(server: FlakyServer) -> None:
    with_close = raw(server, POST + b"Connection: close\r\n\r\n" + POST + b"\r\n")
    old = raw(server, b"POST /orders HTTP/1.0\r\n\r\n")
    assert (with_close.count(b"HTTP/1.1 201"), old.count(b"HTTP/1.1 201")) == (1, 1)
    assert b"Connection: close" in with_close
    assert b"Connection: close" in old


def test_a_client_that_expects_100_continue_gets_it(server: FlakyServer) -> None:
    answer = raw(server, POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", b"{}")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 ")


def test_a_request_through_a_proxy_has_an_absolute_target(server: FlakyServer) -> None:
    raw(server, b"POST http://api.example/v1/orders?x=1 HTTP/1.1\r\n\r\n")
    assert server.requests[0].path == "/v1/orders"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"POST / HTTP/2\r\n\r\n", 400),
        (POST + b"no colon\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST + b"X: " + b"x" * 70_000, 431),
    ],
)
def test_what_is_not_http_gets_an_error_and_is_no_request(
    server: FlakyServer, request_bytes: bytes, status: int
) -> None:
    assert raw(server, request_bytes).startswith(b"HTTP/1.1 %d " % status)
    assert server.requests == []


@pytest.mark.parametrize("part", [b"", b"POST /or", POST, POST + b"Content-Length: 5\r\n\r\n{}"])
def test_a_client_that_leaves_in_mid_request_has_no_effect(server: FlakyServer, part: bytes) -> None:
    assert raw(server, part) == b""
    assert server.requests == []


def test_the_server_speaks_tls() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with (
        FlakyServer(ssl_context=context) as server,
        httpx.Client(base_url=server.url, verify=trusting) as client,
    ):
        assert server.url.startswith("https://")
        assert client.post("/orders").status_code == 201
        for fault in (Fault.COMMIT_THEN_RESET, Fault.COMMIT_THEN_DROP):
            server.script(fault)
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                client.post("/orders")
        with socket.create_connection(("127.0.0.1", server.port)) as mute:
            mute.sendall(b"\x16")  # a handshake that never ends does not keep the server open
    assert len(server.effects) == 3


def test_many_clients_at_once(server: FlakyServer) -> None:
    def run(number: int) -> int:
        with httpx.Client(base_url=server.url) as client:
            return sum(client.post("/orders", json=[number, n]).status_code == 201 for n in range(20))

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(run, range(16))) == 320
    assert [effect.number for effect in server.effects] == list(range(1, 321))
    assert server.duplicates() == {}


# Life and death


def test_a_closed_server_refuses_and_a_restarted_one_remembers() -> None:
    server = FlakyServer()
    key = {"Idempotency-Key": "k"}
    with server, httpx.Client(base_url=server.url) as client:
        client.post("/orders", headers=key)
        server.close()
        server.close()
        with pytest.raises(httpx.ConnectError):
            client.post("/orders", headers=key)
        port = server.port
        server.start()
        assert server.port == port
        assert client.post("/orders", headers=key).headers["Idempotent-Replayed"] == "true"
    assert len(server.effects) == 1


def test_a_server_is_started_once(server: FlakyServer) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        server.start()
    with pytest.raises(OSError, match="in use"):
        FlakyServer(port=server.port).start()


def test_its_repr_says_where_it_is_and_what_it_did(server: FlakyServer, client: httpx.Client) -> None:
    client.post("/orders")
    assert repr(server) == f"<FlakyServer {server.url} running, 1 effects>"


@pytest.mark.parametrize(("where", "effects"), [("before_effect", 0), ("before_reply", 1)])
def test_a_server_that_dies_under_a_request_leaves_it_without_an_answer(
    server: FlakyServer, client: httpx.Client, where: samekey.testing.Point, effects: int
) -> None:
    with server.hold(where) as held, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "/orders", headers={"Idempotency-Key": "k"})
        held.wait_for(1)
        server.close()
        assert isinstance(answer.exception(), httpx.TransportError)
    assert len(server.effects) == effects
    server.start()
    assert client.post("/orders", headers={"Idempotency-Key": "k"}).status_code == 201
    assert len(server.effects) == 1


def test_closing_cuts_a_slow_effect_short() -> None:
    arrived = threading.Event()
    server = FlakyServer(latency=3600)
    server.on_request = lambda _: arrived.set()
    with server, httpx.Client(base_url=server.url) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "/orders")
        assert arrived.wait(10)
        server.close()
        assert isinstance(answer.exception(), httpx.TransportError)
    assert server.effects == []


def test_a_hook_may_close_the_server_itself(server: FlakyServer, client: httpx.Client) -> None:
    server.on_request = lambda _: server.close()
    with pytest.raises(httpx.TransportError):
        client.post("/orders")
    assert len(server.requests) == 1
    assert server.effects == []


def test_a_dropped_idle_connection_is_replaced_by_a_new_one(server: FlakyServer, client: httpx.Client) -> None:
    def used(events: list[str]) -> int:
        trace = {"trace": lambda name, _: events.append(name)}
        return client.post("/orders", extensions=trace).status_code

    first: list[str] = []
    second: list[str] = []
    third: list[str] = []
    assert (used(first), used(second)) == (201, 201)
    assert "connection.connect_tcp.started" not in second
    with server.hold("before_reply", path="/held") as held, ThreadPoolExecutor(1) as pool:
        busy = pool.submit(httpx.post, f"{server.url}/held")
        held.wait_for(1)
        assert server.drop_idle() == 1
        held.release()
        assert busy.result().status_code == 201
    assert used(third) == 201
    assert "connection.connect_tcp.started" in third


CLIENT = "import sys, httpx; httpx.post(sys.argv[1], headers={'Idempotency-Key': 'k'}, timeout=None)"


@pytest.mark.parametrize("where", ["before_effect", "before_reply"])
def test_a_client_killed_in_mid_flight_has_its_effect_once(
    server: FlakyServer, client: httpx.Client, where: samekey.testing.Point
) -> None:
    with server.hold(where, limit=1) as held:
        process = child(CLIENT, f"{server.url}/orders")
        held.wait_for(1, timeout=60)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    server.wait_idle()
    answer = client.post("/orders", headers={"Idempotency-Key": "k"})
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert len(server.effects_for("k")) == 1


def test_a_stalled_client_that_is_killed_frees_its_connection(server: FlakyServer) -> None:
    server.script(Fault.STALL)
    arrived = threading.Event()
    server.on_request = lambda _: arrived.set()
    process = child(CLIENT, f"{server.url}/orders")
    assert arrived.wait(60)
    process.kill()
    process.wait()
    for thread in threading.enumerate():
        if thread.name == "FlakyServer connection":
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="counts open descriptors")
def test_nothing_is_left_after_closing() -> None:
    def count() -> tuple[int, int]:
        return threading.active_count(), len(list(DESCRIPTORS.iterdir()))

    before = count()
    for _ in range(3):
        with FlakyServer() as server, contextlib.ExitStack() as stack:
            faults = [Fault.STALL, Fault.COMMIT_THEN_RESET, Fault.TRUNCATE, Fault.GARBAGE]
            server.script(*faults)
            socks = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(8)]
            with server.hold("before_reply") as held:
                for sock in socks[:6]:
                    sock.sendall(POST + b"\r\n")
                held.wait_for(6)
            server.close()
    assert count() == before


def test_an_error_in_a_hook_is_not_swallowed(server: FlakyServer, client: httpx.Client) -> None:
    caught: list[BaseException | None] = []
    noted = threading.Event()

    def note(arguments: threading.ExceptHookArgs) -> None:
        caught.append(arguments.exc_value)
        noted.set()

    def explode(seen: Seen) -> None:
        raise OSError(seen.number)

    server.on_request = explode
    original, threading.excepthook = threading.excepthook, note
    try:
        with pytest.raises(httpx.TransportError):
            client.post("/orders")
        assert noted.wait(10)
    finally:
        threading.excepthook = original
    assert [str(error) for error in caught] == ["1"]
    assert server.effects == []


def test_the_public_names_are_sorted_and_there() -> None:
    names = samekey.testing.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(samekey.testing, name) for name in names)
