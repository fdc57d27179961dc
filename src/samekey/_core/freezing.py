"""The frozen request as bytes: one line of JSON, a line feed, the exact body."""

import json
from typing import Final

from samekey._core.model import Frozen, Outgoing
from samekey.errors import StoreFormatError

MAX_FROZEN_BODY: Final = 1024 * 1024
"""Largest body that is frozen, in bytes."""

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def freeze(outgoing: Outgoing, *, keep_body: bool, digest: str) -> bytes:
    """Writes what later attempts send again. Credentials are not in `Outgoing.headers` and `url`, so not here."""
    head = _encode(
        {
            "v": 1,
            "method": outgoing.method,
            "url": outgoing.url,
            "headers": outgoing.headers,
            "body": digest,
            "kept": keep_body,
        }
    )
    return head.encode() + b"\n" + (outgoing.body or b"" if keep_body else b"")


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
        return Frozen(head["method"], head["url"], headers, body if head["kept"] else None, head["body"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreFormatError("a frozen request cannot be read; the store is damaged, nothing was sent.") from error
