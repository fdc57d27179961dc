"""Who may talk to the desk: only a browser that was given its address, and only pages of the desk itself.

The page listens on 127.0.0.1, where every user and every program of the machine can reach it, and where any site that a
browser shows can make that browser send requests. Four things keep them out:

1. *A token in the path.* Each run draws 256 random bits; without them in front of the path there is nothing here (404),
   and they are compared in constant time. The token stays in every link and form instead of moving into a cookie,
   because cookies do not know ports: a cookie for 127.0.0.1 goes to every server there, also to another user's, and two
   desks would overwrite each other's. `Referrer-Policy: no-referrer` keeps the address from other sites, and it is
   worth nothing once the process has ended.
2. *The host.* A site whose name is rebound to 127.0.0.1 sends its own name as `Host`, and is refused (403).
3. *The origin.* What changes something must come from a page of this host. With `no-referrer` browsers send
   `Origin: null`; then `Sec-Fetch-Site: same-origin`, which no page can forge, has to say so (403).
4. *A form token*, in `forms`: made for one action in one version, so that a decision fits what was shown.

No response may be stored, framed, or load or run anything: the policy permits one style sheet by its hash, and no script.
"""

from __future__ import annotations

from secrets import compare_digest
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_READING: Final = frozenset({"GET", "HEAD"})

_NOT_HERE: Final = "Nothing is here. Use the whole address that 'samekey review --web' printed.\n"
_FOREIGN_HOST: Final = "Refused: this is not the address that 'samekey review --web' printed.\n"
_FOREIGN_ORIGIN: Final = "Refused: nothing was decided, because the request did not come from a page of this desk.\n"


class Guard:
    """Lets through to `app` what is meant for it, and puts the headers on every response.

    Args:
        app: the desk.
        token: what the path must begin with.
        hosts: what `Host` may be, with the port.
        style_hash: the hash of the one style sheet, as a content security policy names it.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Collection[str], style_hash: str) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(hosts)
        self._headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                f"default-src 'none'; style-src '{style_hash}'; img-src data:; form-action 'self'; base-uri 'none'; "
                f"frame-ancestors 'none'"
            ),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, guarded)
            return
        await self._app({**scope, "root_path": f"/{self._token.decode()}"}, receive, guarded)

    def _refused(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return PlainTextResponse(_FOREIGN_HOST, 403)
        if not compare_digest(scope["path"].removeprefix("/").partition("/")[0].encode(), self._token):
            return PlainTextResponse(_NOT_HERE, 404)
        if scope["method"] not in _READING and not self._is_ours(headers, hosts[0]):
            return PlainTextResponse(_FOREIGN_ORIGIN, 403)
        return None

    def _is_ours(self, headers: Headers, host: str) -> bool:
        origin, site = headers.get("origin", "null"), headers.get("sec-fetch-site")
        if origin == "null":
            return site == "same-origin"
        return origin == f"http://{host}" and site in {None, "same-origin"}
