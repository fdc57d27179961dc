"""JSON as text and as bytes, by the shortest way through the standard library.

Its encoder builds another one for each text, and its decoder looks for an encoding and for blanks that are not there.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final


def encoder(*, ascii_only: bool, sort_keys: bool = False) -> Callable[[Any], str]:
    """A function that writes values as JSON without blanks. Not-a-number is a ValueError, as it is not JSON."""
    made = json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"), sort_keys=sort_keys)
    build = getattr(json.encoder, "c_make_encoder", None)
    if build is None:  # pragma: no cover - a Python whose json is not in C
        return made.encode
    quote = json.encoder.encode_basestring_ascii if ascii_only else json.encoder.encode_basestring
    # Without markers: an object that holds itself ends in a RecursionError instead.
    write = build(None, made.default, quote, None, ":", ",", sort_keys, False, False)

    def encode(value: Any) -> str:
        return "".join(write(value, 0))

    return encode


def decoder(*, texts_of_numbers: bool = False) -> Callable[[bytes], Any]:
    """A function like `json.loads` for bytes; if asked to, numbers are the texts that were sent."""
    made = json.JSONDecoder(parse_int=str, parse_float=str) if texts_of_numbers else json.JSONDecoder()

    def decode(data: bytes) -> Any:
        # An object or array in UTF-8: what has a zero here is in UTF-16 or longer.
        if data[:1] in _OPENING and data[1:2] != b"\0":
            text = data.decode("utf-8", "surrogatepass")
            value, end = made.raw_decode(text)
            return value if end == len(text) else made.decode(text)
        return made.decode(data.decode(json.detect_encoding(data), "surrogatepass"))

    return decode


class FlatJson(dict[str, str]):
    """Names and texts that will be written as JSON, which is made when it is first asked for. Not to be changed after that."""

    __slots__ = ("_made",)
    _made: str

    def __reduce__(self) -> tuple[type["FlatJson"], tuple[dict[str, str]]]:
        """Without the text."""
        return FlatJson, (dict(self),)

    def text(self) -> str:
        """The JSON."""
        try:
            return self._made
        except AttributeError:  # it is the first time
            self._made = flat_json(self)
            return self._made


# Of a flat text the general encoder would spend more time on its own construction than on it.


def flat_json(mapping: Mapping[str, str]) -> str:
    """Names and texts as JSON, ASCII alone."""
    text = '","'.join(map('":"'.join, mapping.items()))
    # Nothing to escape: no quotation mark but those just put in.
    if text.isascii() and text.isprintable() and "\\" not in text and text.count('"') == 4 * len(mapping) - 2:
        return f'{{"{text}"}}'
    return f"{{{','.join([f'{quoted(name)}:{quoted(text)}' for name, text in mapping.items()])}}}"


quoted: Final = json.encoder.encode_basestring_ascii
"""A text with its quotes. Escapes everything beyond ASCII, lone surrogates too, which a database would not take."""

_OPENING: Final = (b"{", b"[")
