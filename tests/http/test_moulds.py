"""A write that is cast in the mould of an earlier one is the one that httpx would have built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey.errors import UsageError
from samekey.http import moulds
from samekey.http.library import library_of
from samekey.http.outgoing import Prepared, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def _no_moulds() -> Iterator[None]:
    moulds._moulds.clear()
    yield
    moulds._moulds.clear()


def ready(client: Any, url: str = "/orders", method: str = "POST", **options: Any) -> Prepared:
    return prepare(library_of(client), client, method, url, options, boundary="b")


def looks(prepared: Prepared) -> tuple[Any, ...]:
    request = prepared.request
    return (
        request.method,
        request.url,
        request.headers.raw,
        request.content,
        request.extensions,
        prepared.outgoing,
    )


def in_the_long_way(client: Any, **options: Any) -> Prepared:
    moulds._moulds.clear()
    return ready(client, **options)


def same(client: Any, **options: Any) -> bool:
    """Whether a write is the same in both ways; and whether the mould was used, or could be."""
    first = looks(ready(client, **options))
    second = looks(ready(client, **options))
    return first == second == looks(in_the_long_way(client, **options))


@given(JSON.filter(lambda value: value is not None), st.sampled_from(["POST", "PUT", "PATCH"]))
def test_a_cast_write_is_the_one_that_would_have_been_built(value: Any, method: str) -> None:
    moulds._moulds.clear()
    with httpx.Client(base_url="https://api.example/v1", headers={"X-Version": "3"}) as client:
        ready(client, json={"first": 1}, method=method)
        assert len(moulds._moulds) == 1
        assert looks(ready(client, json=value, method=method)) == looks(
            in_the_long_way(client, json=value, method=method)
        )


CHANGES: list[Callable[[httpx.Client], None]] = [
    lambda client: client.headers.update({"Accept-Language": "de"}),
    lambda client: client.headers.update({"Authorization": "Bearer secret"}),
    lambda client: setattr(client, "base_url", "https://elsewhere.example"),
    lambda client: setattr(client, "timeout", httpx.Timeout(3)),
    lambda client: setattr(client, "auth", ("user", "secret")),
    lambda client: setattr(client, "params", {"api_key": "secret"}),
    lambda client: client.cookies.set("session", "1"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_on_the_client_is_noticed(change: Callable[[httpx.Client], None]) -> None:
    with httpx.Client(base_url="https://api.example") as client:
        ready(client, json={"n": 1})
        assert moulds._moulds
        change(client)
        assert looks(ready(client, json={"n": 2})) == looks(in_the_long_way(client, json={"n": 2}))
        assert same(client, json={"n": 3})


def test_nothing_that_may_be_secret_is_kept() -> None:
    with httpx.Client(base_url="https://user:secret@api.example") as client:
        ready(client, json={"n": 1})
    with httpx.Client(base_url="https://api.example") as client:
        ready(client, "/orders?token=secret", json={"n": 1})
    assert not moulds._moulds


@pytest.mark.parametrize("options", [{}, {"content": b"x"}, {"json": None}, {"json": {}, "headers": {"A": "b"}}])
def test_another_write_is_built_in_the_long_way(options: dict[str, Any]) -> None:
    with httpx.Client(base_url="https://api.example") as client:
        assert same(client, **options)
        assert not moulds._moulds


def test_a_library_that_keeps_the_content_elsewhere_has_no_moulds(monkeypatch: pytest.MonkeyPatch) -> None:
    pour = moulds._pour

    def unread(*arguments: Any) -> Any:
        request = pour(*arguments)
        del request._content
        return request

    monkeypatch.setattr(moulds, "_pour", unread)
    with httpx.Client(base_url="https://api.example") as client:
        assert same(client, json={"n": 1})
        assert not moulds._moulds


def test_a_client_of_another_class_builds_its_requests_itself() -> None:
    class Signing(httpx.Client):
        def build_request(self, *arguments: Any, **options: Any) -> httpx.Request:
            request = super().build_request(*arguments, **options)
            request.headers["X-Signature"] = str(len(request.content))
            return request

    with Signing(base_url="https://api.example") as client:
        assert same(client, json={"n": 1})
        assert not moulds._moulds


@pytest.mark.parametrize("body", [{"n": float("nan")}, {"n": object()}, {1: {2}}])
def test_a_body_that_is_no_json_is_refused_as_ever(body: Any) -> None:
    with httpx.Client(base_url="https://api.example") as client:
        ready(client, json={"n": 1})
        with pytest.raises(UsageError, match="json="):
            ready(client, json=body)


def test_a_body_that_is_too_large_is_refused_as_ever() -> None:
    with httpx.Client(base_url="https://api.example") as client:
        ready(client, json={"n": 1})
        with pytest.raises(UsageError, match="more than 1,048,576"):
            ready(client, json="x" * 1_048_576)


def test_moulds_do_not_fill_the_memory() -> None:
    with httpx.Client(base_url="https://api.example") as client:
        for number in range(moulds.MOST + 5):
            ready(client, f"/orders/{number}", json={})
        assert len(moulds._moulds) <= moulds.MOST
