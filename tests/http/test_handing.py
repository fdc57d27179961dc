"""The usual action's request reaches httpcore as the library itself would hand it over, and what fails has the library's names."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from samekey.http import handing
from samekey.http.guard import build_client
from samekey.http.library import library_named
from samekey.http.onewrite import ALONE
from tests.http.conftest import TRUST, prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samekey.http.library import Library


class Pool:
    """Takes down what it is asked, and answers or fails as it is told."""

    def __init__(self, asynchronous: bool) -> None:
        self.asked: list[Any] = []
        self.fails: BaseException | None = None
        self.answer = SimpleNamespace(status=201, headers=[(b"A", b"b")], stream=Body(), extensions={"x": 1})
        if asynchronous:
            self.handle_async_request = self._later
        else:
            self.handle_request = self._now

    def _now(self, request: Any) -> Any:
        self.asked.append(request)
        if self.fails is not None:
            raise self.fails
        return self.answer

    async def _later(self, request: Any) -> Any:
        return self._now(request)


class Body:
    def __iter__(self) -> Iterator[bytes]:
        yield b"ok"

    async def __aiter__(self) -> Any:
        yield b"ok"


@pytest.fixture
def core(module: Any) -> Any:
    return import_module(module.__name__.replace("httpx", "httpcore"))


@pytest.fixture(params=[False, True], ids=["threads", "tasks"])
def transport(request: pytest.FixtureRequest, module: Any) -> Any:
    """One that hands over, to a pool that takes down."""
    kind = module.AsyncHTTPTransport if request.param else module.HTTPTransport
    transport = kind(verify=TRUST)
    handing.install(transport)
    assert type(transport) is not kind
    assert isinstance(transport, kind)
    assert handing.kind_below(type(transport)) is kind
    transport._pool = Pool(request.param)
    return transport


def sent(transport: Any, request: Any) -> Any:
    """What the transport answers."""
    if not hasattr(transport, "handle_async_request"):
        return transport.handle_request(request)
    answering = transport.handle_async_request(request)
    with pytest.raises(StopIteration) as caught:
        answering.send(None)
    return caught.value.value


URLS = [
    "http://localhost:81/orders?a=b%20c",
    "https://api.example",
    "https://[::1]:8443/\u00fc/%2f",
    "https://b\u00fccher.example:443/x",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_it_is_what_the_library_hands_over(module: Any, transport: Any, url: str, method: str) -> None:
    headers = [("A", "1"), ("a", "2"), ("Content-Type", "application/json")]
    for extensions in ({"timeout": {"read": 5}}, {"timeout": {"read": 5}, ALONE: None}):
        sent(transport, module.Request(method, url, headers=headers, content=b"{}", extensions=extensions))
    own, ours = transport._pool.asked
    assert ALONE not in own.extensions
    assert type(ours) is type(own)
    assert type(ours.url) is type(own.url)
    assert vars(ours.url) == vars(own.url)
    assert (ours.method, ours.headers) == (own.method, own.headers)
    assert list(ours.stream) == list(own.stream) == [b"{}"]
    assert ours.extensions == {**own.extensions, ALONE: None}


def usual(module: Any, **extensions: Any) -> Any:
    return module.Request("POST", "http://localhost/", json={}, extensions={ALONE: None, **extensions})


def test_so_is_the_answer(module: Any, transport: Any) -> None:
    own, ours = (sent(transport, request) for request in (module.Request("POST", "http://localhost/"), usual(module)))
    assert type(ours) is type(own)
    assert (ours.status_code, ours.headers.raw, ours.extensions) == (201, [(b"A", b"b")], {"x": 1})
    assert type(ours.stream) is type(own.stream)
    assert vars(ours.stream) == vars(own.stream)


@pytest.mark.parametrize("name", ["ReadTimeout", "ConnectError", "RemoteProtocolError", "PoolTimeout"])
def test_what_fails_has_the_librarys_name(module: Any, core: Any, transport: Any, name: str) -> None:
    transport._pool.fails = below = getattr(core, name)("as told")
    with pytest.raises(getattr(module, name), match="as told") as caught:
        sent(transport, usual(module))
    assert type(caught.value) is getattr(module, name)
    assert caught.value.__cause__ is below


@pytest.mark.parametrize("error", [ValueError("as told"), KeyboardInterrupt("as told")])
def test_what_is_not_httpcores_keeps_its_own(module: Any, transport: Any, error: BaseException) -> None:
    transport._pool.fails = error
    with pytest.raises(type(error), match="as told") as caught:
        sent(transport, usual(module))
    assert caught.value is error


def test_another_target_goes_the_librarys_way(module: Any, transport: Any) -> None:
    sent(transport, usual(module, target=b"*"))
    assert transport._pool.asked[0].url.target == b"*"


def test_a_transport_of_the_callers_own_kind_stays_as_it_is(module: Any) -> None:
    kind = type("HTTPTransport", (module.HTTPTransport,), {"__module__": __name__})
    transport = kind(verify=TRUST)
    handing.install(transport)
    assert type(transport) is kind


def test_where_httpcore_makes_something_else_of_a_request_nothing_is_handed_over(
    module: Any, core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = core.Request.__init__

    def more(request: Any, *arguments: Any, **options: Any) -> None:
        made(request, *arguments, **options)
        request.more = 1

    handing._mixed.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(core.Request, "__init__", more)
        transport = module.HTTPTransport(verify=TRUST)
        handing.install(transport)
        assert type(transport) is module.HTTPTransport
    handing._mixed.cache_clear()


def test_a_transport_of_the_time_when_something_was_in_its_place_says_nothing_of_the_next(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = []
    for wrapped in (True, False):
        with monkeypatch.context() as patch:
            if wrapped:
                patch.setattr(module.HTTPTransport, "handle_request", lambda *_: None)
            transport = module.HTTPTransport(verify=TRUST)
            handing.install(transport)
            kinds.append(type(transport) is module.HTTPTransport)
    assert kinds == [True, False]


def test_where_the_library_has_other_names_nothing_is_handed_over(
    module: Any, core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = module.HTTPTransport.handle_request.__globals__
    for missing in "map_httpcore_exceptions", "ResponseStream", "URL of httpcore":
        handing._mixed.cache_clear()
        with monkeypatch.context() as patch:
            if missing in names:
                patch.delitem(names, missing)
            else:
                patch.setattr(core, "URL", lambda text: text)  # takes no parts
            transport = module.HTTPTransport(verify=TRUST)
            handing.install(transport)
            assert type(transport) is module.HTTPTransport
    handing._mixed.cache_clear()


def test_what_was_put_in_the_transports_place_is_not_left_out(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer wraps the method of the library's class, as OpenTelemetry's does, or a mock replaces it."""
    library: Library[Any, Any] = library_named(module.__name__, asynchronous=False)
    seen: list[Any] = []
    with build_client(library, "http://localhost", options={"verify": TRUST}) as client:
        prepared(client, json={"a": 1})  # the first of its kind is never alone
        assert prepared(client, json={"a": 1}).alone

        def handle(transport: Any, request: Any) -> Any:
            seen.append(transport)
            return module.Response(202)

        monkeypatch.setattr(module.HTTPTransport, "handle_request", handle)
        assert not prepared(client, json={"a": 1}).alone
        assert client.post("/orders", json={}).status_code == 202
        assert seen == [client._transport]
