"""When silence proves that nothing was sent.

A request that passes through httpcore cannot leave without an event. So if there was no event at all, the request
never came so far: a request hook raised, or Ctrl-C came while it waited for a connection of the pool. That holds only
where nothing but the library's own code could have taken the request: mocks and foreign transports have no events,
and an authentication flow or a hook may send another request object, which is not followed.
"""

from __future__ import annotations

from functools import cache
from operator import is_
from typing import TYPE_CHECKING, Any, Final

from samekey.http.handing import kind_below
from samekey.http.native import handler_of, is_native
from samekey.http.pools import one_of
from samekey.http.short import handler_below

if TYPE_CHECKING:
    from samekey.http.library import Library


def silence_proves(library: Library[Any, Any], client: Any, request: Any, auth: Any, trace: object) -> bool:
    """Whether a request that left would have been seen by `trace`."""
    module = library.module
    chosen = client._transport_for_url(request.url)  # noqa: SLF001 (there is no public way to it)
    transport = one_of(chosen)
    kind = kind_below(type(transport))
    auth = client.auth if auth is module.USE_CLIENT_DEFAULT else auth
    return (
        request.extensions.get("trace") is trace
        and (auth is None or isinstance(auth, tuple) or type(auth) in _plain_auths(module))
        and kind in {module.HTTPTransport, module.AsyncHTTPTransport}
        and _SENDING.isdisjoint(vars(client))
        and _HANDLING.isdisjoint(vars(chosen))
        and _HANDLING.isdisjoint(vars(transport))
        and _HANDLING.isdisjoint(vars(transport._pool))  # noqa: SLF001
        and _are_native(library.name, type(client), kind, type(transport._pool))  # noqa: SLF001
    )


_SENDING: Final = frozenset({"send", "_send_single_request"})
_HANDLING: Final = frozenset({"handle_request", "handle_async_request"})


@cache
def _plain_auths(module: Any) -> tuple[type[Any], ...]:
    """Those of the library that send the request itself, and once; the first one stands for none at all."""
    return module.Auth, module.BasicAuth, module.NetRCAuth


_native: Final[dict[tuple[Any, ...], tuple[Any, ...]]] = {}


def _are_native(package: str, client: Any, transport: Any, pool: Any) -> bool:
    """Whether what sends and handles requests is still the packages' own, in these classes and in all places before them."""
    found = client.send, client._send_single_request, handler_of(transport), handler_below(pool)  # noqa: SLF001
    if all(map(is_, found, _native.get((client, transport, pool), _UNKNOWN))):
        return True  # what they were they are
    *own, lowest = found
    are = all(is_native(each, package) for each in own) and is_native(lowest, package.replace("httpx", "httpcore"))
    if are:
        _native[client, transport, pool] = found
    return are


_UNKNOWN: Final = (object(),)
