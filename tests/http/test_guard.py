"""Clients: the one we build, and the ones we refuse."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest
import respx
from httpx_retries import RetryTransport

from samekey.errors import UsageError
from samekey.http.guard import build_client, check_client, quiet
from samekey.http.library import HTTPX, Library, library_of

Connect = Callable[..., Any]


def test_the_library_is_taken_from_the_client(module: Any) -> None:
    class Mine(module.Client):  # type: ignore[misc]
        pass

    with Mine() as client:
        library = library_of(client)
    assert library.name == module.__name__
    assert library.client is module.Client
    assert library.response is module.Response
    assert library_of(client) is library


@pytest.mark.parametrize("thing", [None, object(), httpx, "https://x"])
def test_anything_else_is_no_client(thing: object) -> None:
    with pytest.raises(UsageError, match=r"httpx\.Client"):
        library_of(thing)


def test_an_ordinary_client_is_fine(connect: Connect) -> None:
    check_client(connect(follow_redirects=True))


def test_a_closed_client_is_refused(module: Any) -> None:
    client = module.Client()
    client.close()
    with pytest.raises(UsageError, match="closed"):
        check_client(client)


def test_a_client_of_the_other_kind_is_refused(module: Any, connect: Connect) -> None:
    with pytest.raises(UsageError, match="AsyncClient"):
        check_client(module.AsyncClient())
    with pytest.raises(UsageError, match="AsyncClient"):
        check_client(connect(), asynchronous=True)
    check_client(module.AsyncClient(), asynchronous=True)


class Wrapper(httpx.BaseTransport, httpx2.BaseTransport):
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def handle_request(self, request: Any) -> Any:
        return self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize(
    "options",
    [
        lambda module: {"transport": module.HTTPTransport(retries=3)},
        lambda module: {"mounts": {"https://": module.HTTPTransport(retries=3)}},
        lambda module: {"transport": Wrapper(Wrapper(module.HTTPTransport(retries=3)))},
    ],
)
def test_retries_below_are_found(module: Any, connect: Connect, options: Callable[[Any], dict[str, Any]]) -> None:
    with pytest.raises(
        UsageError, match=r"^http=: this client retries by itself \(retries=3\), which samekey cannot see"
    ):
        check_client(connect(**options(module)))


def test_a_retrying_transport_is_found_by_its_name() -> None:
    with (
        httpx.Client(transport=Wrapper(RetryTransport())) as client,
        pytest.raises(UsageError, match="RetryTransport"),
    ):
        check_client(client)


# --- the client we build ---------------------------------------------------------------------------------------


def built(library: Library[Any, Any], **options: Any) -> Any:
    return build_client(library, "https://api.shop.example", None, options)


def test_the_built_client_keeps_idle_connections_for_a_short_time_only(library: Library[Any, Any]) -> None:
    with built(library) as client:
        pool = client._transport._pool
        assert pool._keepalive_expiry == 2.0
        assert pool._max_keepalive_connections == 20
        assert client.timeout == library.module.Timeout(30, connect=5)


def test_the_users_own_limits_and_transports_are_kept(library: Library[Any, Any]) -> None:
    with built(library, limits=library.module.Limits(max_connections=3, keepalive_expiry=9)) as client:
        assert client._transport._pool._keepalive_expiry == 9
    transport = library.module.HTTPTransport()
    with built(library, transport=transport) as client:
        assert client._transport is transport
    with pytest.raises(UsageError, match="retries=2"):
        built(library, transport=library.module.HTTPTransport(retries=2))


def test_wrong_options_are_refused(library: Library[Any, Any]) -> None:
    with pytest.raises(UsageError, match="'hedaers'"):
        built(library, hedaers={})
    with pytest.raises(UsageError, match=r"limits= is a int; give httpx2?\.Limits"):
        built(library, limits=5)
    with pytest.raises(UsageError, match="base_url="):
        build_client(library, "https://a:b:c/")


# --- the log ---------------------------------------------------------------------------------------------------


def test_the_log_line_has_no_query_and_no_userinfo(
    library: Library[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        quiet(library)
    module = library.module
    caplog.set_level(logging.INFO, library.name)
    with module.Client(transport=module.MockTransport(lambda _request: module.Response(200))) as client:
        client.post("https://user:se-cret@api.shop.example/x?token=se-cret#se-cret")
    assert "se-cret" not in caplog.text
    assert "https://api.shop.example/x" in caplog.text
    assert len(logging.getLogger(library.name).filters) == 1


@respx.mock
def test_mocked_answers_and_mocked_failures() -> None:
    from tests.http.conftest import attempt

    route = respx.post("https://api.shop.example/orders")
    with built(HTTPX) as client:
        route.respond(201, json={"id": "ord_9"})
        result = attempt(client)
        assert result.reply is not None
        assert result.reply.status == 201
        for error, sent in [
            (httpx.ConnectError, False),
            (httpx.PoolTimeout, False),
            (httpx.ReadTimeout, True),
        ]:
            route.side_effect = error
            failure = attempt(client).failure
            assert failure is not None
            assert failure.sent is sent
