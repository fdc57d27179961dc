"""Look-ups: what a contract's `reconcile` may say, and how it is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from samekey._core.model import Record, Result
from samekey._core.reading import result_of
from samekey._core.run import ABSENT, FOUND, INCONCLUSIVE, LookedUp
from samekey.errors import UsageError

if TYPE_CHECKING:
    from samekey.contracts import Operation
    from samekey.http.library import Library

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
    """

    evidence: str


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """The look-up could not tell.

    Attributes:
        evidence: what was asked and what came back.
    """

    evidence: str


LookUp = Callable[[Any, Record], Found | Absent | Inconclusive]
"""`reconcile(http, record)`: looks up what became of an action, by reads only."""


def look_up(operation: Operation, http: Any, library: Library[Any, Any], record: Record) -> LookedUp:
    """Asks the contract's `reconcile`. What it raises is inconclusive."""
    try:
        answer = operation.reconcile(http, record)
    except Exception as error:  # noqa: BLE001 - a look-up that fails proves nothing
        return LookedUp(INCONCLUSIVE, f"it raised {type(error).__name__}")
    match answer:
        case Found():
            return LookedUp(FOUND, answer.evidence[:MAX_EVIDENCE], _result(answer, library))
        case Absent():
            return LookedUp(ABSENT, answer.evidence[:MAX_EVIDENCE])
        case Inconclusive():
            return LookedUp(INCONCLUSIVE, answer.evidence[:MAX_EVIDENCE])
        case _:
            return _not_an_answer(answer)


def _not_an_answer(answer: object) -> LookedUp:
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        return LookedUp(INCONCLUSIVE, "an async look-up was asked by a synchronous client")
    return LookedUp(INCONCLUSIVE, f"it returned a {type(answer).__name__}, not Found, Absent or Inconclusive")


def _result(found: Found, library: Library[Any, Any]) -> Result:
    from samekey.http.exchange import reply_of

    response = found.response
    if response is None:
        return Result(None, (), None, found.reference)
    if not isinstance(response, library.response):
        raise UsageError(f"reconcile: Found.response is a {type(response).__name__}, not a {library.name} response.")
    return result_of(reply_of(response), found.reference, whole=True)
