"""Secrets out of foreign exceptions, so that ours can be raised `from` them."""

from __future__ import annotations

import sys
from typing import Any, Final

from samekey.http import urls
from samekey.http.responses import bare_request, stripped
from samekey.http.summary import chain

_STACK: Final = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "h11", "h2", "hpack"})
# These quote what they complain about: "Illegal header value b'Bearer …'".
_QUOTING: Final = frozenset({"LocalProtocolError", "InvalidURL", "ProtocolError"})


def scrub(error: BaseException) -> BaseException:
    """Clean an exception and all that led to it, in place, and return it.

    The HTTP stack's exceptions carry the request, with its credentials and its body, and some quote a header. Their
    requests are replaced by ones with method and URL only, and quotations are cut. Exceptions of other origin are left
    as they are. What could be pickled before still can.
    """
    for link in chain(error):
        if _root(link) in _STACK:
            _cut_quotation(link)
            _cut_request(link)
    return error


def _root(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _cut_quotation(error: BaseException) -> None:
    if type(error).__name__ not in _QUOTING:
        return
    error.args = tuple(_cut(arg) if isinstance(arg, (str, bytes, BaseException)) else arg for arg in error.args)


def _cut(arg: Any) -> str:
    """The words before what is quoted."""
    text = str(arg) if not isinstance(arg, bytes) else ""
    for mark in (" b'", ' b"', ": ", " '", ' "'):
        text = text.partition(mark)[0]
    return f"{text} (what was quoted here is left out)" if text != str(arg) else text


def _cut_request(error: Any) -> None:
    module: Any = sys.modules.get(_root(error))
    request = getattr(error, "_request", None)
    if request is None:
        return
    # HTTPStatusError quotes its URL.
    whole, shown = str(request.url), urls.shown(request.url)
    error.args = tuple(arg.replace(whole, shown) if isinstance(arg, str) else arg for arg in error.args)
    error._request = bare_request(module, request)  # noqa: SLF001 (`request` is a property over it)
    if getattr(error, "response", None) is not None:
        error.response = stripped(module, error.response)
