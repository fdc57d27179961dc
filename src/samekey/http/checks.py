"""What is wrong with a call, told before anything is claimed or sent, and never by quoting a value."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from samekey.errors import UsageError

OPTIONS: Final = frozenset({
    "auth", "content", "cookies", "data", "extensions", "files", "fingerprint", "follow_redirects", "headers", "json",
    "params", "timeout",
})  # fmt: skip
"""What a verb takes: httpx's own options, and `fingerprint`."""

# RFC 9110 section 5: a token, and visible characters with blanks only between them. h11 insists on the same, but
# only when the connection is up, and quotes the value.
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"(?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?")
# For the happy path, which deletes what is allowed and looks at the rest: several times faster than matching.
_IN_TOKENS: Final = bytes(code for code in range(256) if _TOKEN.fullmatch(bytes([code])))
_IN_VALUES: Final = b" \t" + bytes(code for code in range(1, 256) if not bytes([code]).isspace())
_BLANK_ENDS: Final = (b"\0 ", b" \0", b"\0\t", b"\t\0")

TIMEOUTS: Final = ("pool", "connect", "write", "read")


def check_method(method: object) -> str:
    """The method in upper case."""
    if not isinstance(method, str) or not method.isascii() or not _TOKEN.fullmatch(method.encode()):
        raise UsageError("the HTTP method is not a word of ASCII letters; give one like 'POST'.")
    # The trace cannot tell a CONNECT of ours from the one that opens a proxy's tunnel.
    if method.upper() == "CONNECT":
        raise UsageError("CONNECT is for proxies; samekey does not send it.")
    return method.upper()


def check_options(options: Mapping[str, Any], *, asynchronous: bool) -> None:
    """Refuse options that nobody knows, that we cannot keep our word with, or that httpx would drop silently."""
    if "stream" in options:
        raise UsageError("stream= cannot be used: the answer is read whole, so that it can be stored.")
    for name in options:
        if name not in OPTIONS:
            near = get_close_matches(name, OPTIONS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(sorted(OPTIONS))}."
            raise UsageError(f"{name!r} is not an option of a write; {hint}")
    if options.get("follow_redirects"):
        raise UsageError(
            "a write never follows redirects: they would send it again, elsewhere; leave follow_redirects out."
        )
    _check_body(options, asynchronous=asynchronous)
    check_extensions(options.get("extensions"), asynchronous=asynchronous)
    fingerprint = options.get("fingerprint")
    if fingerprint is not None and not (isinstance(fingerprint, str) and fingerprint):
        raise UsageError("fingerprint= is not a str; give text that is the same whenever the body is the same.")


def _check_body(options: Mapping[str, Any], *, asynchronous: bool) -> None:
    content, data, json = options.get("content"), options.get("data"), options.get("json")
    given = [
        name
        for name, is_given in (
            ("content", content is not None),
            ("data or files", bool(data) or bool(options.get("files"))),
            ("json", json is not None),
        )
        if is_given
    ]
    if len(given) > 1:
        raise UsageError(f"a request has one body, and this one has {' and '.join(given)}; give one of them.")
    if data is not None and not isinstance(data, Mapping):
        raise UsageError("data= takes form fields; give raw bytes or text as content=.")
    if hasattr(content, "__aiter__") and not hasattr(content, "__iter__") and not asynchronous:
        raise UsageError("content= is an asynchronous stream, which needs samekey.AsyncClient.")


def check_extensions(extensions: Any, *, asynchronous: bool) -> None:
    """Refuse extensions that say something else than the request, or that cannot be called."""
    if extensions is None:
        return
    if not isinstance(extensions, Mapping):
        raise UsageError("extensions= is not a mapping.")
    if "target" in extensions:
        raise UsageError("extensions={'target': …} would send something else than the URL says; put it into the URL.")
    trace = extensions.get("trace")
    if trace is not None and inspect.iscoroutinefunction(trace) is not asynchronous:
        kind = "an 'async def'" if asynchronous else "a plain 'def'"
        raise UsageError(f"extensions={{'trace': …}} of this client must be {kind}.")


def check_headers(raw: list[tuple[bytes, bytes]]) -> None:
    """Refuse header fields that HTTP/1.1 cannot carry; the value, which may be a secret, is not quoted."""
    names = b"\0".join([name for name, _ in raw])
    values = b"\0".join([b"", *[value for _, value in raw], b""])
    between = b"\0" * (len(raw) + 1)
    if (
        names.translate(None, _IN_TOKENS) == between[2:]
        and values.translate(None, _IN_VALUES) == between
        and not any(ends in values for ends in _BLANK_ENDS)
        and all(name for name, _ in raw)
    ):
        return
    for name, value in raw:
        if not _TOKEN.fullmatch(name):
            raise UsageError("a header name has characters that HTTP does not allow.")
        if not _VALUE.fullmatch(value):
            raise UsageError(
                f"the header {name.decode('ascii').lower()!r} has a value that HTTP does not allow (a line break, "
                "a zero byte, or a blank at an end, as when a secret is read from a file); strip it."
            )


def bad_header(headers: Any) -> str:
    """Which of the caller's headers httpx could not take, in words."""
    items = headers.items() if isinstance(headers, Mapping) else headers
    try:
        for name, value in items:
            if not isinstance(value, (str, bytes)):
                return f"the header {name!r} is a {type(value).__name__}; give a str."
            if isinstance(value, str) and not value.isascii():
                return f"the header {name!r} has characters outside ASCII; encode them first."
    except (TypeError, ValueError):
        pass
    return "headers= is not a mapping of names to text."


def attempt_seconds(timeouts: Mapping[str, Any]) -> float:
    """The longest time that one attempt may take: the sum of its time-outs.

    Args:
        timeouts: as in `request.extensions["timeout"]` or `httpx.Timeout.as_dict()`.

    Raises:
        UsageError: one of them is missing, so that no lease could cover the attempt, or is not a time.
    """
    total = 0.0
    for name in TIMEOUTS:
        seconds = timeouts.get(name)
        if seconds is None:
            raise UsageError(
                f"the {name} time-out is None, and no lease covers a wait without end; give timeout= seconds."
            )
        if not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or seconds <= 0:
            raise UsageError(f"the {name} time-out is not a positive number of seconds.")
        total += seconds
    return total
