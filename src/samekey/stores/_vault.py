"""Encryption of what a store keeps of requests and answers, on the way in and out. The same for every store.

A sealed value is bound to its action, generation and kind, so that none can be put in another's place. Only contents
are encrypted: frozen requests, and the headers and bodies of answers. What tells actions apart stays readable.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

from samekey._core.model import Record, Result, changed
from samekey._core.sealing import HEADER, MARK, locked, sealed_with
from samekey._core.verbs import Claim, Claimed, DuplicateFound, Existing, Renewed, Resolved, Settled, Settlement
from samekey.errors import StoreFormatError, UsageError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

T = TypeVar("T")

Keys = str | bytes | Iterable[str | bytes]
"""One key or several: the first encrypts, all of them decrypt."""

VARIABLE: Final = "SAMEKEY_ENCRYPTION_KEY"
"""The environment variable that has the keys where the program does not."""

KEYRING: Final = "keyring"
_SERVICE: Final = "samekey"
_USER: Final = "encryption"


class Vault:
    """Seals and opens with a list of Fernet keys. Shows and pickles none of them."""

    def __init__(self, keys: Keys) -> None:
        fernets = [_fernet(text) for text in _texts(keys)]
        if not fernets:
            raise UsageError("encryption= has no key; leave it out to store without encryption.")
        self._fernets: dict[str, Fernet] = dict(fernets)
        self._first: str = fernets[0][0]

    def __repr__(self) -> str:
        """The ids of the keys."""
        return f"<Vault {' '.join(self._fernets)}>"

    def __reduce__(self) -> NoReturn:
        """Refuses: a pickle would have the keys in it."""
        raise TypeError("a store with encryption keys cannot be pickled; open it anew where it is needed")

    # --- values ----------------------------------------------------------------------------------------------

    def _seal(self, kind: str, identity: str, generation: int, data: bytes) -> bytes:
        return self._fernets[self._first].encrypt(_bound(kind, identity, generation) + data)

    def _open(self, kind: str, record: Record, key_id: str, token: bytes) -> bytes:
        from cryptography.fernet import InvalidToken

        fernet = self._fernets.get(key_id)
        if fernet is None:
            raise locked(record.label if record.scope else record.operation_name, key_id)
        try:
            data = fernet.decrypt(token)
        except (InvalidToken, TypeError, ValueError):
            raise _damaged(record) from None
        mine = _bound(kind, record.identity, record.generation)
        if not data.startswith(mine):
            raise _damaged(record)
        return data[len(mine) :]

    # --- records ---------------------------------------------------------------------------------------------

    def sealed(self, record: Record) -> Record:
        """The record as it is stored."""
        identity, generation = record.identity, record.generation
        changes: dict[str, Any] = {}
        if record.frozen_request is not None:
            changes["frozen_request"] = self._frozen(identity, generation, record.frozen_request)
        if record.response_headers or record.response_body:
            headers, body = self._answer(identity, generation, record.response_headers, record.response_body)
            changes |= {"response_headers": headers, "response_body": body}
        return changed(record, changes) if changes else record

    def _frozen(self, identity: str, generation: int, frozen: bytes) -> bytes:
        return MARK + self._first.encode() + b":" + self._seal("request", identity, generation, frozen)

    def _answer(self, identity: str, generation: int, headers: Any, body: bytes | None) -> tuple[Any, bytes | None]:
        token = self._seal("headers", identity, generation, json.dumps(headers).encode()).decode("ascii")
        sealed = None if body is None else self._seal("body", identity, generation, body)
        return ((HEADER, f"{self._first}:{token}"),), sealed

    def opened(self, record: Record) -> Record:
        """The record as its reader sees it; what was stored without encryption is as it was.

        Raises:
            StoreFormatError: it was encrypted with another key, or is not what was encrypted.
        """
        changes: dict[str, Any] = {}
        frozen = record.frozen_request
        if frozen is not None and frozen.startswith(MARK):
            name, _, token = frozen[len(MARK) :].partition(b":")
            changes["frozen_request"] = self._open("request", record, name.decode("ascii", "replace"), token)
        if record.response_headers and record.response_headers[0][0] == HEADER:
            key_id, _, text = record.response_headers[0][1].partition(":")
            headers = json.loads(self._open("headers", record, key_id, text.encode()))
            changes["response_headers"] = tuple((name, value) for name, value in headers)
            if record.response_body is not None:
                changes["response_body"] = self._open("body", record, key_id, record.response_body)
        return changed(record, changes) if changes else record

    def renewed(self, record: Record) -> Record:
        """A stored record under the first key, whatever it was stored under; itself if all of it is so already.

        Raises:
            StoreFormatError: see `opened`.
        """
        contents = (record.frozen_request is not None) + bool(record.response_headers or record.response_body)
        return record if sealed_with(record) == (self._first,) * contents else self.sealed(self.opened(record))

    # --- verbs -----------------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> Claim:
        """A claim for the store below."""
        return replace(claim, record=self.sealed(claim.record))

    def settlement(self, settlement: Settlement) -> Settlement:
        """A settlement for the store below."""
        result = settlement.result
        if result is None or not (result.headers or result.body):
            return settlement
        headers, body = self._answer(settlement.identity, settlement.expect.generation, result.headers, result.body)
        return replace(settlement, result=Result(result.status, headers, body, result.reference))

    def answer(self, answer: T) -> T:
        """What the store below has answered, opened.

        Raises:
            StoreFormatError: see `opened`.
        """
        opened: Any = answer
        match answer:
            case Claimed(record, duplicate):
                opened = Claimed(self.opened(record), None if duplicate is None else self.opened(duplicate))
            case Existing() | Renewed() | Settled() | Resolved():
                opened = replace(answer, record=self.opened(answer.record))
            case DuplicateFound(other):
                opened = DuplicateFound(self.opened(other))
            case _:
                pass
        return cast("T", opened)


def _bound(kind: str, identity: str, generation: int) -> bytes:
    return f"{kind}\0{identity}\0{generation}\n".encode()


def _damaged(record: Record) -> StoreFormatError:
    what = record.label if record.scope else record.operation_name
    return StoreFormatError(
        f"{what}: what was stored encrypted is not what is there now, so nothing was sent; restore the store from a backup."
    )


# --- keys ----------------------------------------------------------------------------------------------------


def configured(keys: Keys | None) -> Keys | None:
    """The given keys, else those of the environment, else None."""
    return keys if keys is not None else os.environ.get(VARIABLE) or None


def new_key() -> str:
    """A fresh key.

    Raises:
        UsageError: `samekey[crypto]` is not installed.
    """
    return _fernets().generate_key().decode("ascii")


def _texts(keys: Keys) -> list[str]:
    given = [keys] if isinstance(keys, (str, bytes)) else list(keys)
    texts: list[str] = []
    for each in given:
        if not isinstance(each, (str, bytes)):
            raise UsageError("encryption= takes a key, or a list of keys, each as text or bytes.")
        text = each.decode("ascii", "replace") if isinstance(each, bytes) else each
        texts += [part.strip() for part in text.split(",") if part.strip()]
    return [key for text in texts for key in _from_keyring(text)]


def _from_keyring(text: str) -> list[str]:
    service, _, user = text.partition(":")
    if service != KEYRING:
        return [text]
    try:
        import keyring
    except ImportError:
        raise UsageError("the key is to come from the system's keyring; pip install keyring.") from None
    found = keyring.get_password(_SERVICE, user or _USER)
    if not found:
        raise UsageError(f"the system's keyring has no key; store one with 'keyring set {_SERVICE} {user or _USER}'.")
    return [part.strip() for part in found.split(",") if part.strip()]


def _fernet(key: str) -> tuple[str, Fernet]:
    kind = _fernets()
    try:
        fernet = kind(key)
    except ValueError:
        raise UsageError(
            "an encryption key is 32 bytes in URL-safe base64, and this is none; make one with 'samekey reencrypt --new-key'."
        ) from None
    return hashlib.sha256(b"samekey key id\0" + key.encode()).hexdigest()[:8], fernet


def _fernets() -> type[Fernet]:
    try:
        from cryptography.fernet import Fernet
    except ImportError:
        raise UsageError("encryption needs a library of its own; pip install 'samekey[crypto]'.") from None
    return Fernet
