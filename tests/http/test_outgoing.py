"""From a call to a request and its facts, and back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey._core.model import Frozen
from samekey.errors import UsageError
from samekey.http.library import HTTPX, Library, library_of
from samekey.http.outgoing import Prepared, prepare, thaw
from tests.http.conftest import prepared

Connect = Callable[..., Any]
BASE = "https://api.shop.example"
SECRET = "sk_live_12345"


@pytest.fixture
def client(connect: Connect) -> Any:
    return connect(base_url=BASE)


def frozen(ready: Prepared) -> Frozen:
    out = ready.outgoing
    return Frozen(out.method, out.url, out.headers, out.body)


def same_bytes(one: Any, other: Any) -> bool:
    return bool(
        one.method == other.method
        and str(one.url) == str(other.url)
        and one.headers.raw == other.headers.raw
        and one.read() == other.read()
    )


# --- facts -----------------------------------------------------------------------------------------------------


def test_facts_of_a_json_post(client: Any) -> None:
    out = prepared(client, "/orders?expand=items", json={"a": 1}, headers={"X-Api-Key": SECRET}).outgoing
    assert (out.method, out.url, out.origin) == ("POST", f"{BASE}/orders?expand=items", f"{BASE}:443")
    assert (out.body, out.content_type) == (b'{"a":1}', "application/json")
    assert dict(out.headers)["content-type"] == "application/json"
    assert "x-api-key" in out.header_names
    assert "x-api-key" not in dict(out.headers)
    assert out.credentials == (("x-api-key", SECRET),)
    assert out.attempt_seconds == 40.0


def test_the_shown_url_has_no_userinfo_no_fragment_and_no_query_values(connect: Connect) -> None:
    out = prepared(
        connect(), f"https://user:{SECRET}@api.shop.example:8443/x?token={SECRET}&{SECRET}#{SECRET}"
    ).outgoing
    assert SECRET not in out.shown_url
    assert out.shown_url.startswith("https://api.shop.example:8443/x?token=")
    assert out.url == f"https://api.shop.example:8443/x?token={SECRET}&{SECRET}"
    assert out.origin == "https://api.shop.example:8443"
    assert SECRET not in repr(out).replace(out.shown_url, "")


def test_the_clients_own_parameters_are_left_out_and_come_back_in_order(connect: Connect) -> None:
    client = connect(base_url=BASE, params={"api_key": SECRET, "version": "2"})
    ready = prepared(client, "/x", params={"b": "é", "version": "3"})
    assert ready.outgoing.url == f"{BASE}/x?version=3&b=%C3%A9"
    assert ready.outgoing.credentials == (("?api_key", SECRET),)
    again = thaw(library_of(client), client, frozen(ready), prepared=ready)
    assert str(again.url) == str(ready.request.url) == f"{BASE}/x?api_key={SECRET}&version=3&b=%C3%A9"


@pytest.mark.parametrize(
    ("auth", "headers", "expected"),
    [
        (("u", "p"), {}, "Basic dTpw"),
        (None, {"Authorization": "Bearer opaque"}, "Bearer opaque"),
        (("u", "p"), {"Authorization": "Bearer opaque"}, "Basic dTpw"),
        (None, {"Authorization": "Bearer eyJhbGciOi.eyJzdWIi.sig_-1"}, None),
        (lambda request: request, {}, None),
    ],
)
def test_credentials(client: Any, auth: Any, headers: dict[str, str], expected: str | None) -> None:
    found = dict(prepared(client, auth=auth, headers=headers).outgoing.credentials)
    assert found.get("authorization") == expected


def test_userinfo_and_the_clients_auth_are_credentials(connect: Connect) -> None:
    assert prepared(connect(base_url="https://u:p@api.shop.example")).outgoing.credentials
    assert prepared(connect(base_url=BASE, auth=("u", "p"))).outgoing.credentials == (("authorization", "Basic dTpw"),)


def test_a_cookie_and_a_proxys_credential_are_none(client: Any) -> None:
    client.cookies.set("session", SECRET)
    ready = prepared(client, headers={"Proxy-Authorization": SECRET})
    assert ready.outgoing.credentials == ()
    assert SECRET not in repr(ready.outgoing.headers)


# --- the same bytes again --------------------------------------------------------------------------------------

BODIES: list[dict[str, Any]] = [
    {"json": {"a": [1, "é"]}},
    {"data": {"a": "1", "b": ["2", "3"]}},
    {"content": "text"},
    {"content": bytearray(b"bytes"), "headers": {"Content-Type": "application/x"}},
    {"files": {"f": ("name.txt", b"data")}, "data": {"a": "1"}},
    {},
]


@pytest.mark.parametrize("options", BODIES)
def test_a_resend_is_the_same_but_for_credentials(connect: Connect, options: dict[str, Any]) -> None:
    first = connect(base_url=BASE)
    ready = prepared(first, **{**options, "headers": {**options.get("headers", {}), "Authorization": "Bearer old"}})
    assert ready.request.read() == ready.outgoing.body
    other = connect(base_url=BASE, headers={"User-Agent": "newer/2", "Accept-Language": "de"})
    later = prepared(other, json={"never": "sent"}, headers={"Authorization": "Bearer new"})
    again = thaw(library_of(other), other, frozen(ready), prepared=later)
    assert again.headers["authorization"] == "Bearer new"
    again.headers["Authorization"] = "Bearer old"
    assert same_bytes(again, ready.request)


def test_recovery_needs_no_caller(connect: Connect) -> None:
    client = connect(base_url=BASE, headers={"Authorization": f"Bearer {SECRET}"})
    ready = prepared(client, json={"a": 1})
    assert same_bytes(thaw(library_of(client), client, frozen(ready)), ready.request)


def test_userinfo_comes_back_from_the_caller_or_the_base_url(connect: Connect) -> None:
    client = connect(base_url=f"https://u:{SECRET}@api.shop.example")
    ready = prepared(client, json={})
    assert SECRET not in ready.outgoing.url
    for caller in (ready, None):
        assert thaw(library_of(client), client, frozen(ready), prepared=caller).url.password == SECRET


def test_an_unfrozen_body_comes_from_the_caller(client: Any) -> None:
    ready = prepared(client, content=b"large")
    nothing = Frozen("POST", ready.outgoing.url, ready.outgoing.headers, None, "digest")
    assert same_bytes(thaw(library_of(client), client, nothing, prepared=ready), ready.request)
    with pytest.raises(UsageError, match="freeze="):
        thaw(library_of(client), client, nothing)


def test_a_multipart_body_has_the_same_bytes_on_every_run(client: Any) -> None:
    runs = [prepared(client, files={"f": io.BytesIO(b"data")}).outgoing for _ in range(2)]
    assert runs[0].body == runs[1].body
    assert runs[0].content_type == "multipart/form-data; boundary=b0undary"
    own = prepared(client, files={"f": b"x"}, headers={"Content-Type": "multipart/form-data; boundary=mine"})
    assert own.outgoing.body is not None
    assert own.outgoing.body.startswith(b"--mine")


def test_a_multipart_body_without_a_known_length_gets_one(client: Any) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.chunks = [b"data"]

        def read(self, _size: int = -1) -> bytes:
            return self.chunks.pop() if self.chunks else b""

        def fileno(self) -> int:
            raise OSError

        def tell(self) -> int:
            raise OSError

    ready = prepared(client, files={"f": ("name", Pipe())})
    assert "transfer-encoding" not in ready.request.headers
    assert ready.request.headers["content-length"] == str(len(ready.outgoing.body or b""))


def test_further_headers_can_be_frozen(client: Any, library: Library[Any, Any]) -> None:
    options = {"json": {}, "headers": {"Stripe-Version": "2026-01-01"}}
    also = frozenset({"stripe-version"})
    ready = prepare(library, client, "POST", "/x", options, boundary="b", also=also)
    client.headers["Stripe-Version"] = "2027-01-01"
    again = thaw(library, client, frozen(ready), also=also)
    assert again.headers["stripe-version"] == "2026-01-01"


# --- what is refused -------------------------------------------------------------------------------------------

LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"jsn": {}}, "'jsn' is not an option of a write; did you mean 'json'"),
        ({"follow_redirects": True}, "redirect"),
        ({"stream": True}, "stream="),
        ({"content": iter([b"x"])}, 'freeze="nothing"'),
        ({"content": io.BytesIO(b"x")}, "fingerprint="),
        ({"content": b"x" * (1024 * 1024 + 1)}, 'freeze="nothing"'),
        ({"files": {"f": b"x" * (1024 * 1024)}}, 'freeze="nothing"'),
        ({"content": b"x", "json": {}}, "one body"),
        ({"json": {}, "data": {"a": "b"}}, "one body"),
        ({"data": b"raw"}, "content="),
        ({"content": {"a": 1}}, "content="),
        ({"json": float("nan")}, "json="),
        ({"json": {"a": {1, 2}}}, "json="),
        ({"json": LOOP}, "json="),
        ({"json": {"a": "\ud800"}}, "json="),
        ({"content": "\ud800"}, "content="),
        ({"headers": {"X-Token": f"{SECRET}\n"}}, "'x-token'"),
        ({"headers": {"X-Token": f" {SECRET}"}}, "'x-token'"),
        ({"headers": {"X-Token": f"{SECRET}é"}}, "'X-Token'"),
        ({"headers": {"X-Token": 5}}, "'X-Token'"),
        ({"headers": {"X Token": SECRET}}, "header name"),
        ({"headers": {"X-Token": f"{SECRET}\0"}}, "'x-token'"),
        ({"headers": 5}, "headers="),
        ({"headers": {"Content-Length": "5"}, "content": b"x"}, "Content-Length"),
        ({"auth": 5}, "auth="),
        ({"auth": (SECRET,)}, "auth="),
        ({"timeout": None}, "time-out is None"),
        ({"timeout": -1}, "positive"),
        ({"timeout": "soon"}, "positive"),
        ({"extensions": {"timeout": {"read": 1.0}}}, "time-out is None"),
        ({"extensions": {"target": b"/other"}}, "target"),
        ({"extensions": 5}, "extensions="),
        ({"fingerprint": b""}, "fingerprint="),
        ({"params": 5}, "httpx"),
    ],
)
def test_a_wrong_option_is_told_without_its_value(client: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        prepared(client, **options)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["orders\n", "https://", "ftp://api.shop.example/", "https://a:b:c/", "http://:80/"])
def test_a_wrong_url_is_refused(connect: Connect, url: str) -> None:
    with pytest.raises(UsageError, match="URL"):
        prepared(connect(), url)


def test_a_relative_url_needs_a_base(connect: Connect) -> None:
    with pytest.raises(UsageError, match="base_url="):
        prepared(connect(), "/orders")


@pytest.mark.parametrize("method", ["", "PO ST", "POST\n", "é", "connect", 5])
def test_a_wrong_method_is_refused(client: Any, library: Library[Any, Any], method: Any) -> None:
    with pytest.raises(UsageError):
        prepare(library, client, method, "/x", {}, boundary="b")


def test_an_async_trace_callback_is_refused(client: Any) -> None:
    async def trace(_name: str, _info: Any) -> None: ...

    with pytest.raises(UsageError, match="def"):
        prepared(client, extensions={"trace": trace})


def test_messages_begin_with_the_action(client: Any, library: Library[Any, Any]) -> None:
    with pytest.raises(UsageError, match=r"^create_order\(cart='c'\): 'x' is not"):
        prepare(library, client, "POST", "/x", {"x": 1}, boundary="b", label=lambda: "create_order(cart='c')")


# --- freeze="nothing" ------------------------------------------------------------------------------------------


def unfrozen(client: Any, **options: Any) -> Prepared:
    return prepare(library_of(client), client, "PUT", "/x", options, boundary="b", freeze="nothing")


def test_large_bytes_may_go_unfrozen(client: Any) -> None:
    body = b"x" * (2 * 1024 * 1024)
    assert unfrozen(client, content=body).outgoing.body == body


def test_a_stream_needs_a_fingerprint(client: Any) -> None:
    with pytest.raises(UsageError, match="fingerprint="):
        unfrozen(client, content=iter([b"x"]))
    ready = unfrozen(client, content=iter([b"x"]), fingerprint="v1")
    assert (ready.outgoing.body, ready.outgoing.fingerprint) == (None, "v1")
    assert list(ready.request.stream) == [b"x"]


class Untouchable(io.BytesIO):
    """A file of five gigabytes that must not be read."""

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = 5_000_000_000 if whence == 2 else offset
        return self.at

    def tell(self) -> int:
        return getattr(self, "at", 0)

    def read(self, _size: int | None = -1) -> bytes:
        raise AssertionError


def test_a_huge_file_is_not_read(client: Any) -> None:
    with pytest.raises(UsageError, match="5,000,000,"):
        prepared(client, files={"f": Untouchable()})
    assert unfrozen(client, files={"f": Untouchable()}, fingerprint="v1").outgoing.body is None


# --- whatever comes --------------------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["content", "data", "files", "json", "params", "headers", "auth", "timeout", "extensions"])


idle = httpx.Client(base_url=BASE, transport=httpx.MockTransport(lambda _request: httpx.Response(200)))


@given(options=st.dictionaries(names, anything, max_size=3), url=st.text(max_size=10))
def test_odd_input_is_a_usage_error_or_a_sound_request(options: dict[str, Any], url: str) -> None:
    try:
        ready = prepare(HTTPX, idle, "POST", url, options, boundary="b")
    except UsageError:
        return
    assert ready.request.read() == ready.outgoing.body
    assert same_bytes(thaw(HTTPX, idle, frozen(ready), prepared=ready), ready.request)


@given(value=anything)
def test_json_goes_out_as_given(value: Any) -> None:
    try:
        body = prepare(HTTPX, idle, "POST", "/", {"json": value}, boundary="b").outgoing.body
    except UsageError:
        return
    assert body is not None
    assert json.loads(body or b"null") == value
