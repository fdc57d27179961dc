"""The frozen request as bytes: one line of JSON, a line feed, the exact body."""

import json
from functools import lru_cache
from typing import Any, Final

from samekey._core.jsontext import encoder
from samekey._core.model import Frozen, Headers, Outgoing
from samekey._core.sealing import MARK, locked
from samekey.errors import StoreFormatError

MAX_FROZEN_BODY: Final = 1024 * 1024
"""Largest body that is frozen, in bytes."""

_encode = encoder(ascii_only=True)


def freeze(outgoing: Outgoing, *, keep_body: bool, digest: str, place: str) -> bytes:
    """Writes what later attempts send again. Credentials are not in `Outgoing.headers` and `url`, so not here."""
    secret = (outgoing.secret_query, outgoing.secret_body)
    head = _head(outgoing.method, outgoing.url, outgoing.headers, digest, keep_body, place, secret)
    return head + (outgoing.body or b"") if keep_body else head


@lru_cache(maxsize=64)
def _head(
    method: str,
    url: str,
    headers: Headers,
    digest: str,
    kept: bool,  # noqa: FBT001 - `lru_cache` is at its fastest without names
    place: str,
    secret: tuple[tuple[str, ...], tuple[str, ...]],
) -> bytes:
    head: dict[str, Any] = {
        "v": 1,
        "method": method,
        "url": url,
        "headers": headers,
        "body": digest,
        "kept": kept,
        "key": place,
    }
    if any(secret):
        head["secret"] = secret
    return f"{_encode(head)}\n".encode()


def unfreeze(data: bytes) -> Frozen:
    """Reads a frozen request back.

    Raises:
        StoreFormatError: the bytes are not a frozen request this version knows.
    """
    if data.startswith(MARK):
        raise locked("the frozen request", data[len(MARK) :].partition(b":")[0].decode("ascii", "replace"))
    line, _, body = data.partition(b"\n")
    try:
        head = json.loads(line)
        if head["v"] != 1:
            raise StoreFormatError(f"a frozen request has format {head['v']}, this samekey reads 1; upgrade samekey.")
        headers = tuple((str(name), str(value)) for name, value in head["headers"])
        query, pointers = head.get("secret", ((), ()))
        return Frozen(
            method=str(head["method"]),
            url=str(head["url"]),
            headers=headers,
            body=body if head["kept"] else None,
            body_digest=str(head["body"]),
            place=str(head["key"]),
            secret_query=tuple(map(str, query)),
            secret_body=tuple(map(str, pointers)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreFormatError("a frozen request cannot be read; the store is damaged, nothing was sent.") from error
