"""`FaultTransport` tells the same story as httpx over a socket."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
import pytest

from samekey.testing import Fault, FaultTransport, FlakyServer

Events = list[tuple[str, dict[str, Any]]]


def traced(client: httpx.Client, events: Events, method: str = "POST") -> httpx.Response:
    def note(name: str, info: dict[str, Any]) -> None:
        events.append((name, info))

    with client.stream(method, "/orders", json={"n": 1}, extensions={"trace": note}) as response:
        response.read()
    return response


def names_of(events: Events) -> list[str]:
    return [name for name, _ in events]


@pytest.mark.parametrize(
    "fault",
    [Fault.NONE, Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_RESET, Fault.GARBAGE, Fault.TRUNCATE],
    ids=str,
)
def test_trace_events_are_those_of_a_socket(server: FlakyServer, fault: Fault) -> None:
    transport = FaultTransport()
    real: Events = []
    fake: Events = []
    for api, options, events in (
        (server, {"base_url": server.url}, real),
        (transport, {"base_url": "http://api.example", "transport": transport}, fake),
    ):
        assert isinstance(api, FlakyServer | FaultTransport)
        api.script(fault)
        with httpx.Client(**options) as client, contextlib.suppress(httpx.TransportError):
            traced(client, events)
    closing = {"connection.close.started", "connection.close.complete"}
    assert [name for name in names_of(real) if name not in closing] == names_of(fake)
    for (name, info), (_, real_info) in zip(fake, real, strict=False):
        assert info.keys() <= real_info.keys(), name


def test_trace_events_carry_the_request_with_its_method_as_bytes() -> None:
    events: Events = []
    with httpx.Client(base_url="http://api.example", transport=FaultTransport()) as client:
        traced(client, events)
    info = dict(events)["http11.send_request_headers.started"]
    assert (info["request"].method, info["request"].target) == (b"POST", b"/orders")


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.CONNECT_REFUSED, httpx.ConnectError), (Fault.CONNECT_TIMEOUT, httpx.ConnectTimeout)],
    ids=str,
)
def test_a_refused_connection_sends_nothing(fault: Fault, error: type[Exception]) -> None:
    transport = FaultTransport()
    transport.script(fault)
    events: Events = []
    with httpx.Client(base_url="http://api.example", transport=transport) as client:
        with pytest.raises(error) as caught:
            traced(client, events)
        assert names_of(events) == ["connection.connect_tcp.started", "connection.connect_tcp.failed"]
        assert events[1][1] == {"exception": caught.value}
        assert transport.requests == []
        assert traced(client, []).status_code == 201


def test_a_trace_callback_that_raises_before_the_headers_stops_the_send() -> None:
    transport = FaultTransport()

    def veto(name: str, info: dict[str, Any]) -> None:
        if name == "http11.send_request_headers.started":
            raise LookupError(info["request"].method)

    with (
        httpx.Client(base_url="http://api.example", transport=transport) as client,
        pytest.raises(LookupError),
    ):
        client.post("/orders", extensions={"trace": veto})
    assert transport.requests == []


def test_the_next_client_goes_on_with_the_same_ledger_and_keys() -> None:
    transport = FaultTransport()
    for _ in range(2):
        with httpx.Client(base_url="http://api.example", transport=transport) as client:
            client.post("/orders", headers={"Idempotency-Key": "k"})
    assert (len(transport.requests), len(transport.effects)) == (2, 1)


def test_answers_equal_those_of_a_socket(server: FlakyServer) -> None:
    server_client = httpx.Client(base_url=server.url)
    fake_client = httpx.Client(base_url="http://api.example", transport=FaultTransport())
    with server_client, fake_client:
        for method, path in [("POST", "/orders"), ("GET", "/orders/order_1"), ("HEAD", "/orders/order_1")]:
            real, fake = (c.request(method, path) for c in (server_client, fake_client))
            for response in (real, fake):
                del response.headers["Date"]
            assert real.headers == fake.headers
            assert (real.status_code, real.reason_phrase, real.http_version, real.content) == (
                fake.status_code,
                fake.reason_phrase,
                fake.http_version,
                fake.content,
            )
