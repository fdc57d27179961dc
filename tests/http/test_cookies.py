"""Cookies of the clients that we build: kept and sent as the library does it, and looked for only where there are some."""

from __future__ import annotations

from http.cookiejar import CookieJar
from typing import Any

import pytest

from samekey.http.guard import build_client
from samekey.http.library import Library


def client_that_answers(library: Library[Any, Any], headers: list[tuple[str, str]], **options: Any) -> Any:
    transport = library.module.MockTransport(lambda _: library.module.Response(201, headers=headers))
    return build_client(library, "https://api.example", options={"transport": transport, **options})


@pytest.mark.parametrize("name", ["Set-Cookie", "set-cookie", "SET-COOKIE"])
def test_a_cookie_that_is_set_is_kept_and_sent(library: Library[Any, Any], name: str) -> None:
    with client_that_answers(library, [("x", "y"), (name, "session=abc; Path=/")]) as client:
        client.post("/orders")
        assert client.cookies["session"] == "abc"
        assert client.build_request("POST", "/orders").headers["cookie"] == "session=abc"


def test_an_answer_without_cookies_is_not_taken_apart(
    library: Library[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[object] = []
    monkeypatch.setattr(CookieJar, "extract_cookies", lambda *arguments: taken.append(arguments))
    with client_that_answers(library, [("content-type", "application/json")]) as client:
        client.post("/orders")
        assert taken == []
    with client_that_answers(library, [("set-cookie2", "session=abc")]) as client:
        client.post("/orders")
        assert len(taken) == 1  # what it is worth, the jar's policy knows


def test_a_jar_that_was_brought_is_left_alone(library: Library[Any, Any]) -> None:
    with client_that_answers(library, [], cookies={"a": "b"}) as client:
        assert type(client.cookies) is library.module.Cookies
        assert client.cookies["a"] == "b"
    with client_that_answers(library, []) as client:
        assert isinstance(client.cookies, library.module.Cookies)
        client.cookies = {"c": "d"}
        assert client.cookies["c"] == "d"
