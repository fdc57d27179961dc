"""When silence proves that nothing was sent.

A request that passes through httpcore cannot leave without an event. So if there was no event at all, the request
never came so far: a request hook raised, or Ctrl-C came while it waited for a connection of the pool. That holds only
where nothing but the library's own code could have taken the request: mocks and foreign transports have no events,
and an authentication flow or a hook may send another request object, which is not followed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from samekey.http.pools import one_of

if TYPE_CHECKING:
    from samekey.http.library import Library


def silence_proves(library: Library[Any, Any], client: Any, request: Any, auth: Any, trace: object) -> bool:
    """Whether a request that left would have been seen by `trace`."""
    module = library.module
    transport = one_of(client._transport_for_url(request.url))  # noqa: SLF001 (there is no public way to it)
    auth = client.auth if auth is module.USE_CLIENT_DEFAULT else auth
    return (
        request.extensions.get("trace") is trace
        and (auth is None or isinstance(auth, tuple) or type(auth) in _plain_auths(module))
        and _is_native(type(client).send, library.name)
        and type(transport) in {module.HTTPTransport, module.AsyncHTTPTransport}
        and _is_native(_handler(transport), library.name)
        and _is_native(_handler(transport._pool), library.name.replace("httpx", "httpcore"))  # noqa: SLF001
    )


@cache
def _plain_auths(module: Any) -> tuple[type[Any], ...]:
    """Those of the library that send the request itself, and once; the first one stands for none at all."""
    return module.Auth, module.BasicAuth, module.NetRCAuth


def _handler(transport: Any) -> Any:
    return getattr(type(transport), "handle_async_request", None) or getattr(type(transport), "handle_request", None)


def _is_native(function: Any, package: str) -> bool:
    """Whether a method is still the one that its package has defined, and not a test's replacement."""
    code = getattr(function, "__code__", None)
    owner: str = getattr(function, "__globals__", {}).get("__name__", "")
    return code is not None and owner.partition(".")[0] == package
