"""The key layer of the model API: what it remembers, and what it says to a key it knows.

Its user holds the lock.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

from samekey.testing._values import Reply
from samekey.testing.faults import key_in_use

if TYPE_CHECKING:
    from samekey.testing._rules import Rules
    from samekey.testing.ledger import Seen


@dataclasses.dataclass(slots=True, eq=False)
class Entry:
    """One key: `reply` is None while the first request is running."""

    key: str
    fingerprint: bytes
    first_arrival: float
    reply: Reply | None = None


class KeyLayer:
    """Stands before the application; a key is executed once within its window."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._entries: dict[str, Entry] = {}

    def claim(self, seen: Seen, now: float) -> Entry | Reply | None:
        """Return the entry of a new key, the answer to a known one, None where keys are unused."""
        if seen.key is None or self._rules.keys == "ignore":
            return None
        fingerprint = _fingerprint(seen)
        known = self._find(seen.key, now)
        if known is None:
            entry = self._entries[seen.key] = Entry(seen.key, fingerprint, now)
            return entry
        if known.fingerprint != fingerprint:
            error = {"type": "idempotency_error", "message": "the key was used for other data"}
            return Reply.json(self._rules.on_mismatch, {"error": error})
        if known.reply is None:
            return key_in_use(self._rules.in_progress)
        if self._rules.replay_header is None:
            return known.reply
        return known.reply.with_headers(self._rules.replay_header)

    def settle(self, entry: Entry, success: Reply, failure: Reply | None = None) -> None:
        """Remember what happened.

        Args:
            entry: what `claim` returned.
            success: the answer to what was done.
            failure: what the application said instead, where it failed after the effect.
        """
        if failure is not None and self._rules.after_error == "released":
            self.release(entry)
        elif failure is not None and self._rules.after_error == "stored":
            entry.reply = failure
        else:
            entry.reply = success

    def release(self, entry: Entry) -> None:
        """Forget `entry`; a later one under the same key stays."""
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]

    def forget(self, key: str | None) -> None:
        """Forget whatever is known of `key`."""
        if key is not None:
            self._entries.pop(key, None)

    def forget_all(self) -> None:
        """Forget every key."""
        self._entries.clear()

    def _find(self, key: str, now: float) -> Entry | None:
        """Return the entry of `key`; a running request keeps its key, however long it takes."""
        entry = self._entries.get(key)
        window = self._rules.window
        if entry is None or window is None or entry.reply is None:
            return entry
        return entry if now < entry.first_arrival + window else None


def _fingerprint(seen: Seen) -> bytes:
    text = f"{seen.method} {seen.target}\n".encode() + seen.body
    return hashlib.blake2b(text, digest_size=16).digest()
