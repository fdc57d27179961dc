"""What goes through the transport, and what comes back: streams, packed and multipart bodies, and their limits."""

from __future__ import annotations

import gzip
from types import ModuleType
from typing import Any

import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.transport.conftest import BODY, ONCE, VendorError, Wire, order, vendor_post


def test_a_streamed_answer_is_buffered_and_stored(server: FlakyServer, wire: Wire) -> None:
    client = wire()
    with order(), client.stream("POST", "/orders", json=BODY) as response:
        lines = "".join(response.iter_text())
    with order() as again:
        assert vendor_post(client).text == lines
    assert again.replayed


def test_a_packed_answer_is_handed_on_unpacked(library: ModuleType, wire: Wire) -> None:
    packed = gzip.compress(b'{"id": "order_9"}')

    def answer(request: Any) -> Any:
        return library.Response(201, headers={"content-encoding": "gzip"}, content=packed)

    with order() as action:
        response = vendor_post(wire(inner=library.MockTransport(answer)))
    assert (response.json(), action.reference) == ({"id": "order_9"}, "order_9")
    assert (response.headers["content-length"], "content-encoding" in response.headers) == ("17", False)


def test_an_answer_beyond_the_limit_is_an_unknown_outcome(server: FlakyServer, wire: Wire) -> None:
    client = wire(max_response=10, retry=ONCE)
    with pytest.raises(samekey.OutcomeUnknownError, match="HTTP 201, and an answer too long to be read"), order():
        vendor_post(client)
    assert len(server.effects) == 1


def test_a_result_whose_body_was_not_kept_is_no_empty_answer(server: FlakyServer, wire: Wire) -> None:
    client = wire(keep="reference")
    with order():
        assert vendor_post(client).json()["id"] == "order_1"
    with pytest.raises(VendorError) as raised, order() as action:
        vendor_post(wire(keep="reference"))
    assert "was not kept" in str(raised.value.__cause__)
    assert action.reference == "order_1"


def test_a_multipart_body_is_the_same_action_whatever_its_boundary(server: FlakyServer, wire: Wire) -> None:
    server.script(Fault.DROP_BEFORE)
    client = wire(retry=ONCE)
    with pytest.raises(samekey.OutcomeUnknownError), order():
        client.post("/files", files={"a": ("a.txt", b"text")})
    with order() as action:
        wire().post("/files", files={"a": ("a.txt", b"text")})
    first, second = server.requests
    assert (first.body, first.headers, action.recovered) == (second.body, second.headers, True)


def test_a_generator_body_is_read_once_and_kept(server: FlakyServer, wire: Wire) -> None:
    server.script(Fault.DROP_BEFORE)
    with order():
        wire().post("/orders", content=iter([b"a", b"b"]))
    assert [(request.body, request.header("content-length")) for request in server.requests] == [(b"ab", "2")] * 2


def test_a_body_that_is_too_large_is_refused(server: FlakyServer, wire: Wire) -> None:
    client = wire()
    for content in (b"x" * 1_100_000, iter([b"x" * 1_100_000])):
        with pytest.raises(samekey.UsageError, match='freeze="nothing"'), order():
            client.post("/orders", content=content)
    assert server.requests == []


def test_a_write_without_a_time_limit_is_refused(server: FlakyServer, wire: Wire) -> None:
    with pytest.raises(samekey.UsageError, match="time-out is None"), order():
        wire(client={"timeout": None}).post("/orders", json=BODY)
    assert server.requests == []
