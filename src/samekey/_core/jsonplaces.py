"""Where a value stands in a JSON text, so that one value is put in or taken out and no other byte changes."""

import json
from typing import Final

_SPACE: Final = " \t\n\r"
_decoder: Final = json.JSONDecoder()

UNREADABLE: Final = (ValueError, KeyError, IndexError, RecursionError)
"""What is raised over a text that is no JSON."""


def skip(text: str, at: int) -> int:
    """The next character that is no blank."""
    while text[at] in _SPACE:
        at += 1
    return at


def members(text: str, start: int, *, once: bool = False) -> dict[str, int]:
    """Where the values of an object's members begin; the last one of a repeated name, which is what parsers take.

    Raises:
        ValueError: no object begins at `start`, or it has one name twice and may have it `once`.
    """
    if text[start] != "{":
        raise ValueError("not an object")
    found: dict[str, int] = {}
    at = skip(text, start + 1)
    while text[at] != "}":
        name, at = _decoder.raw_decode(text, at)
        at = skip(text, skip(text, at) + 1)  # over the colon
        if once and name in found:
            raise ValueError("a name twice")
        found[name] = at
        _, at = _decoder.raw_decode(text, at)
        at = skip(text, at)
        if text[at] == ",":
            at = skip(text, at + 1)
    return found


def _items(text: str, start: int) -> list[int]:
    """Where the items of an array begin."""
    found: list[int] = []
    at = skip(text, start + 1)
    while text[at] != "]":
        found.append(at)
        _, at = _decoder.raw_decode(text, at)
        at = skip(text, at)
        if text[at] == ",":
            at = skip(text, at + 1)
    return found


def place_of(text: str, pointer: str) -> tuple[int, int] | None:
    """Start and end of the value at a JSON pointer; None if there is none.

    Raises:
        ValueError, IndexError, RecursionError: the text is no JSON, or an object on the way has one name twice.
    """
    at = skip(text, 0)
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if text[at] == "{":
            inside = members(text, at, once=True)
            if name not in inside:
                return None
            at = inside[name]
        elif text[at] == "[" and name.isascii() and name.isdecimal() and len(name) < 10:
            items = _items(text, at)
            if int(name) >= len(items):
                return None
            at = items[int(name)]
        else:
            return None
    _, end = _decoder.raw_decode(text, at)
    return at, end


def put(text: str, pointer: str, value: str) -> str | None:
    """The text with another value at a JSON pointer; None if there is none to replace.

    Raises:
        ValueError, IndexError, RecursionError: see `place_of`.
    """
    place = place_of(text, pointer)
    return None if place is None else f"{text[: place[0]]}{value}{text[place[1] :]}"


def blanked(body: bytes, pointers: tuple[str, ...]) -> bytes | None:
    """A JSON body with null in these places, as far as it has them; None if it cannot be read."""
    try:
        text = body.decode("utf-8")
        json.loads(text)
        for pointer in pointers:
            text = put(text, pointer, "null") or text
    except UNREADABLE:
        return None
    return text.encode()
