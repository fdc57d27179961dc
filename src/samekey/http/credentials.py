"""What authenticates a request, as far as it can be known before it is sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from samekey._core.model import Headers
    from samekey.http.library import Library

# Not Cookie, which changes with every session, and not Proxy-Authorization, which is no account at the API.
_NAMES: Final = frozenset({"authorization", "x-api-key", "api-key", "x-auth-token"})
_PARAMS: Final = frozenset({"api_key", "apikey", "api-key"})

# A JSON web token (RFC 7519): header, payload and signature. It is renewed every few minutes, for the same account.
_JWT: Final = re.compile(r"(?:\S+\s+)?[\w-]+\.[\w-]+\.[\w-]*")


def credentials_of(library: Library[Any, Any], client: Any, request: Any, headers: Headers, auth: Any) -> Headers:
    """The header fields that name the account, to be digested and forgotten.

    Tokens that rotate are left out, and so is what only an authentication flow knows that has to ask a server.
    """
    found = {name: value for name, value in headers if name in _NAMES}
    resolved = _resolved(library, client, request, auth)
    if resolved is not None:
        found["authorization"] = resolved
    for name in ("authorization", "x-auth-token"):
        if _JWT.fullmatch(found.get(name, "")):
            del found[name]
    for key, value in client.params.items():
        if key.lower() in _PARAMS:
            found[f"?{key}"] = value
    return tuple(found.items())


def _resolved(library: Library[Any, Any], client: Any, request: Any, auth: Any) -> str | None:
    """The Authorization header that `auth` will set, if that can be told without asking a server."""
    module: Any = library.module
    if auth is module.USE_CLIENT_DEFAULT:
        auth = client.auth
        if auth is None and request.url.userinfo:
            auth = (request.url.username, request.url.password)
    if isinstance(auth, tuple):
        auth = module.BasicAuth(*auth)
    # By exact type: a subclass may do anything.
    if type(auth) not in (module.BasicAuth, module.NetRCAuth):
        return None
    probe = module.Request("GET", request.url)
    flow: Any = auth
    next(flow.sync_auth_flow(probe))
    value = probe.headers.get("authorization")
    return value if isinstance(value, str) else None
