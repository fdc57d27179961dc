"""The exceptions: one tree, every field survives pickling, nothing secret inside."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from samekey import errors
from samekey._core.states import Status

T0 = datetime(2026, 11, 24, 5, 10, tzinfo=UTC)
ALL: list[type[errors.SamekeyError]] = [getattr(errors, name) for name in errors.__all__]
CONTEXT: dict[str, Any] = {
    "key": "7f3c2a1b-0000-4000-8000-000000000000",
    "operation_name": "create_order",
    "actor_id": "default",
    "scope": {"customer": "42", "cart": "c-9"},
    "attempts": 3,
    "status": Status.UNKNOWN,
    "correlation_id": "job-7",
    "started_at": T0,
    "reference": "ord_9",
    "retry_safe": True,
    "retry_after": 1.5,
    "retry_until": T0,
}
OWN: dict[type[errors.SamekeyError], dict[str, Any]] = {
    errors.KeyReusedError: {"by": "server", "changed": ("/total", "body")},
    errors.DuplicateActionError: {"other_key": "8f"},
    errors.NeedsReviewError: {"reason": "keyless"},
    errors.StoreUnavailableError: {"uncertain": True},
}
MESSAGE = "create_order(customer=42, cart='c-9'): something happened."


def by_name(cls: type) -> str:
    return cls.__name__


def made(cls: type[errors.SamekeyError]) -> errors.SamekeyError:
    return cls(MESSAGE, **CONTEXT, **OWN.get(cls, {}))


def copied(error: errors.SamekeyError, how: str) -> errors.SamekeyError:
    if how == "copy":
        return copy.copy(error)
    if how == "deepcopy":
        return copy.deepcopy(error)
    found = pickle.loads(pickle.dumps(error, int(how)))
    assert isinstance(found, errors.SamekeyError)
    return found


def test_the_module_exports_every_exception_it_defines() -> None:
    defined = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert set(errors.__all__) == defined
    assert errors.__all__ == sorted(errors.__all__)


@pytest.mark.parametrize("how", ["0", "2", "5", "copy", "deepcopy"])
@pytest.mark.parametrize("cls", ALL, ids=by_name)
def test_every_error_survives_pickling_and_copying_whole(cls: type[errors.SamekeyError], how: str) -> None:
    error = made(cls)
    error.add_note("a note")
    found = copied(error, how)
    assert type(found) is cls
    assert found is not error
    assert str(found) == MESSAGE
    assert found.args == error.args
    assert vars(found) == vars(error)
    for name, value in (CONTEXT | OWN.get(cls, {})).items():
        assert getattr(found, name) == value, name


@pytest.mark.parametrize("cls", ALL, ids=by_name)
def test_every_error_can_be_made_of_a_message_alone(cls: type[errors.SamekeyError]) -> None:
    error = cls("x.")
    assert (error.key, error.scope, error.attempts, error.status) == (None, {}, 0, None)
    assert (error.retry_after, error.retry_until) == (None, None)
    assert vars(copied(error, "5")) == vars(error)


@pytest.mark.parametrize(
    ("cls", "safe"),
    [
        (errors.UsageError, False),
        (errors.KeyReusedError, False),
        (errors.DuplicateActionError, False),
        (errors.ActionRejectedError, False),
        (errors.NeedsReviewError, False),
        (errors.ActionAbandonedError, False),
        (errors.StoreFormatError, False),
        (errors.ActionInProgressError, True),
        (errors.NotSentError, True),
        (errors.OutcomeUnknownError, True),
        (errors.StoreUnavailableError, True),
    ],
)
def test_a_rerun_is_called_safe_where_it_can_bring_another_answer(cls: type[errors.SamekeyError], safe: bool) -> None:
    assert cls("x.").retry_safe is safe
    assert cls("x.", retry_safe=not safe).retry_safe is not safe


@pytest.mark.parametrize(
    ("cls", "parent"),
    [
        (errors.UsageError, ValueError),
        (errors.KeyReusedError, errors.ConflictError),
        (errors.ActionInProgressError, errors.ConflictError),
        (errors.DuplicateActionError, errors.ConflictError),
        (errors.StoreUnavailableError, errors.StoreError),
        (errors.StoreFormatError, errors.StoreError),
    ],
)
def test_the_tree_is_as_it_is_drawn(cls: type[Exception], parent: type[Exception]) -> None:
    assert issubclass(cls, parent)
    assert issubclass(cls, errors.SamekeyError)
    drawing = errors.__doc__ or ""
    assert all(name in drawing for name in errors.__all__)


def test_review_is_no_kind_of_unknown() -> None:
    assert not issubclass(errors.NeedsReviewError, errors.OutcomeUnknownError)


@pytest.mark.parametrize("cls", ALL, ids=by_name)
def test_every_error_says_in_its_docstring_what_it_means(cls: type) -> None:
    assert cls.__doc__
    assert cls.__doc__.strip().splitlines()[0].endswith(".")


def test_a_refusal_is_pickled_with_its_response() -> None:
    response = httpx.Response(422, json={"error": "x"}, request=httpx.Request("POST", "https://api.example/orders"))
    found = copied(errors.ActionRejectedError(MESSAGE, response=response), "5")
    assert isinstance(found, errors.ActionRejectedError)
    assert found.response.status_code == 422
    assert found.response.json() == {"error": "x"}
    assert found.response.request.method == "POST"


def test_a_subclass_of_a_users_own_is_pickled_too() -> None:
    error = Own(MESSAGE, **CONTEXT)
    assert vars(copied(error, "5")) == vars(error)


class Own(errors.NotSentError):
    """An error that a user derived."""


def test_the_scope_is_a_copy() -> None:
    scope = {"customer": "42"}
    error = errors.NotSentError("x.", scope=scope)
    scope["customer"] = "43"
    assert error.scope == {"customer": "42"}
