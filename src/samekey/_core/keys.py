"""Identity, scope text and the idempotency key.

The key is HMAC-SHA256(store secret, identity) in the shape of a lower-case UUID with version nibble 4: the one spelling
that every sourced limit in the provider profiles accepts. The same identity gives the same key on every machine that
shares the secret, and without the secret nobody can guess it.
"""

import hashlib
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from samekey._core.jsontext import encoder
from samekey._core.model import label
from samekey._core.values import fixed
from samekey.errors import UsageError

ScopeValue = str | int | Decimal | UUID | date
"""What a scope field may hold (`bool` is an `int`, `datetime` a `date`)."""

Scope = Mapping[str, ScopeValue]
"""The caller's fields that make an action this action."""

MAX_SCOPE_TEXT: Final = 1024
"""Longest text of one scope field, in characters: a business id, not a document."""

_encode = encoder(ascii_only=True)

_PLAIN_INT: Final = 10**18
_BLOCK: Final = hashlib.sha256().block_size


@fixed
class Identity:
    """Names one intended business effect, whatever its generation.

    Attributes:
        actor_id: on whose behalf.
        operation_name: which operation.
        scope: the fields, in canonical text, in the order in which they were declared.
        digest: SHA-256 of the three, in hex.
    """

    actor_id: str
    operation_name: str
    scope: Mapping[str, str]
    digest: str

    @property
    def label(self) -> str:
        """The action as people write it."""
        return label(self.operation_name, self.scope)


def identify(actor_id: str, operation_name: str, scope: Mapping[str, str]) -> Identity:
    """Makes the identity of an action out of canonical scope texts; their order does not count."""
    text = _encode(["samekey/1", actor_id, operation_name, sorted(scope.items())])
    return Identity(actor_id, operation_name, scope, hashlib.sha256(text.encode()).hexdigest())


def mac(secret: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) of data under a secret.

    `hmac.digest` has OpenSSL look for its parts on each call, which costs three times as much as the digest.
    """
    inner, outer = _keyed(secret)
    inner, outer = inner.copy(), outer.copy()
    inner.update(data)
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(maxsize=8)
def _keyed(secret: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """The inner and the outer digest of HMAC, which have taken the secret."""
    block = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in block)), hashlib.sha256(bytes(byte ^ 0x5C for byte in block))


def derive_key(secret: bytes, identity: str, generation: int) -> str:
    """The idempotency key of one generation of an identity."""
    digest = bytearray(mac(secret, f"key/1:{identity}:{generation}".encode())[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def keyed_digest(secret: bytes, purpose: str, data: bytes, size: int = 16) -> str:
    """A digest that says nothing to those who lack the secret, `size` bytes in hex."""
    return mac(secret, purpose.encode() + b"\0" + data)[:size].hex()


def scope_texts(operation_name: str, declared: tuple[str, ...] | None, scope: Mapping[str, Any]) -> dict[str, str]:
    """Checks a scope against its declaration and turns each value into its one canonical text.

    Equal text is the same action: 42 and "42" are.

    Raises:
        UsageError: a field is missing, extra, None, a float, or of a type that has no single spelling.
    """
    if type(scope) is not dict and not isinstance(scope, Mapping):
        raise UsageError(
            f"{operation_name}: scope is a {type(scope).__name__}; give a mapping of field names to values."
        )
    if declared is None:
        if not scope:
            raise UsageError(
                f"{operation_name}: the scope is empty, which makes every call the same action; name its fields."
            )
    elif len(scope) != len(declared) or not set(declared).issubset(scope):
        raise UsageError(_names_differ(operation_name, declared, scope))
    texts: dict[str, str] = {}
    for name in scope if declared is None else declared:
        value = scope[name]
        kind = type(value)
        # The usual values by the shortest way; anything else is looked at.
        if kind is int and -_PLAIN_INT < value < _PLAIN_INT:
            text = str(value)
        elif kind is str and value.isascii() and len(value) <= MAX_SCOPE_TEXT:
            text = value
        else:
            text = _text(operation_name, name, value)
        plain = type(name) is str and name and name.isascii()
        texts[name if plain else _field_name(operation_name, name)] = text
    if len(texts) != len(scope):
        raise UsageError(
            f"{operation_name}: two field names of the scope are the same to a reader (one in another Unicode form); rename one."
        )
    return texts


def _names_differ(operation_name: str, declared: tuple[str, ...], scope: Mapping[str, Any]) -> str:
    missing = [repr(name) for name in declared if name not in scope]
    extra = [repr(name) for name in scope if name not in declared]
    faults = []
    if missing:
        faults.append(f"lacks {', '.join(missing)}")
    if extra:
        faults.append(f"has {', '.join(extra)}, which {'is' if len(extra) == 1 else 'are'} not declared")
    wanted = f"exactly {', '.join(declared)}" if declared else "an empty scope"
    return f"{operation_name}: the scope {' and '.join(faults)}; give {wanted}."


def _field_name(operation_name: str, name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise UsageError(f"{operation_name}: scope field name {name!r} is not a non-empty string; use words.")
    return _plain(f"{operation_name}: scope field name {name!r}", name)


def _text(operation_name: str, name: str, value: Any) -> str:
    where = f"{operation_name}: scope field {name!r}"
    if value is None:
        raise UsageError(f"{where} is None, which all actions without a {name} would share; give a value.")
    if isinstance(value, float):
        raise UsageError(f"{where} is a float, which has no single spelling; pass a Decimal or a str.")
    text = _spell(where, value)
    if len(text) > MAX_SCOPE_TEXT:
        raise UsageError(
            f"{where} has {len(text)} characters; a scope names a business object in at most {MAX_SCOPE_TEXT}."
        )
    return text


def _spell(where: str, value: Any) -> str:
    match value:
        case str():
            return _plain(where, str.__str__(value))
        case bool():
            return "true" if value else "false"
        case int():
            return _digits(where, value)
        case Decimal():
            return _decimal(where, value)
        case UUID():
            return str(value)
        case datetime():
            if value.tzinfo is None or value.utcoffset() is None:
                raise UsageError(f"{where} is a datetime without a time zone; give it one, for example UTC.")
            return _utc(where, value).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case _:
            raise UsageError(
                f"{where} is a {type(value).__name__}; pass a str, int, bool, Decimal, UUID, date or datetime."
            )


def _plain(where: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{where} holds a lone surrogate, which is not text; decode it properly first.") from None
    return unicodedata.normalize("NFC", text)


def _utc(where: str, value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{where} is a datetime outside the calendar in UTC; pass a time between.") from None


def _digits(where: str, value: int) -> str:
    if value.bit_length() > 4 * MAX_SCOPE_TEXT:
        raise UsageError(f"{where} is an integer of {value.bit_length()} bits; a scope names a business object.")
    return str(int(value))


def _decimal(where: str, value: Decimal) -> str:
    if not value.is_finite():
        raise UsageError(f"{where} is {value}, which names nothing; pass a finite Decimal.")
    if abs(value.adjusted()) > MAX_SCOPE_TEXT:
        raise UsageError(f"{where} is a Decimal with exponent {value.adjusted()}; a scope names a business object.")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
