"""httpx and httpx2 behind one value, so that there is one adapter and not a copy for each.

The two have the same names and no common ancestor, and `httpx2.alias_httpx()` can even make `import httpx` *be*
httpx2. So the library is always taken from the objects at hand, never from which import succeeded. httpx2 is not
imported here: a caller who brings a client of it has imported it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

import httpx

from samekey.errors import UsageError

if TYPE_CHECKING:
    import httpx2

ClientT = TypeVar("ClientT")
ResponseT = TypeVar("ResponseT")


@dataclass(frozen=True, slots=True)
class Library(Generic[ClientT, ResponseT]):
    """One of the two HTTP libraries.

    Attributes:
        name: `httpx` or `httpx2`; also the name of its logger.
        client: the class of its synchronous (or asynchronous) clients.
        response: the class of its responses.
        module: its namespace; all other names are equal in both.
    """

    name: str
    client: type[ClientT] = field(repr=False)
    response: type[ResponseT] = field(repr=False)
    module: Any = field(repr=False)


HTTPX: Final = Library(httpx.__name__, httpx.Client, httpx.Response, httpx)
"""The library of the clients that we build ourselves."""

HTTPX_ASYNC: Final = Library(httpx.__name__, httpx.AsyncClient, httpx.Response, httpx)
"""The same for event loops."""


@overload
def library_of(client: httpx.Client) -> Library[httpx.Client, httpx.Response]: ...
@overload
def library_of(client: httpx2.Client) -> Library[httpx2.Client, httpx2.Response]: ...
@overload
def library_of(client: httpx.AsyncClient) -> Library[httpx.AsyncClient, httpx.Response]: ...
@overload
def library_of(client: httpx2.AsyncClient) -> Library[httpx2.AsyncClient, httpx2.Response]: ...
@overload
def library_of(client: object) -> Library[Any, Any]: ...
def library_of(client: object) -> Library[Any, Any]:
    """The library that a client belongs to.

    Raises:
        UsageError: it is a client of neither.
    """
    found = _of_class(type(client))
    if found is not None:
        return found
    raise UsageError(
        f"http=: a {type(client).__qualname__} is not an HTTP client; give an httpx.Client or an httpx2.Client."
    )


def library_of_class(kind: type[Any], *, asynchronous: bool) -> Library[Any, Any]:
    """The library whose clients a class makes.

    Raises:
        UsageError: it makes none, others, or ones of the other kind.
    """
    found = _of_class(kind)
    wanted = "AsyncClient" if asynchronous else "Client"
    if found is None or found.client is not kind or kind.__name__ != wanted:
        raise UsageError(
            f"http=: {kind.__module__}.{kind.__qualname__} is not a class to make the client of; give httpx.{wanted} or "
            f"httpx2.{wanted}, or an object."
        )
    return found


def _of_class(kind: type[Any]) -> Library[Any, Any] | None:
    for cls in kind.__mro__:
        module = sys.modules.get(cls.__module__.partition(".")[0])
        if module is not None and module.__name__ in {"httpx", "httpx2"}:
            if issubclass(kind, module.AsyncClient):
                return _library(module, module.AsyncClient)
            if issubclass(kind, module.Client):
                return _library(module, module.Client)
    return None


def library_named(name: str, *, asynchronous: bool = False) -> Library[Any, Any]:
    """The library of a name that has been imported, with its synchronous or asynchronous client."""
    module: Any = sys.modules[name]
    return _library(module, module.AsyncClient if asynchronous else module.Client)


@cache
def _library(module: Any, client: type[Any]) -> Library[Any, Any]:
    return Library(module.__name__, client, module.Response, module)
