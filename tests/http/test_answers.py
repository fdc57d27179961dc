"""How an answer is read: as the library's own `read()` would leave it, and watched no longer than it takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from samekey.http import bounded, moulds
from samekey.http.exchange import Exchange, exchange
from samekey.http.library import library_of
from tests.http.conftest import NOW, attempt, prepared
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
