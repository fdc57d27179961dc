"""What is kept of an answer, and how it comes back."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey._core.model import Record, Reply
from samekey._core.reading import reference_of, result_of
from samekey._core.states import Status
from samekey.errors import ActionRejectedError, UsageError
from samekey.http.library import HTTPX, Library
from samekey.http.responses import rebuild, stripped
from tests.http.conftest import attempt
from tests.http.servers import Peer, Server

NOW = datetime(2026, 11, 24, 5, 10, tzinfo=UTC)
URL = "https://api.shop.example/orders?token=1a2b3c4d"


def record(
    status: int | None = 201, headers: tuple[tuple[str, str], ...] = (), body: bytes | None = b'{"id": 7}'
) -> Record:
    return Record(
        idempotency_key="7f3c2a1b-0000-4000-8000-000000000000",
        identity="i",
        actor_id="default",
        operation_name="create_order",
        scope={"customer": "42"},
        generation=1,
        request_fingerprint="f",
        status=Status.SUCCEEDED,
        created_at=NOW,
        last_seen_at=NOW,
        method="POST",
        url=URL,
        origin="https://api.shop.example:443",
        provider="stripe-v1",
        attempts=1,
        fence=1,
        open_attempts=0,
        response_status=status,
        response_headers=headers,
        response_body=body,
    )


def reply(body: bytes = b"{}", *headers: tuple[str, str]) -> Reply:
    return Reply(200, headers, body)


# --- kept ------------------------------------------------------------------------------------------------------


def test_only_allow_listed_headers_are_kept() -> None:
    answer = reply(b"x", ("content-type", "a/b"), ("set-cookie", "s=1"), ("location", "/7"), ("x-other", "1"))
    assert result_of(answer, None, whole=True).headers == (("content-type", "a/b"), ("location", "/7"))
    assert result_of(answer, None, whole=False).headers == ()


def test_a_body_is_kept_up_to_its_limit_and_an_empty_one_always() -> None:
    assert result_of(reply(b"x" * 262144), None, whole=True).body == b"x" * 262144
    assert result_of(reply(b"x" * 262145), None, whole=True).body is None
    assert result_of(reply(b"x"), None, whole=False).body is None
    assert result_of(reply(b""), None, whole=False).body == b""


# --- rebuilt ---------------------------------------------------------------------------------------------------


def test_a_stored_answer_is_a_response_of_the_library(library: Library[Any, Any]) -> None:
    headers = (("content-type", "application/json"), ("content-encoding", "gzip"), ("content-length", "99"))
    response = rebuild(library, record(headers=headers))
    assert type(response) is library.response
    assert (response.status_code, response.json()) == (201, {"id": 7})
    assert response.raise_for_status() is response
    assert (response.request.method, str(response.url)) == ("POST", URL)
    assert response.request.headers == {}
    assert response.elapsed == timedelta(0)
    assert "content-encoding" not in response.headers
    assert list(response.iter_bytes()) == [b'{"id": 7}']
    assert pickle.loads(pickle.dumps(response)).json() == {"id": 7}


def test_a_stored_refusal_raises_for_status(library: Library[Any, Any]) -> None:
    with pytest.raises(library.module.HTTPStatusError, match="402"):
        rebuild(library, record(402)).raise_for_status()


READS: list[Callable[[Any], Any]] = [
    lambda response: response.content,
    lambda response: response.text,
    lambda response: response.json(),
    lambda response: response.read(),
    lambda response: list(response.iter_bytes()),
    lambda response: list(response.iter_raw()),
    lambda response: list(response.iter_text()),
    lambda response: list(response.iter_lines()),
]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("pickled", [False, True])
def test_a_body_that_was_not_kept_is_never_empty(
    library: Library[Any, Any], read: Callable[[Any], Any], *, pickled: bool
) -> None:
    response = rebuild(library, record(body=None, headers=(("location", "/7"),)))
    if pickled:
        response = pickle.loads(pickle.dumps(response))
    assert isinstance(response, library.response)
    assert response.raise_for_status().headers["location"] == "/7"
    assert str(response.request.url) == URL
    assert repr(response) == "<Response [201 Created]>"
    with pytest.raises(UsageError, match=r"^create_order\(customer=42\): the body of this earlier result was not kept"):
        read(response)


@pytest.mark.parametrize("status", [204, 205])
def test_an_answer_that_has_no_body_is_empty(library: Library[Any, Any], status: int) -> None:
    assert rebuild(library, record(status, body=None)).content == b""


def test_an_action_that_a_person_settled_shows_200(library: Library[Any, Any]) -> None:
    response = rebuild(library, record(None, body=None))
    assert response.status_code == 200
    with pytest.raises(UsageError):
        response.json()


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=50),
    headers=st.lists(
        st.tuples(st.sampled_from(["content-type", "etag", "location", "content-encoding"]), st.text("ab/é")),
        max_size=3,
    ),
)
def test_what_is_kept_comes_back(status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
    result = result_of(Reply(status, tuple(headers), body), None, whole=True)
    response = rebuild(HTTPX, record(status, result.headers, result.body))
    assert (response.status_code, response.content) == (status, body)
    for name, value in result.headers:
        assert (name.encode(), value.encode("latin-1")) in response.headers.raw


# --- stripped --------------------------------------------------------------------------------------------------


def test_a_refusal_can_travel_without_secrets(connect: Callable[..., Any], module: Any) -> None:
    def refuses(peer: Peer) -> None:
        peer.read_request()
        peer.answer(b'{"error": 1}', "422 Nope", ("Set-Cookie: s=se-cret", "Content-Type: application/json"))

    with Server(refuses) as server:
        client = connect(base_url=server.url, auth=("user", "se-cret"))
        native = attempt(client, "/orders?token=se-cret", json={"card": "se-cret"}).native
    assert native is not None
    error = ActionRejectedError("no", response=stripped(module, native))
    data = pickle.dumps(error)
    assert b"se-cret" not in data
    response = pickle.loads(data).response
    assert type(response) is type(native)
    assert (response.status_code, response.json()) == (422, {"error": 1})
    assert (response.request.method, response.request.url.path) == ("POST", "/orders")
    assert response.elapsed == native.elapsed
    with pytest.raises(Exception, match="422"):
        response.raise_for_status()


def test_a_stored_refusal_without_body_is_stripped_already(library: Library[Any, Any]) -> None:
    response = rebuild(library, record(402, body=None))
    assert stripped(library.module, response) is response


# --- the reference ---------------------------------------------------------------------------------------------

BODY = json.dumps(
    {
        "id": "ord_9",
        "n": 7,
        "big": 10**30,
        "f": 1.5,
        "t": True,
        "o": {"a/b": {"m~n": "x"}},
        "l": [{"id": 1}],
        "": "e",
    }
).encode()


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/id", "ord_9"),
        ("/n", "7"),
        ("/big", "1" + "0" * 30),
        ("/f", "1.5"),
        ("/o/a~1b/m~0n", "x"),
        ("/l/0/id", "1"),
        ("/", "e"),
        ("/t", None),
        ("/o", None),
        ("", None),
        ("/l/1/id", None),
        ("/l/00/id", None),
        ("/l/-", None),
        ("/l/-1/id", None),
        ("/id/x", None),
        ("/none", None),
        ("id", None),
        (None, None),
        ("header:Location", "/orders/9"),
        ("header:x-none", None),
    ],
)
def test_the_reference(pointer: str | None, expected: str | None) -> None:
    assert reference_of(reply(BODY, ("location", "/orders/9")), pointer) == expected


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff\xfe\x00", b"[" * 100_000, b'{"id": "\\ud800"}', b'{"id": null}']
)
def test_no_reference_where_there_is_none(body: bytes) -> None:
    assert reference_of(reply(body), "/id") is None


@given(
    body=st.binary() | st.text().map(str.encode),
    pointer=st.none() | st.text() | st.from_regex(r"(/[a-z0-9~]*)*"),
)
def test_looking_for_a_reference_never_raises(body: bytes, pointer: str | None) -> None:
    assert isinstance(reference_of(reply(body), pointer), (str, type(None)))


leaves = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.integers()
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@given(document=documents, data=st.data())
def test_every_leaf_can_be_pointed_at(document: Any, data: st.DataObject) -> None:
    pointer, value = "", document
    while isinstance(value, (dict, list)) and value:
        token = data.draw(st.sampled_from(sorted(value)) if isinstance(value, dict) else st.integers(0, len(value) - 1))
        value = value[token]
        pointer += "/" + str(token).replace("~", "~0").replace("/", "~1")
    expected = None if isinstance(value, (dict, list)) else str(value) or None
    assert reference_of(reply(json.dumps(document).encode()), pointer) == expected
