"""From a call to a request: its facts before the first send, and the same bytes again for every later one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from samekey._core.model import Frozen, Headers, Outgoing
from samekey._core.values import fixed
from samekey.errors import UsageError
from samekey.http import checks, moulds, secrets, urls
from samekey.http.body import UNBUILDABLE, hold_body, hold_body_async, read_body
from samekey.http.credentials import credentials_of

if TYPE_CHECKING:
    from samekey.http.library import Library

FROZEN_HEADERS: Final = frozenset({
    "accept", "accept-encoding", "accept-language", "content-encoding", "content-language", "content-type", "prefer",
    "traceparent", "tracestate", "user-agent",
})  # fmt: skip
"""What is kept of a header, and sent again as it was. None of them is a credential."""

_FRAMING: Final = frozenset({"host", "content-length", "transfer-encoding"})
_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})


@dataclass(slots=True)
class Prepared:
    """A request that is ready for its first send.

    Attributes:
        auth: what to hand to `exchange` as `auth`.
        outgoing: its facts.
        url: where it goes, as the library's own object.
        built: the request itself; None until it is needed, if it was cast.
        cast: how it comes out of its mould, if it is the usual write.
    """

    auth: Any = field(repr=False)
    outgoing: Outgoing
    url: Any = field(repr=False)
    built: Any = field(default=None, repr=False)
    cast: moulds.Cast | None = field(default=None, repr=False)

    @property
    def request(self) -> Any:
        """The native request, with the whole body in memory unless it is a stream."""
        if self.built is None and self.cast is not None:
            self.built = self.cast.pour()
        return self.built

    @property
    def alone(self) -> bool:
        """Whether the library's own code alone will send it, and once: no authentication, no hook, no transport in between.

        To be asked of each, and late: who traces requests may begin at any time.
        """
        return self.cast is not None and self.cast.goes_alone(self.request)


def prepare(
    library: Library[Any, Any],
    client: Any,
    method: str,
    url: Any,
    options: Mapping[str, Any],
    *,
    boundary: str,
    freeze: Literal["request", "nothing"] = "request",
    also: frozenset[str] = frozenset(),
    label: Callable[[], str] | None = None,
) -> Prepared:
    """Build the request of one write and take its facts.

    Args:
        library: the client's library.
        client: the client that will send it.
        method: HTTP method.
        url: absolute, or relative to the client's base URL.
        options: httpx's options for a request, and `fingerprint`.
        boundary: for multipart bodies, so that a rerun has the same bytes.
        freeze: whether the body is kept; if not, it may be large, or a stream with a fingerprint.
        also: further header names (lower case) that are frozen, such as an API's version header.
        label: tells the action, to begin messages with.

    Raises:
        UsageError: the call is wrong. Values, which may be secrets, are not quoted.
    """
    allowed = FROZEN_HEADERS | also if also else FROZEN_HEADERS
    try:
        key = moulds.key_of(library, client, method, url, options, allowed)
        cast = key and moulds.cast(library, client, key, options, freeze)
        if cast:
            return Prepared(cast.mould.auth, cast.outgoing, cast.mould.url, None, cast)
        asynchronous = isinstance(client, library.module.AsyncClient)
        method = checks.check_method(method)
        checks.check_options(options, asynchronous=asynchronous)
        request = _build(library, client, method, url, options, boundary)
        urls.check_url(request.url)
        auth = _auth(library, options)
        body = read_body(library, request, options, freeze)
        shape = _arrange(library, request, allowed)
        facts = _facts(library, client, request, options=options, body=body, shape=shape, auth=auth)
        if key:
            moulds.keep(library, client, key, request, facts)
    except UsageError as error:
        if label is None:
            raise
        raise UsageError(f"{label()}: {error}") from None
    return Prepared(auth, facts, request.url, request)


def adopt(
    library: Library[Any, Any],
    client: Any,
    request: Any,
    *,
    freeze: Literal["request", "nothing"],
    without: frozenset[str],
) -> Prepared:
    """Take the facts of a request that a client above has built, credentials and all.

    Args:
        library: the library of the request.
        client: the client below that will send it.
        request: the native request; it stays as it is.
        freeze: whether the body is kept.
        without: header names (lower case) that are left out: the key that the caller's client has made up.

    Raises:
        UsageError: it cannot be an action's request. Values are not quoted.
    """
    copy = _copied(library, client, request, without)
    return _adopted(library, client, copy, hold_body(library, copy, freeze))


async def adopt_async(
    library: Library[Any, Any],
    client: Any,
    request: Any,
    *,
    freeze: Literal["request", "nothing"],
    without: frozenset[str],
) -> Prepared:
    """As `adopt`, for asynchronous clients."""
    copy = _copied(library, client, request, without)
    return _adopted(library, client, copy, await hold_body_async(library, copy, freeze))


def _copied(library: Library[Any, Any], client: Any, request: Any, without: frozenset[str]) -> Any:
    headers = [(name, value) for name, value in request.headers.raw if name.lower().decode("latin-1") not in without]
    extensions = {"timeout": {}, **request.extensions}
    checks.check_extensions(extensions, asynchronous=isinstance(client, library.module.AsyncClient))
    copy = library.module.Request(
        checks.check_method(request.method), request.url, headers=headers, stream=request.stream, extensions=extensions
    )
    urls.check_url(copy.url)
    return copy


def _adopted(library: Library[Any, Any], client: Any, copy: Any, body: bytes) -> Prepared:
    shape = _arrange(library, copy, FROZEN_HEADERS)
    facts = _facts(library, client, copy, options={}, body=body, shape=shape, auth=None)
    return Prepared(None, facts, copy.url, copy)


def with_headers(library: Library[Any, Any], prepared: Prepared, headers: Mapping[str, str]) -> Prepared:
    """Adds header fields that are frozen with the request, unless the caller has set them.

    Args:
        library: the client's library.
        prepared: a request before its first send.
        headers: names of `FROZEN_HEADERS` and their values.
    """
    outgoing = prepared.outgoing
    added = headers and [(name, value) for name, value in headers.items() if name not in outgoing.header_names]
    if not added:
        return prepared
    request = prepared.request
    request.headers = library.module.Headers([*request.headers.raw, *added])
    shape = _arrange(library, request, FROZEN_HEADERS)
    return replace(prepared, outgoing=replace(outgoing, headers=shape.frozen, header_names=shape.names))


def thaw(
    library: Library[Any, Any],
    client: Any,
    frozen: Frozen,
    *,
    prepared: Prepared | None = None,
    also: frozenset[str] = frozenset(),
) -> Any:
    """The native request that sends the frozen bytes again, with credentials of today.

    Method, URL, body and allow-listed headers are the frozen ones. Everything else (credentials, cookies, other
    headers of the caller, extensions, the client's own parameters) is what this run would send.

    Args:
        library: the client's library.
        client: the client that will send it.
        frozen: the request as it was first sent.
        prepared: this run's request; None where nobody called, as in `recover()`.
        also: as for `prepare`.

    Raises:
        UsageError: the body was not frozen, and this run brings none.
    """
    module = library.module
    if prepared is None and not frozen.complete:
        raise UsageError(
            'the request was not kept whole (freeze="nothing", or secrets), so only a run that brings it can send it again.'
        )
    fresh = client.build_request(frozen.method, frozen.url) if prepared is None else prepared.request
    body = secrets.full_body(frozen, fresh)
    if body is None and prepared is not None and prepared.outgoing.body is not None:
        body = bytes(fresh.content)
    url = urls.with_defaults(library, client, secrets.full_url(library, frozen, fresh))
    url = urls.with_userinfo_of(url, client.base_url if prepared is None else fresh.url)
    dropped = FROZEN_HEADERS | also | (_FRAMING - {"host"} if body is not None else set())
    headers = [(n, v) for n, v in fresh.headers.raw if n.lower().decode("ascii") not in dropped]
    headers += [(_spelled(name), value.encode("latin-1")) for name, value in frozen.headers]
    content = {"stream": fresh.stream} if body is None else {"content": body}
    request = module.Request(frozen.method, url, headers=headers, extensions=fresh.extensions, **content)
    _arrange(library, request, FROZEN_HEADERS | also)
    return request


# --- building ------------------------------------------------------------------------------------------------


def _build(
    library: Library[Any, Any], client: Any, method: str, url: Any, options: Mapping[str, Any], boundary: str
) -> Any:
    given = {k: v for k, v in options.items() if k not in {"auth", "fingerprint", "follow_redirects"}}
    content = given.get("content")
    if isinstance(content, (bytearray, memoryview)):
        given["content"] = bytes(content)
    try:
        if given.get("files"):
            given["headers"] = _with_boundary(client, library.module.Headers(given.get("headers")), boundary)
        return client.build_request(method, url, **given)
    except library.module.InvalidURL:
        told = "the URL cannot be parsed."
    except UNBUILDABLE as error:
        told = _unbuildable(library, given, error)
    # Outside of the handlers: what httpx raised has the value in it, and would hang on to ours as its context.
    raise UsageError(told)


def _with_boundary(client: Any, headers: Any, boundary: str) -> Any:
    """`headers` with a boundary that is the same on every run, unless the caller has chosen one."""
    given = headers.get("content-type", client.headers.get("content-type", ""))
    if not (given.startswith("multipart/form-data") and "boundary=" in given):
        headers["content-type"] = f"multipart/form-data; boundary={boundary}"
    return headers


def _unbuildable(library: Library[Any, Any], given: Mapping[str, Any], error: Exception) -> str:
    """Why httpx could not build the request, by what was given; its own words may quote a value."""
    kind = type(error).__name__
    try:
        library.module.Headers(given.get("headers"))
    except (TypeError, ValueError, AttributeError):
        return checks.bad_header(given.get("headers"))
    if given.get("json") is not None:
        return f"json= cannot be written as JSON ({kind}); give str, int, finite float, bool, None, list and dict only."
    for name in ("files", "data", "content"):
        if given.get(name):
            return f"{name}= is not something httpx can send ({kind})."
    return f"httpx cannot build the request ({kind}); check url=, params=, cookies=, timeout= and extensions=."


def _auth(library: Library[Any, Any], options: Mapping[str, Any]) -> Any:
    if "auth" not in options:
        return library.module.USE_CLIENT_DEFAULT
    auth = options["auth"]
    pair = isinstance(auth, tuple) and len(auth) == 2 and all(isinstance(part, (str, bytes)) for part in auth)
    if auth is None or pair or isinstance(auth, library.module.Auth) or (callable(auth) and not isinstance(auth, type)):
        return auth
    raise UsageError("auth= is neither a pair of user and password nor an httpx.Auth.")


# --- facts ---------------------------------------------------------------------------------------------------


@fixed
class _Shape:
    """What follows from header fields alone: the same for all requests of a kind, so it is worked out once for each.

    Attributes:
        first: the raw fields that go before the body's framing, in an order and a spelling that a resend can repeat.
        frozen: those that are kept.
        names: the names of all but the framing's.
        fields: all but the framing's, names in lower case.
        content_type: one of them.
    """

    first: list[tuple[bytes, bytes]] = field(repr=False)
    frozen: Headers = field(repr=False)
    names: frozenset[str]
    fields: Headers = field(repr=False)
    content_type: str


_shapes: dict[tuple[Any, ...], _Shape] = {}
_MOST_SHAPES: Final = 64


def _shape_of(raw: list[tuple[bytes, bytes]], allowed: frozenset[str]) -> tuple[_Shape, list[tuple[bytes, bytes]]]:
    """The shape of a request's fields, and its framing fields."""
    last = [item for item in raw if item[0].lower() in _LENGTHS]
    rest = [item for item in raw if item not in last] if last else raw
    key = (allowed, *rest)
    shape = _shapes.get(key)
    if shape is None:
        if len(_shapes) >= _MOST_SHAPES:
            _shapes.clear()
        shape = _shapes[key] = _new_shape(rest, allowed)
    return shape, last


def _new_shape(raw: list[tuple[bytes, bytes]], allowed: frozenset[str]) -> _Shape:
    checks.check_headers(raw)
    named = tuple([(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw])
    frozen = tuple([item for item in named if item[0] in allowed])
    hosts = [item for item in raw if item[0].lower() == b"host"]
    rest = [item for item in raw if item[0].lower() != b"host" and item[0].lower().decode("ascii") not in allowed]
    kept = [(_spelled(name), value.encode("latin-1")) for name, value in frozen]
    names = frozenset([name for name, _ in named])
    content_type = next((value for name, value in named if name == "content-type"), "")
    return _Shape([*hosts, *rest, *kept], frozen, names, named, content_type)


def _facts(
    library: Library[Any, Any],
    client: Any,
    request: Any,
    *,
    options: Mapping[str, Any],
    body: bytes | None,
    shape: _Shape,
    auth: Any,
) -> Outgoing:
    url = urls.without_defaults(library, client, urls.bare(request.url), options.get("params"))
    text = str(url)
    return Outgoing(
        method=request.method,
        url=text,
        shown_url=urls.shown(url) if url.query else text,
        origin=urls.origin_of(url),
        headers=shape.frozen,
        header_names=shape.names,
        body=body,
        content_type=shape.content_type,
        fingerprint=options.get("fingerprint"),
        credentials=credentials_of(library, client, request, shape.fields, auth),
        attempt_seconds=checks.attempt_seconds(request.extensions["timeout"]),
    )


def _arrange(library: Library[Any, Any], request: Any, allowed: frozenset[str]) -> _Shape:
    """Puts the header fields into an order and a spelling that a resend can repeat."""
    shape, last = _shape_of(request.headers.raw, allowed)
    request.headers = library.module.Headers([*shape.first, *last])
    return shape


def fields(message: Any) -> Headers:
    """The header fields of a request or response in order, names in lower case, no byte lost."""
    raw = message.headers.raw
    return tuple([(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw])


@cache
def _spelled(name: str) -> bytes:
    return "-".join(part.capitalize() for part in name.split("-")).encode("ascii")
