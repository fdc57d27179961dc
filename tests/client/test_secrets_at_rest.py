"""No credential and, once it is settled, no payload: not in the store's files, not in events, errors or log lines."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import ONCE, Connect, create_order, post, synchronous

SECRETS = [
    b"s3cret-bearer",
    b"s3cret-cookie",
    b"s3cret-param",
    b"s3cret-default",
    b"s3cret-user",
    b"s3cret-answer",
]
PAYLOAD = b"s3cret-payload"

DEMAND: dict[str, Any] = {
    "json": {"iban": PAYLOAD.decode()},
    "headers": {"Authorization": "Bearer s3cret-bearer", "Cookie": "session=s3cret-cookie"},
    "params": {"token": "s3cret-param"},
}


def stored_bytes(path: Path) -> bytes:
    """All that lies in the files of the store, its log included."""
    return b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file() and file.suffix != ".secret")


def client_of(server: FlakyServer, connect: Connect, **options: Any) -> samekey.Client:
    url = server.url.replace("http://", "http://me:s3cret-user@")
    return connect(url, params={"api_key": "s3cret-default"}, **options)


def test_no_credential_is_stored_while_an_action_is_open(server: FlakyServer, connect: Connect, path: Path) -> None:
    client = client_of(server, connect, retry=ONCE)
    server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, **(DEMAND | {"params": {}}))
    found = stored_bytes(path)
    assert [secret for secret in SECRETS if secret in found] == []
    assert PAYLOAD in found  # the frozen request needs it


@pytest.mark.parametrize("keep", ["response", "reference"])
def test_nothing_secret_is_left_once_it_is_settled(
    server: FlakyServer, connect: Connect, path: Path, keep: str
) -> None:
    server.script(
        Fault.COMMIT_THEN_DROP,
        Fault.REJECT(200, b'{"id": "order_1"}'),
    )
    client = client_of(server, connect, keep=keep)
    action = post(client, **DEMAND)
    assert action.reference == "order_1"
    client.close()
    found = stored_bytes(path)
    assert [secret for secret in [*SECRETS, PAYLOAD] if secret in found] == []
    assert b"order_1" in found


def test_no_cookie_of_an_answer_is_stored(server: FlakyServer, connect: Connect, path: Path) -> None:
    from dataclasses import replace

    answer = Fault.REJECT(200, b'{"id": "order_1"}')
    assert answer.reply is not None
    server.script(replace(answer, reply=answer.reply.with_headers(("Set-Cookie", "session=s3cret-answer"))))
    client = connect()
    post(client)
    client.close()
    assert b"s3cret-answer" not in stored_bytes(path)


def test_an_error_and_all_that_led_to_it_show_no_secret(server: FlakyServer, connect: Connect) -> None:
    client = client_of(server, connect, retry=ONCE)
    server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError) as raised:
        post(client, **DEMAND)
    text = "".join(traceback.format_exception(raised.value)) + repr(raised.value.__dict__)
    cause = raised.value.__cause__
    assert cause is not None
    request = getattr(cause, "request")  # noqa: B009 - httpx's, of whatever class
    text += str(request.url) + str(request.headers) + str(request.read())
    assert "s3cret" not in text


def test_a_refusal_shows_no_secret_of_its_request(server: FlakyServer, connect: Connect) -> None:
    client = client_of(server, connect)
    server.script(Fault.REJECT(422))
    with pytest.raises(samekey.ActionRejectedError) as raised:
        post(client, **DEMAND)
    response = raised.value.response
    assert "s3cret" not in f"{response.request.url} {response.request.headers} {response.request.read()!r}"


@synchronous
def test_log_lines_show_no_scope_no_payload_and_no_more_than_eight_digits_of_a_key(
    server: FlakyServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_of(server, connect)
    server.script(Fault.COMMIT_THEN_DROP)
    action = post(client, "scope-value", **DEMAND)
    post(client, "scope-value", **DEMAND)
    server.script(Fault.REJECT(422))
    with pytest.raises(samekey.ActionRejectedError):
        post(client, "refused", **DEMAND)

    ours = [record for record in caplog.records if record.name in {"samekey", "httpx"}]
    text = "\n".join(f"{record.getMessage()} {record.__dict__.get('key', '')}" for record in ours)
    assert "s3cret" not in text
    assert "scope-value" not in text
    assert str(action.key) not in text
    assert str(action.key)[:8] in text
    assert "HTTP Request: POST" in text  # httpx's own line is cut, not silenced


def test_the_levels_are_those_of_the_manual(
    server: FlakyServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "samekey")
    client = connect()

    def seen() -> list[tuple[str, str]]:
        found = [(record.levelname, record.__dict__["event"]) for record in caplog.records if record.name == "samekey"]
        caplog.clear()
        return found

    post(client, 1)
    assert seen() == [("DEBUG", "made")]
    post(client, 1)
    assert seen() == [("INFO", "replayed")]
    server.script(Fault.COMMIT_THEN_DROP)
    post(client, 2)
    assert seen() == [("INFO", "wait"), ("DEBUG", "made")]
    server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, 3, operation=create_order.replace(retry=ONCE))
    assert seen() == [("WARNING", "failure")]
    post(client, 3)
    assert seen() == [("INFO", "recovered")]
    with pytest.raises(samekey.KeyReusedError):
        post(client, 3, json={})
    assert seen() == [("WARNING", "failure")]
    server.script(Fault.REJECT(422))
    with pytest.raises(samekey.ActionRejectedError):
        post(client, 4)
    assert seen() == [("INFO", "failure")]


def test_a_large_payload_is_overwritten_and_not_only_let_go_of(
    server: FlakyServer, connect: Connect, path: Path
) -> None:
    # More than a page: what is erased frees whole pages, which nothing writes over for a long time.
    server.script(Fault.COMMIT_THEN_DROP)
    client = connect(retry=ONCE, keep="reference")
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, json={"iban": PAYLOAD.decode() * 2_000})
    client.close()
    assert PAYLOAD in stored_bytes(path)
    client = connect(keep="reference")
    post(client, json={"iban": PAYLOAD.decode() * 2_000})
    client.close()
    assert PAYLOAD not in stored_bytes(path)
