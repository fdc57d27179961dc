"""Reads replies: bounded, JSON only, never raising."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from samekey._core.jsonplaces import blanked
from samekey._core.jsontext import decoder
from samekey._core.model import Headers, Record, Reply, Result

MAX_READ: Final = 256 * 1024
"""Largest body that is searched for a code, in bytes."""
MAX_KEPT: Final = 256 * 1024
"""Largest body that is stored with a result, in bytes."""

MAX_KEPT_HEADER: Final = 8192
"""Longest header value that is stored, in characters: what servers themselves take in a line."""

MAX_REFERENCE: Final = 4096
"""Longest reference, in characters: longer than any object's id or URL."""

KEPT_HEADERS: Final = frozenset(
    {
        "content-language", "content-location", "content-type", "date", "etag", "last-modified", "location",
        "retry-after", "retry-after-ms",
        # what a vendor's support asks for
        "cf-ray", "request-id", "x-amz-request-id", "x-amzn-requestid", "x-correlation-id", "x-request-id", "x-trace-id",
        # markers of a replayed answer, and hints
        "idempotency-replayed", "idempotent-replayed", "repeatability-result", "stripe-should-retry",
        "x-idempotency-lookup", "x-idempotent-replayed", "x-should-retry",
    }
)  # fmt: skip
"""Response headers that are stored: what names or dates the result; never a cookie."""

MISSING: Final = object()
_decode = decoder(texts_of_numbers=True)
_XML_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,128})</Code>")
_KEY_WORD: Final = re.compile(rb"idempoten", re.IGNORECASE)
_RUNNING_WORD: Final = re.compile(rb"in[ _-]?progress|being processed|already (?:running|processing)", re.IGNORECASE)
_NO_KEY_WORD: Final = re.compile(rb"\b(?:missing|required)\b", re.IGNORECASE)
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")


def parse_json(reply: Reply) -> Any:
    """The body's JSON value, its numbers as their digits were sent, or `MISSING`. Parsed once for each reply."""
    if not reply.parsed:
        try:
            reply.parsed.append(_decode(reply.body))
        except (ValueError, RecursionError):
            reply.parsed.append(MISSING)
    return reply.parsed[0]


@lru_cache(maxsize=64)
def is_json(content_type: str | None) -> bool:
    """Whether a media type is JSON."""
    media = (content_type or "").partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")


@lru_cache(maxsize=64)
def is_html(content_type: str | None) -> bool:
    """Whether a media type is a web page."""
    media = (content_type or "").partition(";")[0].strip().lower()
    return media in {"text/html", "application/xhtml+xml"}


def has_code(reply: Reply, code_at: str, code: str | None) -> bool:
    """Whether a JSON body has `code` (any value for None) at the dotted path `code_at`."""
    if len(reply.body) > MAX_READ:
        return False
    value = parse_json(reply)
    return any(code is None or str(found) == code for found in _at(value, code_at.split(".")))


def speaks_of_keys(reply: Reply) -> bool:
    """Whether a refusal is about the idempotency key that it was sent with, and not about one that it did not find.

    No API's words for this are known where nobody has declared them; that they name idempotency is what they have in common.
    """
    body = reply.body[:MAX_READ]
    return _KEY_WORD.search(body) is not None and _NO_KEY_WORD.search(body) is None


def speaks_of_running(reply: Reply) -> bool:
    """Whether a refusal says that such a request is being executed, in words that servers use which do not name the key."""
    return _RUNNING_WORD.search(reply.body[:MAX_READ]) is not None


def text_at(reply: Reply, where: str) -> str | None:
    """The first text at a dotted path of a JSON body."""
    if len(reply.body) > MAX_READ:
        return None
    found = next((each for each in _at(parse_json(reply), where.split(".")) if isinstance(each, str)), None)
    return found if found and len(found) <= MAX_REFERENCE and found.isprintable() else None


def has_aws_code(reply: Reply, code: str | None) -> bool:
    """Whether an error of AWS has `code`: in its header, in the `__type` of JSON, or in the `Code` of XML."""
    kind = (reply.header("x-amzn-errortype") or "").partition(":")[0]
    if not kind and len(reply.body) <= MAX_READ:
        xml = _XML_CODE.search(reply.body)
        value = None if xml else parse_json(reply)
        kind = xml[1].decode("ascii") if xml else str(value.get("__type", "")) if isinstance(value, dict) else ""
    return kind.rpartition("#")[2] == code


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield value
        return
    head, rest = path[0], path[1:]
    if isinstance(value, list):
        chosen = value if head == "*" else value[int(head) : int(head) + 1] if head.isdecimal() else []
        for item in chosen:
            yield from _at(item, rest)
    elif isinstance(value, dict):
        for item in value.values() if head == "*" else [value[head]] if head in value else []:
            yield from _at(item, rest)


def reference_of(reply: Reply, where: str | None) -> str | None:
    """The object's id in a reply: a JSON pointer (`/id`) or `header:Location`. None where it is not to be had.

    Numbers keep their digits as they were sent.
    """
    if where is None:
        return None
    if where.startswith("header:"):
        value: Any = reply.header(where.removeprefix("header:").strip().lower())
    else:
        value = _pointed_at(parse_json(reply), where)
    if not isinstance(value, str) or not value or len(value) > MAX_REFERENCE:
        return None
    # Half of a surrogate pair is legal in JSON, and cannot be stored.
    return value if value.isascii() or value == value.encode("utf-8", "replace").decode() else None


def with_reference(record: Record, where: str | None, reply: Reply | None) -> Record:
    """The record with the object's id, also where the store could not write it down.

    Or where whoever settled it did not know the operation (`recover()` by a client without it).
    """
    if record.response_reference is not None:
        return record
    if reply is None and record.response_status is not None:
        reply = Reply(record.response_status, record.response_headers, record.response_body or b"")
    return record if reply is None else replace(record, response_reference=reference_of(reply, where))


def _pointed_at(value: Any, pointer: str) -> Any:
    for part in _parts(pointer):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and _INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


@lru_cache(maxsize=256)
def _parts(pointer: str) -> tuple[str, ...]:
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def result_of(reply: Reply, reference: str | None, *, whole: bool) -> Result:
    """The part of a reply that is stored."""
    headers: Headers = (
        tuple([pair for pair in reply.headers if pair[0] in KEPT_HEADERS and len(pair[1]) <= MAX_KEPT_HEADER])
        if whole
        else ()
    )
    kept = not reply.body or (whole and len(reply.body) <= MAX_KEPT)
    return Result(reply.status, headers, reply.body if kept else None, reference)


def withheld(result: Result, secret: tuple[str, ...]) -> Result:
    """The result without what a contract keeps out of the store: JSON pointers, and headers as `header:Location`."""
    if not secret:
        return result
    named = {where.removeprefix("header:").strip().lower() for where in secret if where.startswith("header:")}
    pointers = tuple([where for where in secret if where.startswith("/")])
    body = result.body
    if body and pointers:
        # What cannot be read cannot be searched either, so nothing of it is kept.
        body = blanked(body, pointers)
    return Result(
        result.status, tuple([pair for pair in result.headers if pair[0] not in named]), body, result.reference
    )
