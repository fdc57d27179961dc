"""What the ways in have in common: operations by name, the fleet's secret, and choices that cannot be."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

from samekey._core import words
from samekey._core.keys import Identity, Scope, identify, scope_texts
from samekey.contracts import Operation, RetryPolicy
from samekey.errors import UsageError
from samekey.http.checks import attempt_seconds
from samekey.http.guard import build_client, check_client
from samekey.http.library import HTTPX, HTTPX_ASYNC, Library, library_of, library_of_class
from samekey.stores import AsyncMemoryStore, AsyncStore, MemoryStore, Store

StoreT = TypeVar("StoreT")

SHORT_SECRET_BYTES: Final = 16
"""Below this a secret is guessable, and so are the keys made from it."""


class Operations:
    """The operations of a client, by name, under the account that it writes for.

    Args:
        operations: if there are any, a name must be one of theirs.
        actor: the account; part of every identity.

    Raises:
        UsageError: it is no operation, or two have one name.
    """

    def __init__(self, operations: Iterable[Operation], actor: str) -> None:
        self.actor = actor
        self.declared: dict[str, Operation] = {}
        self._free: dict[str, Operation] = {}
        for operation in operations:
            if not isinstance(operation, Operation):
                raise UsageError(f"operations= holds a {type(operation).__name__}; give Operation objects.")
            if operation.name in self.declared:
                raise UsageError(f"operations= holds {operation.name!r} twice; one name is one contract.")
            self.declared[operation.name] = operation

    def find(self, operation: Operation | str) -> Operation:
        """An operation, or the one of that name; any name if none is declared.

        Raises:
            UsageError: the name is unknown.
        """
        if isinstance(operation, Operation):
            return operation
        if not isinstance(operation, str):
            raise UsageError(f"an operation is an Operation or a name, not a {type(operation).__name__}.")
        if self.declared:
            known = self.declared.get(operation)
            if known is None:
                raise UsageError(_unknown_name(operation, self.declared))
            return known
        if operation not in self._free:
            self._free[operation] = Operation(operation)
        return self._free[operation]

    def identity(self, operation: Operation, scope: Scope) -> Identity:
        """Which action it is.

        Raises:
            UsageError: the scope does not fit the operation.
        """
        return identify(self.actor, operation.name, scope_texts(operation.name, operation.scope, scope))


def _unknown_name(name: str, known: Mapping[str, Operation]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"{name!r} is not an operation of this client{hint}; another name would be another action with another key."


def check_text(what: str, text: object) -> None:
    """Refuses what no store could keep, such as bytes of an argument or a variable that were not UTF-8.

    Raises:
        UsageError: it is no text, or none that can be encoded.
    """
    if not isinstance(text, str):
        raise UsageError(f"{what} is a {type(text).__name__}; give a str.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} holds a lone surrogate, which is not text; decode it properly first.") from None


def check_choices(*, keep: str, freeze: str, actor: object, retry: object, window: object) -> None:
    """Refuses arguments that cannot be.

    Raises:
        UsageError: one of them has a wrong value.
    """
    if keep not in {"response", "reference"}:
        raise UsageError(f'keep={keep!r} is unknown; give "response" or "reference".')
    if freeze not in {"request", "nothing"}:
        raise UsageError(f'freeze={freeze!r} is unknown; give "request" or "nothing".')
    if not isinstance(actor, str) or not actor:
        raise UsageError("actor= names the account on whose behalf the client writes; give a non-empty string.")
    check_text("actor=", actor)
    if not isinstance(retry, RetryPolicy):
        raise UsageError(f"retry= is a {type(retry).__name__}; give a RetryPolicy.")
    if window is not None and (not isinstance(window, timedelta) or window <= timedelta(0)):
        raise UsageError("window= is how long the API remembers a key; give a positive timedelta.")


def is_made(http: object) -> bool:
    """Whether what is given as `http=` has the client below made here, and so closed here."""
    return http is None or isinstance(http, type)


def http_client(
    base_url: Any, http: Any, timeout: Any, options: Mapping[str, Any], *, asynchronous: bool = False
) -> tuple[Library[Any, Any], Any]:
    """The HTTP library and client below: the one that is given, or one that is made, of the class that is given.

    Raises:
        UsageError: the given one cannot be used, or brings its own settings.
    """
    if is_made(http):
        usual: Library[Any, Any] = HTTPX_ASYNC if asynchronous else HTTPX
        ours = usual if http is None else library_of_class(http, asynchronous=asynchronous)
        return ours, build_client(ours, base_url, timeout, options)
    if options or timeout is not None:
        names = ", ".join([*options, *(["timeout"] if timeout is not None else [])])
        raise UsageError(f"http= brings its own settings, so {names} would be ignored; set them on that client.")
    check_client(http, asynchronous=asynchronous)
    if str(base_url):
        if str(http.base_url).rstrip("/") not in {"", str(base_url).rstrip("/")}:
            raise UsageError("base_url= and the base_url of http= differ; set it on that client only.")
        http.base_url = base_url
    return library_of(http), http


def check_kind(store: StoreT, *, asynchronous: bool) -> StoreT:
    """Refuses a store of the other kind.

    Raises:
        UsageError: it is for event loops and the client is not, or the other way round.
    """
    if hasattr(store, "claim") and hasattr(store, "aclose") is not asynchronous:
        name = type(store).__name__
        if asynchronous:
            twin = "EncryptedAsyncStore" if name == "EncryptedStore" else f"Async{name}"
            raise UsageError(f"store=: {name} would block the event loop; give {twin}, a path or a URL.")
        raise UsageError(f"store=: {name} is for event loops; give {name.replace('Async', '', 1)}, a path or a URL.")
    return store


def check_lease(store: Store | AsyncStore, http: Any) -> None:
    """Refuses a store whose lease does not cover an attempt.

    Raises:
        UsageError: it does not.
    """
    seconds = attempt_seconds(http.timeout.as_dict())
    if store.lease is not None and store.lease.total_seconds() <= seconds:
        raise UsageError(lease_too_short(store.lease, seconds))


def check_durable(store: Store | AsyncStore, label: str) -> None:
    """Refuses an API without keys on a store that can lose a claim: nothing would prevent a second send (R17).

    Raises:
        UsageError: it is such a store, and none for tests.
        StoreError: the store cannot be asked.
    """
    below = getattr(store, "below", store)  # behind an encryption
    if not store.claim_durable and not isinstance(below, MemoryStore | AsyncMemoryStore):
        raise UsageError(
            f"{label}: the store {store.location} can lose what it has acknowledged (see its claim_durable), and this API "
            f"takes no keys that would repair that, so nothing was sent; use a store that cannot."
        )


def secret_of(secret: str | bytes | None) -> bytes | None:
    """The fleet's secret: the given one, else `SAMEKEY_SECRET`, else None.

    Raises:
        UsageError: it is empty.
    """
    given = secret if secret is not None else os.environ.get("SAMEKEY_SECRET") or None
    if given is None:
        return None
    data = given.encode() if isinstance(given, str) else bytes(given)
    if not data:
        raise UsageError("secret= is empty, which would make every key guessable; leave it out, or give a random one.")
    if len(data) < SHORT_SECRET_BYTES:
        logging.getLogger("samekey").warning(
            "the secret has fewer than %d bytes, so its keys can be guessed",
            SHORT_SECRET_BYTES,
            extra={"event": "weak_secret"},
        )
    return data


def lease_too_short(lease: timedelta, attempt_seconds: float) -> str:
    """The message about a lease that does not cover an attempt."""
    return (
        f"the store's lease ({words.seconds(lease.total_seconds())}) is not longer than an attempt may take "
        f"({words.seconds(attempt_seconds)}, the sum of its time-outs), so another process could take over a request that "
        f"still runs; give the store a longer lease=, or the client shorter time-outs."
    )
