"""The code in an error's body: where it is, and how it reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from samekey._core.reading import MAX_READ, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samekey._core.model import Reply

_NAMES: Final = ("code", "error_code", "errorCode", "reason", "issue", "type", "name", "error")
"""What APIs call the member that has the code, the most telling first."""
_DEEPEST: Final = 6
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{1,63}")


def code_of(reply: Reply) -> tuple[str, str] | None:
    """Where an answer has a code that a profile could recognise it by, as a dotted path, and the code."""
    if len(reply.body) > MAX_READ:
        return None
    found = [
        (_NAMES.index(path[-1]), len(path), ".".join(path), value)
        for path, value in _leaves(parse_json(reply), ())
        if path and path[-1] in _NAMES and isinstance(value, str) and _CODE.fullmatch(value)
    ]
    return min(found)[2:] if found else None


def path_of(reply: Reply, text: str) -> str | None:
    """Where an answer has `text`, as a dotted path."""
    if len(reply.body) > MAX_READ:
        return None
    return next((".".join(path) for path, value in _leaves(parse_json(reply), ()) if path and value == text), None)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if len(path) > _DEEPEST:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if "." not in name and name:
                yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, (*path, "*"))
    else:
        yield path, value
