"""The review desk in the browser, served by the real server on a real socket."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from samekey.cli.web.serve import desk_at, listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samekey._core.model import Record
    from samekey.stores import SQLiteStore, Store

OURS = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form that a page without referrers sends to its own server."""


@contextmanager
def served(store: Store) -> Iterator[str]:
    """The address of a desk that runs meanwhile."""
    with listen(None) as listener:
        server, address = desk_at(listener, store)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def visitor(address: str) -> Iterator[httpx.Client]:
    """Somebody who was given the address."""
    with httpx.Client(base_url=address, headers=OURS, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def address(desk: SQLiteStore) -> Iterator[str]:
    with served(desk) as address:
        yield address


@pytest.fixture
def ada(address: str) -> Iterator[httpx.Client]:
    with visitor(address) as client:
        yield client


class Page(HTMLParser):
    """What a browser would make of a page, as far as the tests ask."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.hidden = tag in {"style", "script"}

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def fields(self) -> dict[str, str]:
        """What the form sends as it stands, but for the words of the text area."""
        inputs = [each for each in self.all("input") if each.get("type") not in {"radio", "checkbox"}]
        return {str(each["name"]): each.get("value") or "" for each in inputs}

    def choices(self) -> list[str]:
        """What the decisions send."""
        return [str(each["value"]) for each in self.all("input") if each.get("type") == "radio"]


def where(row: Record) -> str:
    return f"actions/{quote(row.idempotency_key, safe='')}"


def page(client: httpx.Client, path: str = "", code: int = 200) -> Page:
    response = client.get(client.base_url.join(path))
    assert response.status_code == code, response.text
    return Page(response.text)


def fill(shown: Page, decision: str, /, **words: str) -> dict[str, str]:
    """The form of a page, filled in."""
    (choice,) = [each for each in shown.choices() if each.startswith(f"{decision}/")]
    return {**shown.fields(), "by": "ada", "note": "looked at the shop", "decision": choice, **words}


def send(client: httpx.Client, row: Record, form: dict[str, str], code: int = 303) -> Page:
    response = client.post(where(row), data=form)
    assert response.status_code == code, response.text
    return page(client, response.headers["location"]) if code == 303 else Page(response.text)
