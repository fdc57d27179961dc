"""What must not be shown of a request, cut out of everything that is."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from samekey.http.outgoing import FROZEN_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from samekey.http.outgoing import Prepared

SHORTEST: Final = 6
"""Characters of the shortest value that is taken for a secret: a shorter one is a word of many answers, like `true`."""

CUT: Final = "…"


class Secrets:
    """Values that an answer may repeat, and nobody is to read."""

    def __init__(self, requests: Iterable[Prepared], values: Iterable[str]) -> None:
        every = {*values, *(value for request in requests for value in _values(request))}
        found = {text for value in every for text in _spellings(value)}
        # The longest first: one may hold another.
        self._found = sorted((text for text in found if len(text) >= SHORTEST), key=len, reverse=True)

    def cut(self, text: str) -> str:
        """The text without them."""
        for secret in self._found:
            text = text.replace(secret, CUT)
        return text

    def in_(self, text: str) -> bool:
        """Whether the text has one of them."""
        return any(secret in text for secret in self._found)


def _values(prepared: Prepared) -> Iterator[str]:
    """Whatever a request has that may be a credential: all but the headers that are known not to be one."""
    request = prepared.request
    # The password in a URL is among them, as it goes out.
    yield from (value for _, value in prepared.outgoing.credentials)
    for raw_name, raw_value in request.headers.raw:
        if raw_name.lower().decode("latin-1") not in FROZEN_HEADERS | {"host", "connection", "content-length"}:
            yield raw_value.decode("latin-1")
    for _, value in request.url.params.multi_items():
        yield value


def _spellings(value: str) -> Iterator[str]:
    """A value, what it is made of, and how these look in a URL."""
    for text in _parts(value):
        yield text
        yield quote(text, safe="")


def _parts(value: str) -> Iterator[str]:
    scheme, _, token = value.partition(" ")
    yield value
    yield token
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(token, validate=True).decode("latin-1")
        except (ValueError, binascii.Error):
            return
        yield pair
        yield from pair.split(":", 1)
