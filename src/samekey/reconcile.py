"""Look-ups: what a contract's `reconcile` may say, and how it is asked."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import quote

from samekey._core.model import Record, Reply, Result, later
from samekey._core.reading import reference_of, result_of
from samekey._core.run import ABSENT, FOUND, INCONCLUSIVE, LookedUp
from samekey._core.words import shown_origin
from samekey.errors import UsageError

if TYPE_CHECKING:
    from samekey.contracts import Operation
    from samekey.http.library import Library
    from samekey.provider import Lookup

T = TypeVar("T")

CANCEL: Final = "cancel"
"""What an operation says instead of a `reconcile` function to have the profile cancel by key."""
OK: Final = 200
NOT_FOUND: Final = 404
MAX_EVIDENCE = 500
"""Longest evidence that is stored, in characters."""


@dataclass(frozen=True, slots=True)
class Found:
    """The effect exists at the API.

    Attributes:
        reference: the object's id.
        response: the response that shows it, to be kept as the action's result.
        evidence: what was asked and what came back, in a few words without personal data.
    """

    reference: str
    response: Any = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """The look-up did not find it. That proves nothing by itself: a request may still be on its way.

    Attributes:
        evidence: what was asked and what came back.
        consistent: say so only of a read of the API's own data (no search index, no replica, no cache): what it does
            not show did not happen. Such an absence, read twice and late enough, lets the action be sent anew.
    """

    evidence: str
    consistent: bool = False


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """The look-up could not tell.

    Attributes:
        evidence: what was asked and what came back.
    """

    evidence: str


LookUp = Callable[[Any, Record], Found | Absent | Inconclusive | Awaitable[Found | Absent | Inconclusive]]
"""`reconcile(http, record)`: looks up what became of an action, by reads only. An `async def` needs `samekey.AsyncClient`."""

Asking = Generator["Ask", Any, "T"]
"""A look-up that waits for nothing itself: it yields what it asks, gets the responses, and returns what they mean."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a look-up.

    Attributes:
        method: the HTTP method.
        url: where it goes.
        options: of the client's `request`.
    """

    method: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def of(self, http: Any) -> Any:
        """The response; of an asynchronous client, what is to be awaited for it."""
        return http.request(self.method, self.url, follow_redirects=False, **self.options)


def performed(asking: Asking[T], http: Any) -> T | Awaitable[T]:
    """What a look-up brings, or, by an asynchronous client, what is to be awaited for it."""
    return _awaited(asking, http) if inspect.iscoroutinefunction(http.request) else _asked(asking, http)


def _asked(asking: Asking[T], http: Any) -> T:
    try:
        ask = next(asking)
        while True:
            ask = asking.send(ask.of(http))
    except StopIteration as end:
        return cast("T", end.value)


async def _awaited(asking: Asking[T], http: Any) -> T:
    try:
        ask = next(asking)
        while True:
            ask = asking.send(await ask.of(http))
    except StopIteration as end:
        return cast("T", end.value)


def looks_up(operation: Operation, lookup: Lookup | None) -> bool:
    """Whether there is a read that tells what became of an action of which only the key is known."""
    if operation.reconcile == CANCEL:
        return lookup is not None and lookup.kind == CANCEL
    if operation.reconcile is not None:
        return True
    return lookup is not None and lookup.kind == "by_key" and lookup.stamp in {None, operation.stamp}


def look_up(
    operation: Operation, lookup: Lookup | None, http: Any, library: Library[Any, Any], record: Record, now: datetime
) -> LookedUp:
    """Asks the API for an object that it has named, else the contract's `reconcile`, else the profile's look-up.

    What it raises is inconclusive.
    """
    ask = _question(operation, lookup, record, now)
    if isinstance(ask, LookedUp):
        return ask
    try:
        answer = ask(http, record)
    except Exception as error:  # noqa: BLE001 - a look-up that fails proves nothing
        return _raised(error)
    return _understood(answer, library)


async def look_up_async(
    operation: Operation, lookup: Lookup | None, http: Any, library: Library[Any, Any], record: Record, now: datetime
) -> LookedUp:
    """As `look_up`, with an asynchronous client; `reconcile` may be synchronous or asynchronous."""
    ask = _question(operation, lookup, record, now)
    if isinstance(ask, LookedUp):
        return ask
    try:
        answer = ask(http, record)
        if inspect.isawaitable(answer):
            answer = await answer
    except Exception as error:  # noqa: BLE001 - a look-up that fails proves nothing
        return _raised(error)
    return _understood(answer, library)


def _question(
    operation: Operation, lookup: Lookup | None, record: Record, now: datetime
) -> Callable[[Any, Record], Any] | LookedUp:
    """Who is asked; or the answer, if there is nobody to ask."""
    ask: Callable[[Any, Record], Any] = operation.reconcile
    # What is known to have had its effect is never undone.
    if (
        operation.reconcile == CANCEL
        and lookup is not None
        and lookup.kind == CANCEL
        and record.response_reference is None
    ):
        known = lookup
        return lambda http, record: performed(_cancel(known, now, record), http)
    if lookup is not None and (record.response_reference if lookup.kind == "by_id" else ask is None):
        known = lookup
        return lambda http, record: performed(_ask(known, record), http)
    if record.response_reference is not None:
        return LookedUp(INCONCLUSIVE, "the profile has no look-up by id", final=True)
    return ask


def _raised(error: Exception) -> LookedUp:
    return LookedUp(INCONCLUSIVE, f"it raised {type(error).__name__}")


def _understood(answer: Any, library: Library[Any, Any]) -> LookedUp:
    match answer:
        case Found():
            return LookedUp(FOUND, answer.evidence[:MAX_EVIDENCE], _result(answer, library))
        case Absent():
            return LookedUp(ABSENT, answer.evidence[:MAX_EVIDENCE], consistent=answer.consistent)
        case Inconclusive():
            return LookedUp(INCONCLUSIVE, answer.evidence[:MAX_EVIDENCE])
        case LookedUp():
            return answer
        case _:
            return _not_an_answer(answer)


def _ask(lookup: Lookup, record: Record) -> Asking[Found | Absent | Inconclusive]:
    """The profile's own look-up."""
    reference = record.response_reference
    url = _address(lookup, record)
    response = yield Ask("GET", url)
    shown = f"GET {url}: HTTP {response.status_code}"
    if response.status_code != OK:
        # A list that is not there says nothing of what would be in it.
        absent = response.status_code == NOT_FOUND and lookup.items_at is None
        return Absent(shown) if absent else Inconclusive(shown)
    if lookup.kind == "by_id":
        return Found(reference or "", response, shown)
    reply = Reply(response.status_code, (), response.content)
    if lookup.items_at is None:
        found = reference_of(reply, lookup.id_at)
        return Found(found, response, shown) if found else Inconclusive(f"{shown}, without an id")
    ids = [reference_of(reply, f"{lookup.items_at}/{index}{lookup.id_at}") for index in range(2)]
    if ids[1] is not None:
        return Inconclusive(f"{shown}, with more than one object")
    # The answer is a list: as the write's own result it would mislead.
    return Found(ids[0], None, shown) if ids[0] else Absent(f"{shown}, with no object")


