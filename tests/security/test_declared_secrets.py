"""Credentials in a URL or a body that an operation declares: never at rest, fresh at each send, no other action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import httpx
import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import ONCE, Connect, create_order, known, post
from tests.client.test_secrets_at_rest import stored_bytes

if TYPE_CHECKING:
    from pathlib import Path

charge = create_order.replace(
    secret_query=("token",), secret_body=("/card/number",), secret_response=("/client_secret", "/data/card/number")
)


def demand(secret: str) -> dict[str, Any]:
    return {"json": {"card": {"number": secret, "name": "Ann"}, "total": 3}, "params": {"a": "1", "token": secret}}


def bodies(server: FlakyServer) -> list[str]:
    return [request.body.decode() for request in server.requests]


def left_open(server: FlakyServer, connect: Connect, operation: samekey.Operation, **options: Any) -> samekey.Client:
    client = connect(retry=ONCE)
    server.script(Fault.DROP_BEFORE)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, operation=operation, **options)
    return client


def test_what_is_declared_secret_is_sent_and_never_stored(server: FlakyServer, connect: Connect, path: Path) -> None:
    left_open(server, connect, charge, **demand("s3cret-4111"))

    assert b"s3cret-4111" not in stored_bytes(path)
    assert b"Ann" in stored_bytes(path)  # the rest of the frozen request is there
    (sent,) = server.requests
    assert b'"number":"s3cret-4111"' in sent.body
    assert dict(parse_qsl(sent.target.partition("?")[2])) == {"a": "1", "token": "s3cret-4111"}


def test_a_rerun_with_a_renewed_secret_is_the_same_action_and_sends_the_new_one(
    server: FlakyServer, connect: Connect, path: Path
) -> None:
    client = left_open(server, connect, charge, **demand("s3cret-old"))
    action = post(client, operation=charge, **demand("s3cret-new"))

    assert action.recovered
    first, second = server.requests
    assert second.body == first.body.replace(b"s3cret-old", b"s3cret-new")
    assert second.target == first.target.replace("s3cret-old", "s3cret-new")
    client.close()
    assert b"s3cret" not in stored_bytes(path)


def test_the_resends_of_one_run_are_the_same_to_the_byte(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    post(connect(), operation=charge, **demand("s3cret"))
    first, second = server.requests
    assert (first.target, first.body) == (second.target, second.body)


def test_a_form_keeps_its_fields_and_loses_the_secret_one(server: FlakyServer, connect: Connect, path: Path) -> None:
    form = create_order.replace(secret_body=("/pass word",))
    client = left_open(server, connect, form, data={"a": "1", "pass word": "s3cret old", "b": "2"})
    assert b"s3cret" not in stored_bytes(path)
    post(client, operation=form, data={"a": "1", "pass word": "s3cret+new&", "b": "2"})
    assert bodies(server) == ["a=1&pass+word=s3cret+old&b=2", "a=1&pass+word=s3cret%2Bnew%26&b=2"]


def test_other_data_beside_the_secret_are_another_request(server: FlakyServer, connect: Connect) -> None:
    client = connect()
    post(client, operation=charge, **demand("s3cret"))
    changed = demand("s3cret")
    changed["json"]["total"] = 4
    with pytest.raises(samekey.KeyReusedError) as raised:
        post(client, operation=charge, **changed)
    assert raised.value.changed == ("/total",)


def test_the_digests_do_not_tell_whether_it_is_the_same_secret(server: FlakyServer, connect: Connect) -> None:
    client = connect()
    post(client, 1, operation=charge, **demand("0000"))
    post(client, 2, operation=charge, **demand("9999"))
    one, other = known(client, 1), known(client, 2)
    assert one.field_digests == other.field_digests
    assert one.request_fingerprint == other.request_fingerprint
    assert one.url == other.url


def test_nobody_recovers_an_action_whose_secret_is_not_at_hand(server: FlakyServer, connect: Connect) -> None:
    client = left_open(server, connect, charge, **demand("s3cret"))
    assert [record.label for record in client.recover().left] == ["create_order(order=1)"]
    assert not client.recoverable().settled
    assert len(server.requests) == 1


def test_without_a_frozen_body_the_secret_does_not_count_either(
    server: FlakyServer, connect: Connect, path: Path
) -> None:
    client = connect(retry=ONCE, freeze="nothing")
    server.script(Fault.DROP_BEFORE)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, operation=charge, **demand("s3cret-old"))
    assert b"s3cret" not in stored_bytes(path)
    assert post(client, operation=charge, **demand("s3cret-new")).recovered
    assert '"number":"s3cret-new"' in bodies(server)[1]


def test_what_the_profile_declares_is_left_out_where_a_request_has_it(
    server: FlakyServer, connect: Connect, path: Path
) -> None:
    api = samekey.Provider(
        "shop", window=86400, after_5xx="resend", secret_query=["token", "nowhere"], secret_body=["/pin", "/nowhere"]
    )
    client = connect(retry=ONCE, provider=api)
    server.script(Fault.DROP_BEFORE)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, json={"pin": "s3cret-1"}, params={"token": "s3cret-2"})
    assert b"s3cret" not in stored_bytes(path)
    assert post(client, json={"pin": "s3cret-3"}, params={"token": "s3cret-4"}).recovered
    post(client, 2, content=b"as it is")  # which has none of it


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"json": {"card": {}}, "params": {"token": "x"}}, "secret_body= names '/card/number'"),
        ({"json": {"card": {"number": "1"}}}, "secret_query= names 'token'"),
        ({"content": "number=1", "params": {"token": "x"}}, "secret_body= works in JSON and form bodies"),
        (
            {
                "content": '{"card":{"number":"1","number":"2"}}',
                "headers": {"Content-Type": "application/json"},
                "params": {"token": "x"},
            },
            "cannot be read as JSON without doubt",
        ),
        (
            {
                "content": '{"card":{"number":"1"}} {"card":{"number":"2"}}',
                "headers": {"Content-Type": "application/json"},
                "params": {"token": "x"},
            },
            "cannot be read as JSON without doubt",
        ),
    ],
)
def test_a_secret_that_is_not_found_would_be_stored_so_nothing_is_sent(
    server: FlakyServer, connect: Connect, options: dict[str, Any], told: str
) -> None:
    client = connect()
    with pytest.raises(samekey.UsageError, match=told):
        post(client, operation=charge, **options)
    assert not server.requests
    assert client.record(create_order, scope={"order": 1}) is None


def test_a_rerun_that_brings_no_secret_is_told_so(server: FlakyServer, connect: Connect) -> None:
    # Its own word for what is the same, and a contract that has forgotten what was secret.
    operation = create_order.replace(secret_body=("/pin",))
    client = left_open(server, connect, operation, fingerprint="one", json={"pin": "s3cret"})
    with pytest.raises(samekey.UsageError, match="value at '/pin' is a secret that was not stored"):
        post(client, fingerprint="one", json={})
    assert len(server.requests) == 1
    assert known(client).status is samekey.Status.UNKNOWN


def test_what_is_secret_in_an_answer_is_returned_once_and_not_stored(
    server: FlakyServer, connect: Connect, path: Path
) -> None:
    operation = create_order.replace(secret_response=("/client_secret", "/keys/0", "/not/there", "header:Location"))
    answer = Fault.REJECT(200, b'{"id": "order_1", "client_secret": "s3cret-a", "keys": ["s3cret-b", 1]}')
    server.script(answer_with(answer, "Location", "https://cdn.example/?sig=s3cret-c"))
    client = connect()
    with client.action(operation, scope={"order": 1}) as action:
        response: httpx.Response = action.post("/orders", json={})
    assert response.json()["client_secret"] == "s3cret-a"
    client.close()
    assert b"s3cret" not in stored_bytes(path)
    with connect().action(operation, scope={"order": 1}) as action:
        response = action.post("/orders", json={})
    assert response.json() == {"id": "order_1", "client_secret": None, "keys": [None, 1]}
    assert "location" not in response.headers


def test_an_answer_in_which_nothing_can_be_found_is_not_kept(server: FlakyServer, connect: Connect, path: Path) -> None:
    server.script(answer_with(Fault.REJECT(200, b"client_secret: s3cret"), "Content-Type", "text/plain"))
    client = connect()
    post(client, operation=charge, **demand("x"))
    client.close()
    assert b"s3cret" not in stored_bytes(path)


def test_the_reference_cannot_be_secret() -> None:
    with pytest.raises(samekey.UsageError, match="it has the reference"):
        create_order.replace(secret_response=("/id",))


def answer_with(fault: Any, name: str, value: str) -> Any:
    from dataclasses import replace

    return replace(fault, reply=fault.reply.with_headers((name, value)))
