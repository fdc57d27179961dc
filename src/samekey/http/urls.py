"""URLs as facts: where a request goes, what may be stored of that, what may be shown."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from samekey.errors import UsageError

if TYPE_CHECKING:
    from samekey.http.library import Library

_PORTS = {"http": 80, "https": 443}


def check_url(url: Any) -> None:
    """Refuse a URL that no request can be sent to."""
    if url.scheme not in _PORTS:
        given = f"has the scheme {url.scheme!r}" if url.scheme else "has no scheme"
        raise UsageError(f"the URL {given}; give one that starts with https:// or http://, or a base_url=.")
    if not url.host:
        raise UsageError("the URL has no host; give a whole URL, or a base_url=.")


def origin_of(url: Any) -> str:
    """`scheme://host:port`, the port always present."""
    host = url.raw_host.decode("ascii")
    port = url.port or _PORTS[url.scheme]
    return f"{url.scheme}://[{host}]:{port}" if ":" in host else f"{url.scheme}://{host}:{port}"


def bare(url: Any) -> Any:
    """The URL without userinfo and fragment, neither of which is part of what the API is asked."""
    if url.userinfo or url.fragment:
        return url.copy_with(userinfo=b"", fragment=None)
    return url


def shown(url: Any) -> str:
    """The URL for people: no userinfo, no fragment, query values replaced by short digests."""
    url = bare(url)
    if not url.query:
        return str(url)
    items = url.query.decode("ascii").split("&")
    return str(url.copy_with(query="&".join(map(_shown_item, items)).encode("ascii")))


def _shown_item(item: str) -> str:
    name, equals, value = item.partition("=")
    # Without "=" the whole item may be a token.
    return f"{name}={_digest(value)}" if equals else _digest(item)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8] if text else ""


def without_defaults(library: Library[Any, Any], client: Any, url: Any, params: Any) -> Any:
    """`url` minus the parameters that the client itself adds to every request.

    Those are often credentials. Where the caller's own `params` name the same key, the value is the caller's.
    """
    defaults = client.params
    if not defaults:
        return url
    own = library.module.QueryParams(params)
    added = {key for key in defaults if key not in own}
    left = [(key, value) for key, value in url.params.multi_items() if key not in added]
    return url.copy_with(params=left)


def with_defaults(library: Library[Any, Any], client: Any, url: Any) -> Any:
    """`url` plus the client's parameters of today; undoes `without_defaults`, order included."""
    if not client.params:
        return url
    merged = library.module.QueryParams(client.params).merge(url.params)
    return url.copy_with(params=merged)


def with_userinfo_of(url: Any, other: Any) -> Any:
    """`url` with the user and password of `other`, if both name the same origin."""
    if not other.userinfo or other.scheme not in _PORTS or origin_of(other) != origin_of(url):
        return url
    return url.copy_with(userinfo=other.userinfo)
