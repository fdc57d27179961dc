"""The cookies of the clients that we build: an answer is searched for them only if it brings some.

The library's own way builds a request and a response of `urllib` out of each exchange, only to find in most of them that
there is no such header: a twentieth of the time that a whole POST takes. httpx2 looks first, and so do these.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def spare(client: Any, module: Any) -> None:
    """Gives a client such cookies, unless its are of a kind that may know better."""
    if type(client.cookies) is module.Cookies:
        client._cookies = _sparing(module)(client.cookies)  # noqa: SLF001 (its public way would make the usual ones of them)


@cache
def _sparing(module: Any) -> Any:
    def extract_cookies(self: Any, response: Any) -> None:
        # Set-Cookie2 too, which counts for a policy that asks for it.
        for name, _ in response.headers.raw:
            if name[:10].lower() == b"set-cookie":
                usual.extract_cookies(self, response)
                return

    def __bool__(self: Any) -> bool:  # noqa: N807 - it is one
        # The library goes through all of them, which are mostly none.
        return bool(getattr(self.jar, "_cookies", True)) and bool(usual.__bool__(self))

    usual = module.Cookies
    return type("Cookies", (usual,), {"__module__": __name__, "extract_cookies": extract_cookies, "__bool__": __bool__})
