"""How the usual action's request (`Prepared.alone`) is handed from the library's transport to its pool.

A transport of httpx makes of each request one of httpcore's, which looks at every header and takes it over, and enters a
context that renames what fails. The usual request is known to be as it must be, and seldom fails; so the transports that we
build hand it over as it is, and rename when there is something to rename. Any other request goes the library's own way, and
so does each one where a library makes something else of it than is known here.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, Final

from samekey.http.native import handler_of, is_native
from samekey.http.onewrite import ALONE


def install(transport: Any) -> None:
    """Has a transport do it; one that is not built as we know it stays as it is."""
    kind: Any = type(transport)
    if kind.__name__ in _STREAMS and (handing := _handing(kind)) is not None:
        transport.__class__ = handing


def kind_below(kind: type[Any]) -> type[Any]:
    """The library's own kind of a transport."""
    return kind.__bases__[-1] if issubclass(kind, _Hands) else kind


_CORES: Final = {"httpx": "httpcore", "httpx2": "httpcore2"}
_STREAMS: Final = {"HTTPTransport": "ResponseStream", "AsyncHTTPTransport": "AsyncResponseStream"}


class _Hands:
    """Mixed into the library's own kind of transport.

    Attributes:
        core: the module of httpcore.
        renaming: the context that renames what httpcore raises.
        answer: the library's kind of response.
        stream: what it gives an answer to read.
    """

    core: Any
    renaming: Any
    answer: Any
    stream: Any
    _pool: Any


class _Threads(_Hands):
    def handle_request(self, request: Any) -> Any:
        if not _is_usual(request.extensions):
            return super().handle_request(request)  # type: ignore[misc]
        try:
            found = self._pool.handle_request(_handed(self.core, request))
        except Exception:
            with self.renaming():
                raise
        return self.answer(
            found.status, headers=found.headers, stream=self.stream(found.stream), extensions=found.extensions
        )


class _Tasks(_Hands):
    async def handle_async_request(self, request: Any) -> Any:
        if not _is_usual(request.extensions):
            return await super().handle_async_request(request)  # type: ignore[misc]
        try:
            found = await self._pool.handle_async_request(_handed(self.core, request))
        except Exception:
            with self.renaming():
                raise
        return self.answer(
            found.status, headers=found.headers, stream=self.stream(found.stream), extensions=found.extensions
        )


def _is_usual(extensions: Any) -> bool:
    return ALONE in extensions and "target" not in extensions  # for which httpcore makes another URL


def _handed(core: Any, request: Any) -> Any:
    """A request as httpcore takes it, without a look at what is in it."""
    made = core.Request.__new__(core.Request)
    place = made.url = core.URL.__new__(core.URL)
    url = request.url
    place.scheme, place.host, place.port, place.target = url.raw_scheme, url.raw_host, url.port, url.raw_path
    made.method = request.method.encode("ascii")
    made.headers = request.headers.raw
    made.stream = request.stream
    made.extensions = request.extensions
    return made


def _handing(kind: Any) -> type[Any] | None:
    package, handler = kind.__module__.partition(".")[0], handler_of(kind)
    if package not in _CORES or not is_native(handler, package):
        return None
    return _mixed(kind, package, handler)


@cache
def _mixed(kind: Any, package: str, handler: Any) -> type[Any] | None:
    names = handler.__globals__
    library, core = sys.modules[package], sys.modules[_CORES[package]]
    needed = {"map_httpcore_exceptions", _STREAMS[kind.__name__]}
    if not needed <= names.keys() or not _is_known(library, core):
        return None
    members = {
        "core": core,
        "renaming": staticmethod(names["map_httpcore_exceptions"]),
        "answer": library.Response,
        "stream": names[_STREAMS[kind.__name__]],
    }
    mixed = _Tasks if hasattr(kind, "handle_async_request") else _Threads
    return type(kind.__name__, (mixed, kind), members)


def _is_known(library: Any, core: Any) -> bool:
    """Whether it is what httpcore makes of a request itself."""
    request = library.Request("POST", "https://a.example:81/b?c=d", headers={"A": "b"}, json={}, extensions={"e": 1})
    url = request.url
    try:
        made = core.Request(
            request.method,
            core.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        handed = _handed(core, request)
        return {**vars(made), "url": vars(made.url)} == {**vars(handed), "url": vars(handed.url)}
    except (AttributeError, TypeError):  # it is made otherwise
        return False