def _cancel(lookup: Lookup, now: datetime, record: Record) -> Asking[LookedUp]:
    """Undoes what the key has done. The write itself may still be on its way, so only a late answer counts."""
    url = _address(lookup, record)
    response = yield Ask("POST", url, {"json": {lookup.member: record.idempotency_key}})
    shown = f"POST {url}: HTTP {response.status_code}"
    if not response.is_success:
        return LookedUp(INCONCLUSIVE, shown)
    last = record.lease_expires_at or record.last_seen_at
    if now <= later(last, record.max_delay_seconds):
        evidence = f"{shown}: cancelled by its key, while the write may still have been on its way"
        return LookedUp(INCONCLUSIVE, evidence, final=True)
    return LookedUp(ABSENT, f"{shown}: cancelled by its key", final=True)


def _address(lookup: Lookup, record: Record) -> str:
    return lookup.url.format(
        url=record.url.partition("?")[0],
        origin=shown_origin(record.origin),
        id=quote(record.response_reference or "", safe=""),
        key=quote(record.idempotency_key, safe=""),
    )


def _not_an_answer(answer: object) -> LookedUp:
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        return LookedUp(INCONCLUSIVE, "an async look-up was asked by a synchronous client", final=True)
    told = f"it returned a {type(answer).__name__}, not Found, Absent or Inconclusive"
    return LookedUp(INCONCLUSIVE, told, final=True)


def _result(found: Found, library: Library[Any, Any]) -> Result:
    from samekey.http.exchange import reply_of

    response = found.response
    if response is None:
        return Result(None, (), None, found.reference)
    if not isinstance(response, library.response):
        raise UsageError(f"reconcile: Found.response is a {type(response).__name__}, not a {library.name} response.")
    return result_of(reply_of(response), found.reference, whole=True)
