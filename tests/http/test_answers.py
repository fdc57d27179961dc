"""How an answer is read: as the library's own `read()` would leave it, and watched no longer than it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from operator import attrgetter
from typing import Any

import pytest
import wrapt

from samekey.http import bounded, moulds
from samekey.http.exchange import Exchange, exchange, exchange_async
from samekey.http.library import library_of
from tests.http.conftest import NOW, TRUST, attempt, prepared
from tests.http.servers import Peer, Server, answering

Connect = Callable[..., Any]


def cut(peer: Peer) -> None:
    peer.read_request()
    peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"id"')
    peer.sock.close()


def test_it_is_left_as_the_librarys_own_reading_leaves_it(connect: Connect) -> None:
    ours: Any
    with Server(answering) as server:
        client = connect(base_url=server.url)
        ours, own = attempt(client).native, client.post("/orders", json={"total": "19.99"})
    for response in (ours, own):
        assert response.read() == response.content == b'{"id": 7}'
        assert response.is_closed
        assert response.is_stream_consumed
        assert response.num_bytes_downloaded == 9
        assert response.elapsed > timedelta(0)
        assert response.json() == {"id": 7}


def test_a_cut_answers_error_knows_its_request(connect: Connect, module: Any) -> None:
    with Server(cut) as server:
        error: Any = attempt(connect(base_url=server.url)).error
    assert isinstance(error, module.RemoteProtocolError)
    assert error.request.url.path == "/orders"


def test_a_response_of_another_kind_is_read_in_its_own_way(module: Any) -> None:
    class Other(module.Response):  # type: ignore[misc]
        def iter_bytes(self, chunk_size: int | None = None) -> Any:
            return (part.upper() for part in super().iter_bytes(chunk_size))

    class Stream(module.SyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Any:
            yield b"told"

    class Client:
        def send(self, *_: Any, **__: Any) -> Any:
            return Other(200, stream=Stream(), request=module.Request("POST", "http://localhost/"))

    library = library_of(module.Client())
    assert bounded.send(library, Client(), None, auth=None).content == b"TOLD"


# --- watched no longer than it takes -------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _no_moulds() -> None:
    moulds._moulds.clear()


def cast(client: Any, **options: Any) -> Any:
    """The second of two writes of a kind: it comes from a mould."""
    prepared(client, json={"total": "1"}, **options)
    return prepared(client, json={"total": "2"}, **options)


def told(client: Any, ready: Any, seen: list[str]) -> Exchange[Any]:
    """Sends it, and notes whether there was still a trace when the answer was there."""
    library = library_of(client)
    kept = module_close(library.module, ready.request, seen)
    try:
        return exchange(
            library,
            client,
            ready.request,
            auth=ready.auth,
            clock=lambda: NOW,
            not_after=NOW + timedelta(seconds=60),
            alone=ready.alone,
        )
    finally:
        kept()


def module_close(module: Any, request: Any, seen: list[str]) -> Callable[[], None]:
    usual = module.Response.close

    def close(self: Any) -> None:
        seen.append("watched" if "trace" in request.extensions else "let go")
        usual(self)

    module.Response.close = close
    return lambda: setattr(module.Response, "close", usual)


def test_a_usual_write_is_let_go_when_its_answer_begins(connect: Connect) -> None:
    seen: list[str] = []
    with Server(answering) as server:
        client = connect(base_url=server.url)
        ready = cast(client)
        done = told(client, ready, seen)
    assert ready.alone
    assert done.reply is not None
    assert done.reply.status == 200
    assert seen
    assert set(seen) == {"let go"}
    assert "trace" not in ready.request.extensions


@pytest.mark.parametrize("kind", ["hook", "auth", "transport", "first"])
def test_what_might_send_again_is_watched_to_the_end(connect: Connect, module: Any, kind: str) -> None:
    class Between(module.HTTPTransport):  # type: ignore[misc]
        pass

    seen: list[str] = []
    with Server(answering) as server:
        kinds: dict[str, dict[str, Any]] = {
            "hook": {"event_hooks": {"response": [lambda _response: None]}},
            "auth": {"auth": ("u", "p")},
            "transport": {"transport": Between()},
        }
        options = kinds.get(kind, {})
        client = connect(base_url=server.url, **options)
        ready = prepared(client) if kind == "first" else cast(client)
        told(client, ready, seen)
    assert not ready.alone
    assert seen
    assert set(seen) == {"watched"}


def test_a_hook_that_is_added_later_counts(connect: Connect) -> None:
    client = connect(base_url="http://localhost")
    assert cast(client).alone
    client.event_hooks = {"request": [lambda _request: None]}
    assert not cast(client).alone


# --- sent by the shortest way --------------------------------------------------------------------------------


def facts(response: Any) -> dict[str, Any]:
    """All that a caller can ask of a response, but for what differs between two exchanges."""
    return {
        "status": response.status_code,
        "headers": [(name, value) for name, value in response.headers.raw if name.lower() != b"date"],
        "content": response.content,
        "history": response.history,
        "next": response.next_request and (response.next_request.method, str(response.next_request.url)),
        "request": (response.request.method, str(response.request.url), response.request.content),
        "elapsed": response.elapsed > timedelta(0),
        "encoding": (response.encoding, response.default_encoding),
        "version": (response.http_version, response.reason_phrase),
        "cookies": dict(response.cookies),
        "ended": (response.is_closed, response.is_stream_consumed, response.num_bytes_downloaded),
    }


def bringing(answer: bytes) -> Callable[[Peer], None]:
    def serve(peer: Peer) -> None:
        while peer.read_request():
            peer.send(answer)

    return serve


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"id": 7}',
        b"HTTP/1.1 204 No Content\r\nSet-Cookie: seen=yes\r\n\r\n",
        b"HTTP/1.1 307 Away\r\nLocation: /elsewhere\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 303 See Other\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntold\r\n0\r\n\r\n",
    ],
    ids=["made", "cookie", "moved", "see other", "failed"],
)
def test_its_response_is_as_the_clients_own_method_leaves_it(
    connect: Connect, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="httpx")
    caplog.set_level("INFO", logger="httpx2")
    with Server(bringing(answer)) as server:
        client = connect(base_url=server.url)
        ready = cast(client)
        assert ready.alone
        short = told(client, ready, [])
        told_short, cookies = [record.message for record in caplog.records], dict(client.cookies)
        caplog.clear()
        client.cookies.clear()
        again = client.build_request("POST", "/orders", json={"total": "2"})
        long: Any = client.send(again, auth=None, follow_redirects=False)
    assert short.error is None
    assert facts(short.native) == facts(long)
    assert told_short == [record.message for record in caplog.records] != []
    assert cookies == dict(client.cookies)


def test_so_is_that_of_an_asynchronous_client(module: Any) -> None:
    async def both(url: str) -> tuple[Any, Any]:
        async with module.AsyncClient(base_url=url, verify=TRUST) as client:
            ready = cast(client)
            assert ready.alone
            short = await exchange_async(
                library_of(client),
                client,
                ready.request,
                auth=ready.auth,
                clock=lambda: NOW,
                not_after=NOW + timedelta(seconds=60),
                alone=True,
            )
            again = client.build_request("POST", "/orders", json={"total": "2"})
            return short.native, await client.send(again, auth=None, follow_redirects=False)

    with Server(bringing(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 2\r\n\r\nno")) as server:
        short, long = asyncio.run(both(server.url))
    assert facts(short) == facts(long)
    assert short.next_request is not None


def test_a_redirect_to_nowhere_is_an_answer_all_the_same(connect: Connect) -> None:
    answer = b"HTTP/1.1 307 Away\r\nLocation: http://[::x/\r\nContent-Length: 0\r\n\r\n"
    with Server(bringing(answer)) as server:
        client = connect(base_url=server.url)
        ready = cast(client)
        done: Any = told(client, ready, [])
    assert ready.alone
    assert done.reply.status == 307
    assert done.native.next_request is None


def test_a_closed_client_sends_nothing(module: Any) -> None:
    with Server(answering) as server:
        client = module.Client(base_url=server.url)
        ready = cast(client)
        client.close()
        done = told(client, ready, [])
        assert server.connections == 0
    assert ready.alone
    assert done.failure is not None
    assert not done.failure.sent
    assert isinstance(done.error, RuntimeError)


def passing(name: str, seen: list[str]) -> Callable[..., Any]:
    """A function to put in the place of a client's or a transport's: it tells of each request, and hands it on."""

    def wrapped(usual: Any, _instance: Any, arguments: Any, options: Any) -> Any:
        seen.append(name)
        return usual(*arguments, **options)

    return wrapped


@pytest.mark.parametrize(
    "name", ["send", "_send_single_request", "_transport.handle_request", "_transport._pool.handle_request"]
)
@pytest.mark.parametrize("where", ["class", "object"])
def test_who_puts_a_method_of_his_own_in_its_place_sees_each_request(
    connect: Connect, module: Any, monkeypatch: pytest.MonkeyPatch, where: str, name: str
) -> None:
    """As tracers do, at any time, and with wrappers that say of themselves whatever the method says."""
    seen: list[str] = []
    with Server(answering) as server:
        client = connect(base_url=server.url)
        assert cast(client).alone
        place, _, method = name.rpartition(".")
        thing = attrgetter(place)(client) if place else client
        if where == "class":
            thing = type(thing)
        monkeypatch.setattr(thing, method, wrapt.FunctionWrapper(getattr(thing, method), passing(name, seen)))
        ready = cast(client)
        assert not ready.alone
        assert told(client, ready, []).reply is not None
    assert seen == [name]


def test_a_transport_that_sends_again_by_itself_is_stopped(connect: Connect) -> None:
    """It was put in when the client had made its first write."""
    with Server(bringing(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")) as server:
        client = connect(base_url=server.url)
        assert cast(client).alone
        usual = client._transport.handle_request

        def twice(request: Any) -> Any:
            usual(request).close()
            return usual(request)

        client._transport.handle_request = twice
        done = told(client, cast(client), [])
        assert len(server.requests) == 1
    assert done.failure is not None
    assert done.failure.sent
