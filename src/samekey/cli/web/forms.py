"""What a person fills in: read, checked, and made into a ruling."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from samekey._core.resolve import Decision, Ruling
from samekey.cli.ruling import MOST_TEXT, is_keyless, short
from samekey.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from samekey._core.model import Record

MOST_BYTES: Final = 16 * MOST_TEXT * 4
"""Longest form that is read: four texts, each letter up to twelve bytes, and room to say which one is too long."""

_MOST_FIELDS: Final = 20


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which form it was: made for one action as it was shown, and good for one decision.

    Attributes:
        seen: the version of the record that the page showed.
        ticket: names this form.
        token: proves that this desk made the form.
    """

    seen: str
    ticket: str
    token: str


class Stamps:
    """Makes and checks stamps, under a secret that lives as long as the desk."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)

    def make(self, record: Record) -> Stamp:
        """For a page that shows this record."""
        ticket = os.urandom(16).hex()
        return Stamp(record.version, ticket, self._token(record.idempotency_key, record.version, ticket))

    def fits(self, stamp: Stamp, key: str) -> bool:
        """Whether this desk made it, for this action."""
        return hmac.compare_digest(stamp.token.encode(), self._token(key, stamp.seen, stamp.ticket).encode())

    def _token(self, key: str, seen: str, ticket: str) -> str:
        return hmac.new(self._secret, json.dumps([key, seen, ticket]).encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it came.

    Attributes:
        decision: what was chosen, empty if nothing was.
        move: what the page said that this decision does.
        nameless: whether the object is said to have no id.
        stamp: which form it was.
    """

    decision: str = ""
    move: str = ""
    reference: str = ""
    nameless: bool = False
    by: str = ""
    note: str = ""
    evidence: str = ""
    stamp: Stamp = field(default_factory=lambda: Stamp("", "", ""))

    @property
    def nonce(self) -> str:
        """The same for the same form with the same words, so that sending it twice decides once."""
        words = [self.stamp.ticket, self.decision, self.reference, self.by, self.note, self.evidence]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]


def read(body: bytes) -> Filled:
    """Reads an urlencoded form.

    Raises:
        ValueError: it has too many fields.
    """
    pairs = parse_qsl(
        body.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="replace"
    )
    given = {name: value.replace("\r\n", "\n").strip() for name, value in pairs}
    decision, _, move = given.get("decision", "").partition("/")
    stamp = Stamp(given.get("seen", ""), given.get("ticket", ""), given.get("token", ""))
    return Filled(
        decision,
        move,
        given.get("reference", ""),
        "nameless" in given,
        given.get("by", ""),
        given.get("note", ""),
        given.get("evidence", ""),
        stamp,
    )


def faults(filled: Filled) -> Mapping[str, str]:
    """What is missing or too much, by field; the rules of `samekey resolve`."""
    found: dict[str, str] = {}
    happened = filled.decision == Decision.HAPPENED
    if filled.decision not in set(Decision):
        found["decision"] = "Say what is so: choose one of the decisions."
    elif happened and bool(filled.reference) == filled.nameless:
        found["reference"] = "Give the object's reference at the API, or say that it has none; one of the two."
    elif not happened and (filled.reference or filled.nameless):
        found["reference"] = "A reference belongs to “It happened” only: choose that, or clear the reference."
    if not filled.by:
        found["by"] = "Say who decides."
    if not filled.note:
        found["note"] = "Say why: it is what the next person will want to know."
    for name in ("reference", "by", "note", "evidence"):
        try:
            short(f"“{name.capitalize()}”", getattr(filled, name))
        except UsageError as error:
            found[name] = str(error)
    return found


def ruling(filled: Filled, record: Record) -> Ruling:
    """The decision, of a form without faults."""
    decision = Decision(filled.decision)
    return Ruling(
        decision=decision,
        by=filled.by,
        nonce=filled.nonce,
        note=filled.note,
        evidence=filled.evidence,
        reference=filled.reference if decision is Decision.HAPPENED else None,
        keyless=is_keyless(record),
    )
