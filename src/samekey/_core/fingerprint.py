"""What makes two requests "the same data".

The fingerprint is a keyed digest of method, URL and body. The body is taken by what it means: JSON parsed and dumped
with sorted keys, a form as its fields, a multipart body as its parts (the boundary does not count), anything else as
its bytes. Volatile fields are left out. Beside it goes one short keyed digest per field, so that a difference can be
named although the data itself was not kept.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from urllib.parse import parse_qsl

from samekey._core.jsontext import FlatJson, decoder, encoder
from samekey._core.keys import mac
from samekey._core.model import Outgoing
from samekey._core.reading import is_json
from samekey._core.values import fixed

SCHEME: Final = "1"
"""Version of the scheme, the fingerprint's prefix: a later samekey compares an old record by its own scheme."""

MAX_FIELDS: Final = 64
"""Fields that get a digest of their own; the rest is covered by the fingerprint alone."""

MAX_DEPTH: Final = 100
"""Deepest JSON that is taken by its meaning. Fixed, so that the same body is read alike from any depth of the stack."""

_REMEMBERED: Final = 1024
_SHORT: Final = 4096
"""Of bodies up to this length, the fields are remembered with their digests: a script's requests have most of them in common."""


Digester = Callable[[str], str]
"""The keyed digest of a text, in hex."""

_dump = encoder(ascii_only=True, sort_keys=True)
_compact = encoder(ascii_only=False)
_parse = decoder()
_FULL: Final = MAX_FIELDS + 2  # "method" and "url" come on top
_BOUNDARY = re.compile(r"""boundary\s*=\s*(?:"([^"]+)"|([^\s;]+))""", re.IGNORECASE)
_PART_NAME = re.compile(rb"""[;\s]name="([^"]*)\"""", re.IGNORECASE)
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


class _RepeatedNameError(ValueError):
    """A JSON object has one name twice, so its parsed form would hide a field."""


@fixed
class Content:
    """A body by its meaning.

    Attributes:
        kind: "json", "form", "multipart", "raw" or "given".
        value: the parsed JSON, a list of (name, value), or bytes.
        text: the canonical text of a JSON value, volatile fields included.
    """

    kind: str
    value: Any = field(repr=False)
    text: str = field(default="", repr=False)


class Fingerprint:
    """The digest of a request and of its fields.

    Attributes:
        digest: scheme, colon, 32 hex digits.
    """

    __slots__ = ("_fields", "_kind", "_request", "_secret", "_value", "digest")

    def __init__(self, digest: str, secret: bytes, request: Outgoing, kind: str, value: Any) -> None:
        self.digest: str = digest
        self._secret = secret
        self._request = request
        self._kind = kind
        self._value = value
        self._fields: FlatJson | None = None

    def __repr__(self) -> str:
        """The digest alone."""
        return f"Fingerprint({self.digest!r})"

    def __eq__(self, other: object) -> bool:
        """Equal digests, of the whole and of the fields."""
        return isinstance(other, Fingerprint) and self.digest == other.digest and self.fields == other.fields

    def __hash__(self) -> int:
        """By the digest."""
        return hash(self.digest)

    @property
    def fields(self) -> FlatJson:
        """JSON pointers, "method" and "url" → 8-byte digests in hex. Made when first asked for: few need them."""
        if self._fields is None:
            self._fields = _fields(self._secret, self._request, self._kind, self._value)
            self._value = None
        return self._fields


def read_content(request: Outgoing) -> Content:
    """Reads a body by its content type; what does not parse counts by its bytes."""
    if request.fingerprint is not None:
        return Content("given", request.fingerprint)
    body = request.body or b""
    if is_json(request.content_type):
        return _json(body)
    media = request.content_type.partition(";")[0].strip().lower()
    if media == "application/x-www-form-urlencoded":
        return _form(body)
    if media.startswith("multipart/"):
        return _multipart(body, request.content_type)
    return Content("raw", body)


def fingerprint(secret: bytes, request: Outgoing, content: Content, volatile: Iterable[str] = ()) -> Fingerprint:
    """Digests a request without its volatile fields."""
    value, pointers = content.value, tuple(volatile)
    if content.kind == "json":
        value = _without(value, pointers) if pointers else value
        text = (_dump(value) if pointers else content.text).encode()
    elif content.kind in {"form", "multipart"}:
        value = [pair for pair in value if pointer_of(pair[0]) not in pointers]
        text = _dump(value).encode()
    else:
        text = value if isinstance(value, bytes) else str(value).encode()
    head = f"fingerprint\0{request.method}\n{request.url}\n{content.kind}\n".encode()
    digest = mac(secret, head + text)[:16].hex()
    return Fingerprint(f"{SCHEME}:{digest}", secret, request, content.kind, value)


def _fields(secret: bytes, request: Outgoing, kind: str, value: Any) -> FlatJson:
    fields = FlatJson(_head_fields(secret, request.method, request.url))
    if kind == "json":
        short = len(request.body or b"") <= _SHORT
        _json_fields("", value, (_remembering if short else _digester)(secret), fields)
        return fields if len(fields) <= _FULL else FlatJson(islice(fields.items(), _FULL))
    if kind in {"form", "multipart"}:
        _form_fields(value, _digester(secret), fields)
    return fields


@lru_cache(maxsize=64)
def _head_fields(secret: bytes, method: str, url: str) -> dict[str, str]:
    digest = _digester(secret)
    return {"method": digest(method), "url": digest(url)}


