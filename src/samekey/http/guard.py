"""Clients: the one we build, and what is wrong with one that is brought to us."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from samekey.errors import UsageError
from samekey.http import cookies, pools, short
from samekey.http.library import library_of

if TYPE_CHECKING:
    from samekey.http.library import Library

ClientT = TypeVar("ClientT")

KEEPALIVE_SECONDS: Final = 2.0
"""How long an idle connection is kept. httpx's 5 s is when uvicorn and Node close theirs: a request that meets the
close is lost without an answer (spikes, section a)."""

MAX_CONNECTIONS: Final = 100
READ_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 5.0


def check_client(client: object, *, asynchronous: bool = False) -> None:
    """Refuse a client that cannot keep our word.

    Raises:
        UsageError: it is closed, of the other kind, no HTTP client at all, or it retries by itself.
    """
    library = library_of(client)
    if isinstance(client, library.module.AsyncClient) is not asynchronous:
        if asynchronous:
            raise UsageError("http=: this client is synchronous; give an AsyncClient, or use samekey.Client.")
        raise UsageError("http=: this is an AsyncClient; give a synchronous client, or use samekey.AsyncClient.")
    native: Any = client
    if native.is_closed:
        raise UsageError("http=: this client is closed; give an open one, and close it after samekey's.")
    for transport in _transports(native):
        if getattr(type(transport), "makes_actions", False):
            raise UsageError(
                "http=: this client has a samekey.Transport, which makes actions of its own; give one without it, or use that "
                "client with samekey.action(...)."
            )
        retries = _retries(transport)
        if retries:
            raise UsageError(
                f"http=: this client retries by itself ({retries}), which samekey cannot see; build it without retries."
            )
    quiet(library)


def _transports(client: Any) -> Iterator[Any]:
    """All transports of a client, and what they wrap, each once."""
    mounts = getattr(client, "_mounts", None) or {}
    waiting = [getattr(client, "_transport", None), *mounts.values()]
    seen: set[int] = set()
    while waiting:
        transport = waiting.pop()
        if not _is_transport(transport) or id(transport) in seen:
            continue
        seen.add(id(transport))
        yield transport
        waiting += getattr(transport, "__dict__", {}).values()
        waiting += [getattr(transport, name, None) for name in getattr(type(transport), "__slots__", ())]


def _is_transport(thing: Any) -> bool:
    return hasattr(type(thing), "handle_request") or hasattr(type(thing), "handle_async_request")


def _retries(transport: Any) -> str:
    """How the transport retries, in words; "" if it does not, as far as one can see."""
    count = getattr(getattr(transport, "_pool", None), "_retries", 0)
    if isinstance(count, int) and count > 0:
        return f"retries={count}"
    for cls in type(transport).__mro__:
        if "retry" in cls.__name__.lower() or "retries" in cls.__name__.lower():
            return cls.__name__
    return ""


def build_client(
    library: Library[ClientT, Any],
    base_url: Any,
    timeout: Any = None,
    options: Mapping[str, Any] | None = None,
) -> ClientT:
    """The client below, where none was brought: httpx's own, with idle connections kept for a shorter time.

    Args:
        library: which library's.
        base_url: as in httpx.
        timeout: as in httpx; None for 30 s, and 5 s to connect.
        options: whatever else the library's client takes.

    Raises:
        UsageError: an option is unknown, or what was built may retry by itself.
    """
    module = library.module
    given = dict(options or {})
    asynchronous = issubclass(library.client, module.AsyncClient)
    if "limits" not in given:
        # httpx's own limits besides; but an action's connection is idle while its record is committed.
        given["limits"] = module.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS if asynchronous else 20,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )
    if not isinstance(given["limits"], module.Limits):
        raise UsageError(f"limits= is a {type(given['limits']).__name__}; give {library.name}.Limits(...).")
    many = asynchronous and pools.wanted(given)
    if many:
        context = {name: given[name] for name in ("verify", "cert", "trust_env") if name in given}
        given["verify"] = module.create_ssl_context(**context)  # once, and not for each pool
    if timeout is None:
        timeout = module.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    try:
        client = cast("Callable[..., ClientT]", library.client)(base_url=base_url, timeout=timeout, **given)
    except module.InvalidURL:
        raise UsageError("base_url= cannot be parsed.") from None
    except TypeError as error:
        raise UsageError(
            f"{library.name}.{library.client.__name__} cannot be built: {_unknown_option(error)}"
        ) from None
    if many:
        pools.spread(module, client, given)
    elif given.get("transport") is None:
        short.install(getattr(client, "_transport", None))
    check_client(client, asynchronous=asynchronous)
    if "cookies" not in given:
        cookies.spare(client, module)
    return client


def _unknown_option(error: TypeError) -> str:
    """Python's own words for an unknown option name it; any others may quote a value."""
    _, found, name = str(error).partition("unexpected keyword argument ")
    return f"it has no option {name}." if found else "one of its options has a wrong type."


# --- httpx's own log line ------------------------------------------------------------------------------------


class _WithoutQuery(logging.Filter):
    """Cuts the URL of httpx's INFO line at its query, and drops userinfo: both carry credentials."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_short(arg) if _is_url(arg) else arg for arg in record.args)
        return True


def _is_url(arg: object) -> bool:
    return type(arg).__name__ == "URL" and hasattr(arg, "userinfo")


def _short(url: Any) -> str:
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


class _WithoutQuotes(logging.Filter):
    """Cuts what httpcore's DEBUG lines quote: a header that h11 refused, and the cookies of an answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):
            record.msg = _QUOTING.sub(r"\1 (what was quoted here is left out)", record.msg)
        return True


_QUOTING: Final = re.compile(
    r"(\.failed exception=\w*ProtocolError|receive_response_headers\.complete return_value=).*", re.DOTALL
)
_CORE: Final = ("connection", "http11", "http2", "proxy", "socks")
"""Whose loggers httpcore has: a filter counts for its own logger only."""


def quiet(library: Library[Any, Any]) -> None:
    """Keep the log lines of the library from showing queries, userinfo and headers. Doing it twice does nothing."""
    core = library.name.replace("httpx", "httpcore")
    _add(library.name, _WithoutQuery)
    for part in _CORE:
        _add(f"{core}.{part}", _WithoutQuotes)


def _add(name: str, kind: type[logging.Filter]) -> None:
    logger = logging.getLogger(name)
    if not any(isinstance(known, kind) for known in logger.filters):
        logger.addFilter(kind())
