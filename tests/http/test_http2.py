"""HTTP/2: one attempt must stay one send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from tests.http.conftest import attempt
from tests.http.servers import Peer, Server

Connect = Callable[..., Any]


class Session:
    """The server's side of one HTTP/2 connection."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.state.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.peer.send(self.state.data_to_send())

    def next_request(self) -> int:
        """The stream of the next whole request; 0 if the client is gone."""
        while data := self.peer.sock.recv(65536):
            events = self.state.receive_data(data)
            self.flush()
            for event in events:
                if isinstance(event, h2.events.RequestReceived):
                    self.peer.server.requests.append(repr(event.headers).encode())
                if isinstance(event, h2.events.StreamEnded):
                    return event.stream_id
        return 0

    def answer(self, stream: int) -> None:
        self.state.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
        self.state.send_data(stream, b'{"id": 7}', end_stream=True)
        self.flush()


def answering(peer: Peer) -> None:
    session = Session(peer)
    while stream := session.next_request():
        session.answer(stream)


@pytest.fixture
def connect2(connect: Connect) -> Connect:
    """Clients that speak HTTP/2 at once, without TLS."""
    return lambda **options: connect(http1=False, http2=True, **options)


def test_an_answer(connect2: Connect) -> None:
    with Server(answering) as server:
        client = connect2(base_url=server.url)
        results = [attempt(client), attempt(client, fresh_connection=True)]
    for result in results:
        assert result.reply is not None
        assert (result.reply.body, result.reply.framed) == (b'{"id": 7}', True)
    assert len(server.requests) == 2


def test_a_goaway_makes_no_second_send(connect2: Connect) -> None:
    def leaves(peer: Peer) -> None:
        session = Session(peer)
        if stream := session.next_request():
            session.answer(stream)
        if peer.number == 1:
            session.next_request()
            session.state.close_connection(last_stream_id=1)
            session.flush()
        peer.wait_for_end()

    with Server(leaves) as server:
        client = connect2(base_url=server.url)
        assert attempt(client).reply is not None
        result = attempt(client)
    assert result.failure is not None
    assert result.failure.sent
    assert "second send was stopped" in result.failure.summary
    assert len(server.requests) == 2


@pytest.mark.parametrize("how", ["reset", "goaway"])
def test_a_stream_that_ends_without_an_answer(connect2: Connect, how: str) -> None:
    def refuses(peer: Peer) -> None:
        session = Session(peer)
        stream = session.next_request()
        if how == "reset":
            session.state.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            session.state.close_connection(last_stream_id=stream)
        session.flush()
        peer.wait_for_end()

    with Server(refuses) as server:
        result = attempt(connect2(base_url=server.url))
    assert result.failure is not None
    assert result.failure.sent
    assert result.failure.summary == "connection closed without an answer"


def test_no_answer_in_time(connect2: Connect, module: Any) -> None:
    def hangs(peer: Peer) -> None:
        Session(peer).next_request()
        peer.wait_for_end()

    with Server(hangs) as server:
        result = attempt(connect2(base_url=server.url, timeout=module.Timeout(10, read=0.05)))
    assert result.failure is not None
    assert result.failure.sent
    assert result.failure.summary == "no answer within 0.05 s"
