"""JSON as text, written by an encoder that is built once: the standard library's builds one for each text."""

import json
from collections.abc import Callable
from typing import Any


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
