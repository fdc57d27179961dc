"""The usual write, a JSON body to a URL of the client's and no option besides, cast in the mould of an earlier one.

What httpx builds for such a write differs from the last one only in its body. So the first is built and arranged in the
long way, and checked against what the mould makes of it; if they are equal in everything, the mould is kept. That costs
a quarter of building it anew, which is more than a plain `httpx.Client.post` takes for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from samekey._core.jsontext import encoder
from samekey._core.model import Outgoing
from samekey._core.values import fixed
from samekey.http import checks
from samekey.http.body import MAX_FROZEN_BYTES, UNBUILDABLE
from samekey.http.headers import put_last
from samekey.http.proof import silence_proves

if TYPE_CHECKING:
    from samekey.http.library import Library

MOST: Final = 64
"""Moulds that are kept; a URL with an object's id in it makes one for each object."""

_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
_text_of = encoder(ascii_only=False)
_moulds: dict[tuple[Any, ...], _Mould] = {}


@fixed
class _Mould:
    """A write without its body.

    Attributes:
        base: the client's base URL of that time; as long as it is kept, no other one has its id.
        url: where the request goes.
        headers: the fields that go before the body's framing.
        auth: the library's way to say that there is none, which spares it a search in the URL.
        timeouts: the client's time-outs of that time.
        first: the facts of the first one.
    """

    base: Any
    url: Any
    headers: Any
    auth: Any
    timeouts: dict[str, Any]
    first: Outgoing


@fixed
class Cast:
    """A usual write that is yet to come out of its mould: until it is sent, its facts will do.

    Attributes:
        library: the client's library.
        client: the client that will send it.
        mould: what it has in common with the others.
        outgoing: its facts.
        timeouts: the client's time-outs.
    """

    library: Library[Any, Any]
    client: Any = field(repr=False)
    mould: _Mould = field(repr=False)
    outgoing: Outgoing
    timeouts: dict[str, Any]

    def pour(self) -> Any:
        """The native request."""
        body = self.outgoing.body
        assert body is not None
        return _pour(self.library.module, self.mould, self.outgoing.method, body, self.timeouts)

    def goes_alone(self, request: Any) -> bool:
        """See `Prepared.alone`."""
        client = self.client
        hooked = any(client.event_hooks.values())
        return not hooked and silence_proves(self.library, client, request, self.mould.auth, None)


Key = tuple[Any, ...]


def key_of(
    library: Library[Any, Any],
    client: Any,
    method: str,
    url: Any,
    options: Mapping[str, Any],
    allowed: frozenset[str],
) -> Key | None:
    """What tells one mould from another; None for a write that is not the usual one."""
    if len(options) != 1 or options.get("json") is None or type(url) is not str or method not in _METHODS:
        return None
    if type(client) is not library.client or "build_request" in vars(client):
        return None
    if client.params or client.cookies or client.auth is not None or not _writes_alike(library.module):
        return None
    return id(client), method, url, allowed, *client.headers.raw


def cast(library: Library[Any, Any], client: Any, key: Key, options: Mapping[str, Any], freeze: str) -> Cast | None:
    """A usual write. None if there is no mould for it yet, or if the body needs a closer look."""
    mould = _moulds.get(key)
    if mould is None or mould.base is not client.base_url:
        return None
    try:
        body = _text_of(options["json"]).encode()
    except UNBUILDABLE:
        return None
    if len(body) > MAX_FROZEN_BYTES and freeze == "request":
        return None
    timeouts = client.timeout.as_dict()
    first = mould.first
    outgoing = Outgoing(
        method=first.method,
        url=first.url,
        shown_url=first.shown_url,
        origin=first.origin,
        headers=first.headers,
        header_names=first.header_names,
        body=body,
        content_type=first.content_type,
        credentials=first.credentials,
        attempt_seconds=(first.attempt_seconds if timeouts == mould.timeouts else checks.attempt_seconds(timeouts)),
    )
    return Cast(library, client, mould, outgoing, timeouts)


def keep(library: Library[Any, Any], client: Any, key: Key, request: Any, outgoing: Outgoing) -> None:
    """Makes a mould of a write that was built in the long way, if it would give the very same."""
    module, url = library.module, request.url
    # What may be secret stays where it is.
    if url.query or url.userinfo or url.fragment or outgoing.body is None:
        return
    raw = request.headers.raw
    timeouts = client.timeout.as_dict()
    mould = _Mould(client.base_url, url, module.Headers(raw[:-1]), module.Auth(), dict(timeouts), outgoing)
    again = _pour(module, mould, outgoing.method, outgoing.body, timeouts)
    if _is_same(module, again, request) and all(name.isascii() and value.isascii() for name, value in raw):
        if len(_moulds) >= MOST:
            _moulds.clear()
        _moulds[key] = mould


def _pour(module: Any, mould: _Mould, method: str, body: bytes, timeouts: dict[str, Any]) -> Any:
    request = module.Request(
        method,
        mould.url,
        headers=mould.headers,
        stream=module.ByteStream(body),
        extensions={"timeout": timeouts},
    )
    request._content = body  # noqa: SLF001 (what `read()` leaves there, after a long look at the stream)
    put_last(request.headers, "Content-Length", str(len(body)))
    request.headers.encoding = "ascii"
    return request


def _is_same(module: Any, again: Any, request: Any) -> bool:
    try:
        content = again.content
    except module.RequestNotRead:  # a library that keeps it elsewhere
        return False
    return bool(
        content == request.content
        and again.headers.raw == request.headers.raw
        and again.url == request.url
        and again.method == request.method
        and again.extensions == request.extensions
    )


@cache
def _writes_alike(module: Any) -> bool:
    """Whether the library writes JSON as we do."""
    value = {"é": [1.5, None, True, "\u2028"], "a": {}}
    written: bytes = module.Request("POST", "http://localhost/", json=value).content
    return written == _text_of(value).encode()
