"""A header field at the end of a request's, without the two looks through all of them that the library's own way takes."""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import Any


def put_last(headers: Any, name: str, value: str) -> None:
    """Puts a field behind all others, in place of those of its name, so that no byte differs from one send to the next.

    Args:
        headers: the library's own.
        name: in ASCII.
        value: in ASCII.
    """
    kind: Any = type(headers)
    if not _is_known(kind):
        if name in headers:
            del headers[name]
        headers[name] = value
        return
    entries, lower = headers._list, name.lower().encode()  # noqa: SLF001 (there is no public way to it)
    if lower in map(_lower, entries):
        entries[:] = [entry for entry in entries if entry[1] != lower]
    entries.append((name.encode(), lower, value.encode()))


_lower = itemgetter(1)


@cache
def _is_known(kind: Any) -> bool:
    """Whether such headers keep their fields as we know it: as spelled, in lower case, and the value."""
    return getattr(kind([(b"X-A", b"b")]), "_list", None) == [(b"X-A", b"x-a", b"b")]
