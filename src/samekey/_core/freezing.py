"""The frozen request as bytes: one line of JSON, a line feed, the exact body."""

import json
from functools import lru_cache
from typing import Final

from samekey._core.jsontext import encoder
from samekey._core.model import Frozen, Headers, Outgoing
from samekey.errors import StoreFormatError

MAX_FROZEN_BODY: Final = 1024 * 1024
"""Largest body that is frozen, in bytes."""

_encode = encoder(ascii_only=True)


def freeze(outgoing: Outgoing, *, keep_body: bool, digest: str, place: str) -> bytes:
    """Writes what later attempts send again. Credentials are not in `Outgoing.headers` and `url`, so not here."""
    head = _head(outgoing.method, outgoing.url, outgoing.headers, digest, keep_body, place)
    return head + (outgoing.body or b"") if keep_body else head


@lru_cache(maxsize=64)
def _head(method: str, url: str, headers: Headers, digest: str, kept: bool, place: str) -> bytes:  # noqa: FBT001
    head = {"v": 1, "method": method, "url": url, "headers": headers, "body": digest, "kept": kept, "key": place}
    return f"{_encode(head)}\n".encode()


def unfreeze(data: bytes) -> Frozen:
    """Reads a frozen request back.

    Raises:
        StoreFormatError: the bytes are not a frozen request this version knows.
    """
    line, _, body = data.partition(b"\n")
    try:
        head = json.loads(line)
        if head["v"] != 1:
            raise StoreFormatError(f"a frozen request has format {head['v']}, this samekey reads 1; upgrade samekey.")
        headers = tuple((str(name), str(value)) for name, value in head["headers"])
        return Frozen(head["method"], head["url"], headers, body if head["kept"] else None, head["body"], head["key"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreFormatError("a frozen request cannot be read; the store is damaged, nothing was sent.") from error
