"""JSON as text and as bytes, by the shortest way through the standard library.

Its encoder builds another one for each text, and its decoder looks for an encoding and for blanks that are not there.
"""

import json
from collections.abc import Callable
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


_OPENING: Final = (b"{", b"[")
