"""How a stored answer becomes a response of the library again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

from samekey._core.model import Record
from samekey._core.sealing import refuse_sealed
from samekey.errors import UsageError
from samekey.http import urls
from samekey.http.outgoing import fields

if TYPE_CHECKING:
    from samekey.http.library import Library

T = TypeVar("T")

# These describe the body on the wire, and what is kept is the decoded one.
_WIRE: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def rebuild(library: Library[Any, T], record: Record) -> T:
    """The stored answer as a response of the library.

    It has a request (method and redacted URL), so that `raise_for_status()` works. Where the body was not kept, reading
    it raises `UsageError`; it never looks empty. An action that a look-up or a person settled has no HTTP status of its
    own, and shows 200.

    Raises:
        StoreFormatError: it is encrypted, and its key is not here.
    """
    refuse_sealed([record])
    status = record.response_status or 200
    content = record.response_body
    if content is None and status in {204, 205, 304}:
        content = b""
    request = _request(library.module, record.method, record.url)
    headers = [(name, value) for name, value in record.response_headers if name not in _WIRE]
    if content is None:
        sentence = (
            f'{record.label}: the body of this earlier result was not kept (keep="reference", or too large); '
            "read action.reference."
        )
        response = _unkept(library.module, status, headers, request, sentence)
    else:
        response = library.module.Response(status, headers=_encoded(headers), content=content, request=request)
        response.elapsed = timedelta(0)
    made: T = response
    return made


def _request(module: Any, method: str, url: str) -> Any:
    return module.Request(method, url, headers={}, stream=module.ByteStream(b""))


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def bare_request(module: Any, request: Any) -> Any:
    """A request with method and URL for people, without headers and body."""
    return _request(module, request.method, urls.shown(request.url))


def stripped(module: Any, response: T) -> T:
    """A copy of a response for an exception: read, no cookies, and a request without headers and body."""
    native: Any = response
    if isinstance(native, _Unkept):
        return response
    headers = [(name, value) for name, value in fields(native) if name not in _WIRE and name != "set-cookie"]
    extensions = {k: v for k, v in native.extensions.items() if k in {"http_version", "reason_phrase"}}
    if not hasattr(native, "_content"):  # a hook raised before it was read
        return cast("T", _unkept(module, native.status_code, headers, bare_request(module, native.request), _UNREAD))
    copy = module.Response(
        native.status_code,
        headers=_encoded(headers),
        content=native.content,
        request=bare_request(module, native.request),
        extensions=extensions,
        default_encoding=native.default_encoding,
    )
    try:
        copy.elapsed = native.elapsed
    except RuntimeError:  # it was built by hand
        copy.elapsed = timedelta(0)
    made: T = copy
    return made


_UNREAD: Final = "the body of this response was not read when an error was raised over it."


def outward(module: Any, response: Any) -> Any:
    """A response that has been read, or was stored, as a transport hands it to the client above: not yet read.

    Raises:
        UsageError: its body was not kept, and an empty one would be untrue.
    """
    headers = [(name, value) for name, value in response.headers.raw if name.lower().decode("latin-1") not in _WIRE]
    extensions = {k: v for k, v in response.extensions.items() if k in {"http_version", "reason_phrase"}}
    body = module.ByteStream(response.content)
    headers.append((b"content-length", str(len(response.content)).encode()))
    return module.Response(response.status_code, headers=headers, stream=body, extensions=extensions)


# --- a body that was not kept --------------------------------------------------------------------------------


class _Unkept:
    """Mixed into the library's response: whoever reads the body is told why there is none."""

    _sentence: str

    def _refuse(self, *_args: Any, **_options: Any) -> NoReturn:
        raise UsageError(self._sentence)

    content = property(_refuse)
    text = property(_refuse)
    json = read = aread = _refuse
    iter_bytes = iter_text = iter_lines = iter_raw = _refuse
    aiter_bytes = aiter_text = aiter_lines = aiter_raw = _refuse

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        native: Any = self
        request = native.request
        name = type(self).__mro__[2].__module__.partition(".")[0]
        state = (
            name,
            native.status_code,
            list(fields(native)),
            request.method,
            str(request.url),
            self._sentence,
        )
        return _load_unkept, state


@cache
def _unkept_class(module: Any) -> type[Any]:
    return type("Response", (_Unkept, module.Response), {"__module__": __name__})


def _unkept(module: Any, status: int, headers: list[tuple[str, str]], request: Any, sentence: str) -> Any:
    cls = _unkept_class(module)
    response = cls(status, headers=_encoded(headers), stream=module.ByteStream(b""), request=request)
    response._sentence = sentence
    response.elapsed = timedelta(0)
    response.is_closed = True
    return response


def _load_unkept(name: str, status: int, headers: list[tuple[str, str]], method: str, url: str, sentence: str) -> Any:
    from importlib import import_module

    module = import_module(name)
    return _unkept(module, status, headers, _request(module, method, url), sentence)
