"""Keys in the body, the query and a form: what a caller may not do, and that a real server gets them."""

from __future__ import annotations

import json
from typing import Any

import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import DAY, ONCE, Connect, create_order, post


def provider(kind: str, name: str = "request_id") -> samekey.Provider:
    return samekey.Provider("shop", carrier={"kind": kind, "name": name}, window=DAY)


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("json", {"json": {"request_id": "mine"}}, "brings its own request_id in the body; leave it out"),
    ("json", {"json": [1]}, "goes into the JSON body as request_id, and the body has no object for it"),
    ("json", {"content": b"{}"}, "takes its key as request_id in the JSON body; give the body as json="),
    ("json", {"data": {"a": "1"}}, "takes its key as request_id in the JSON body; give the body as json="),
    ("form", {"json": {}}, "takes its key as the form field request_id; give the body as data="),
    ("form", {"data": {"request_id": ""}}, "brings its own form field request_id; leave it out"),
    (
        "query",
        {"json": {}, "params": {"request_id": "mine"}},
        "brings its own query parameter request_id; leave it out",
    ),
]


@pytest.mark.parametrize(("kind", "options", "message"), BAD)
def test_a_request_that_cannot_carry_the_key_is_refused(
    server: FlakyServer, connect: Connect, kind: str, options: dict[str, Any], message: str
) -> None:
    client = connect(provider=provider(kind))
    with pytest.raises(samekey.UsageError, match=message):
        post(client, **options)
    assert server.requests == []
    assert client.record(create_order, scope={"order": 1}) is None


def test_a_stream_cannot_carry_a_key_in_its_body(server: FlakyServer, connect: Connect) -> None:
    client = connect(provider=provider("json"), freeze="nothing")
    headers = {"content-type": "application/json"}
    with pytest.raises(samekey.UsageError, match="takes its key in the body, which a stream cannot carry"):
        post(client, content=iter([b"{}"]), fingerprint="x", headers=headers)
    assert server.requests == []


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("json", {"json": {"total": "19.99", "größe": [1, 2.5]}}),
        ("json", {"content": b' { "total" : 1.10 } ', "headers": {"content-type": "application/json"}}),
        ("form", {"data": {"total": "19.99", "note": "a b&c"}}),
        ("query", {"json": {"total": 1}, "params": {"dry": "no"}}),
    ],
)
def test_every_send_of_a_key_is_the_same_over_a_restart(
    server: FlakyServer, connect: Connect, kind: str, options: dict[str, Any]
) -> None:
    server.script(Fault.DROP_BEFORE, Fault.DROP_BEFORE)
    for _ in range(2):
        with pytest.raises(samekey.OutcomeUnknownError):
            post(connect(provider=provider(kind), retry=ONCE), **options)
    action = post(connect(provider=provider(kind)), **options)
    first, second, third = server.requests
    assert action.key is not None
    sent = first.target if kind == "query" else first.body.decode()
    assert sent.count(action.key) == 1
    for again in (second, third):
        assert (again.target, again.body, again.headers) == (first.target, first.body, first.headers)


def test_a_keyed_body_has_the_right_length_and_its_other_bytes(server: FlakyServer, connect: Connect) -> None:
    content = b'{"total": 1.10}'
    client = connect(provider=provider("json", "meta.key"))
    action = post(client, content=content, headers={"content-type": "application/json"})
    (request,) = server.requests
    assert json.loads(request.body) == {"meta": {"key": action.key}, "total": 1.1}
    assert request.body.endswith(b'"total": 1.10}')
    assert request.header("content-length") == str(len(request.body))
    assert request.header("idempotency-key") is None


def test_a_keyed_query_has_its_other_bytes(server: FlakyServer, connect: Connect) -> None:
    action = post(connect(provider=provider("query")), url="/orders?flag&note=a%20b&sum=1%2C5", json={})
    assert server.requests[0].target == f"/orders?flag&note=a%20b&sum=1%2C5&request_id={action.key}"