def changed_fields(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """The fields that differ between two requests, or ("body",) if the difference lies beyond the digests."""
    every = (*before, *(name for name in now if name not in before))
    differing = [name for name in every if before.get(name) != now.get(name)]
    # A full list may have been cut: what is missing from it need not be missing from the body.
    sure = [name for name in differing if all(name in fields or len(fields) < _FULL for fields in (before, now))]
    return tuple(name or "body" for name in sure) or ("body",)


def body_digest(secret: bytes, body: bytes | None) -> str:
    """Keyed digest of exact bytes; "" for a stream."""
    return "" if body is None else mac(secret, b"body\0" + body)[:16].hex()


def pointer_of(*names: object) -> str:
    """A JSON pointer (RFC 6901) to nested names."""
    return "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


@lru_cache(maxsize=8)
def _digester(secret: bytes) -> Digester:
    key = hashlib.blake2b(secret, digest_size=32, person=b"samekey-fields").digest()
    keyed = hashlib.blake2b(key=key, digest_size=8)
    keyed.update(b"\0")  # the block of the key is done now, once for all fields

    def digest(text: str) -> str:
        copy = keyed.copy()
        copy.update(text.encode("utf-8", "surrogatepass"))
        return copy.hexdigest()

    return digest


@lru_cache(maxsize=8)
def _remembering(secret: bytes) -> Digester:
    return lru_cache(maxsize=_REMEMBERED)(_digester(secret))


def volatile_looking(content: Content, pointers: Iterable[str]) -> list[str]:
    """Those of the fields whose value looks like a time or a random id: perhaps they differ on every run."""
    if content.kind == "json":
        texts = {pointer: str(value) for pointer in pointers for value in _at(content.value, pointer)}
    elif content.kind == "form":
        texts = {pointer_of(name): text for name, text in content.value}
    else:
        texts = {}
    found = {pointer: texts.get(pointer, "") for pointer in pointers}
    return [pointer for pointer, text in found.items() if _ISO_TIME.search(text) or _UUID.search(text)]


def _json_fields(prefix: str, value: Any, digest: Digester, fields: dict[str, str]) -> None:
    """Digests the leaves, depth first by name, some more than `MAX_FIELDS` if there are. Empty objects and arrays are leaves."""
    if len(fields) >= _FULL:
        return
    named = type(value) is dict
    if not value or not (named or type(value) is list):
        fields[prefix] = digest(f"s{value}" if isinstance(value, str) else repr(value))
        return
    items: Iterable[tuple[Any, Any]] = sorted(value.items())[:MAX_FIELDS] if named else enumerate(value[:MAX_FIELDS])
    for name, item in items:
        pointer = f"{prefix}/{name}"
        if named and ("~" in name or "/" in name):
            pointer = prefix + pointer_of(name)
        kind = type(item)
        if kind is str:
            fields[pointer] = digest(f"s{item}")
        elif kind is dict or kind is list:
            _json_fields(pointer, item, digest, fields)
        else:
            fields[pointer] = digest(repr(item))


def _form_fields(pairs: list[tuple[str, str]], digest: Digester, fields: dict[str, str]) -> None:
    """Digests the fields of a form or the parts of a multipart body; a repeated name is digested as a whole."""
    for name, text in pairs:
        pointer = pointer_of(name)
        old = fields.get(pointer)
        if old is None and len(fields) >= _FULL:
            return
        fields[pointer] = digest(text if old is None else f"{old}\n{text}")


def _at(value: Any, pointer: str) -> Iterator[Any]:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif (
            isinstance(value, list)
            and name.isascii()
            and name.isdecimal()
            and len(name) < 10
            and int(name) < len(value)
        ):
            value = value[int(name)]
        else:
            return
    if isinstance(value, str):
        yield value


def _without(value: Any, pointers: tuple[str, ...]) -> Any:
    for pointer in pointers:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        value = _drop(value, parts)
    return value


def _drop(value: Any, parts: list[str]) -> Any:
    head, rest = parts[0], parts[1:]
    if isinstance(value, dict) and head in value:
        if not rest:
            return {name: item for name, item in value.items() if name != head}
        return {name: _drop(item, rest) if name == head else item for name, item in value.items()}
    if isinstance(value, list) and head.isascii() and head.isdecimal() and len(head) < 10 and int(head) < len(value):
        index = int(head)
        return [*value[:index], *([_drop(value[index], rest)] if rest else [None]), *value[index + 1 :]]
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _RepeatedNameError
    return result


def _json(body: bytes) -> Content:
    try:
        value = _parse(body)
        text = _dump(value)
        # No name can be hidden behind its repetition where no quotation mark got lost, or where the body is what
        # httpx makes of an object.
        if (b"\\" in body or body.count(b'"') != text.count('"')) and _compact(value).encode() != body:
            text = _dump(json.loads(body, object_pairs_hook=_unique))
    except (ValueError, RecursionError):
        return Content("raw", body)
    return Content("raw", body) if _too_deep(body, value) else Content("json", value, text)


def _too_deep(body: bytes, value: Any) -> bool:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return any(isinstance(item, dict | list) for item in level)


def _form(body: bytes) -> Content:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict")
    except ValueError:
        return Content("raw", body)
    return Content("form", sorted(pairs, key=lambda pair: pair[0]))


def _multipart(body: bytes, content_type: str) -> Content:
    found = _BOUNDARY.search(content_type)
    if not found:
        return Content("raw", body)
    mark = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        return Content("raw", body)
    return Content("multipart", [_part(piece) for piece in pieces[1:-1]])


def _part(piece: bytes) -> tuple[str, str]:
    head, _, _ = piece.partition(b"\r\n\r\n")
    name = _PART_NAME.search(head)
    return (name[1].decode("utf-8", "replace") if name else ""), hashlib.sha256(piece).hexdigest()
