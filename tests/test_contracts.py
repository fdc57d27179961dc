"""Operations, providers and retry policies: validated once, by name, with typed errors."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import timedelta
from typing import Any

import pytest
import tenacity
from pydantic import ValidationError

from samekey._core.plan import Contract, Detector
from samekey._core.policy import FullJitter
from samekey.contracts import Operation, RetryBudget, RetryPolicy
from samekey.errors import UsageError
from samekey.provider import Answer, Carrier, Provider

DAY = timedelta(days=1)


def look(http: Any, record: Any) -> Any:
    raise NotImplementedError


FULL: dict[str, Any] = {
    "scope": ("customer", "cart"),
    "volatile": ("/sent_at",),
    "reference": "/id",
    "duplicates": "reject",
    "duplicate_window": 2 * DAY,
    "retention": 3 * DAY,
    "window": DAY,
    "on_rejected": "raise",
    "on_in_progress": "raise",
    "on_server_error": "review",
    "reconcile": look,
    "absent_after": timedelta(minutes=5),
    "stamp": "metadata[samekey]",
    "secret_query": ("token",),
    "secret_body": ("/card/number",),
    "secret_response": ("/client_secret", "header:Location"),
    "max_delay": timedelta(minutes=1),
    "retry": RetryPolicy(attempts=2),
    "owner": "payments team",
    "description": "makes an order",
}

# Operation


def test_an_operations_defaults_are_the_designs() -> None:
    made = Operation("create_order")
    assert made.model_dump(exclude={"name"}) == {
        "scope": None,
        "volatile": (),
        "reference": None,
        "duplicates": "allow",
        "duplicate_window": timedelta(days=1),
        "retention": timedelta(days=30),
        "window": None,
        "on_rejected": "if_changed",
        "on_in_progress": "wait",
        "on_server_error": "profile",
        "reconcile": None,
        "absent_after": timedelta(minutes=2),
        "stamp": None,
        "secret_query": (),
        "secret_body": (),
        "secret_response": (),
        "max_delay": None,
        "retry": None,
        "owner": None,
        "description": None,
    }


def test_an_operation_keeps_what_it_was_given() -> None:
    made = Operation("create_order", **FULL)
    assert {name: getattr(made, name) for name in FULL} == FULL
    assert set(FULL) | {"name"} == set(Operation.model_fields)


def test_lists_are_taken_for_tuples() -> None:
    made = Operation("create_order", scope=["a", "b"], volatile=["/c"])
    assert (made.scope, made.volatile) == (("a", "b"), ("/c",))


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("scope", "customer", "scope: "),
        ("scope", ("a", "a"), "field names must be distinct and not empty"),
        ("scope", ("",), "field names must be distinct and not empty"),
        ("scope", (1,), "scope.0: "),
        ("volatile", ("sent_at",), "volatile.0: 'sent_at' is not a JSON pointer; it starts with a slash"),
        ("volatile", "/sent_at", "volatile: "),
        ("reference", "id", "reference: 'id' is not a JSON pointer"),
        ("reference", "header:", "reference: "),
        ("duplicates", "sometimes", "duplicates: "),
        ("duplicate_window", timedelta(0), "duplicate_window: must be longer than nothing"),
        ("duplicate_window", 86400, "duplicate_window: "),
        ("retention", timedelta(days=-1), "retention: must be longer than nothing"),
        ("window", timedelta(0), "window: must be longer than nothing"),
        ("window", "1d", "window: "),
        ("on_rejected", "never", "on_rejected: "),
        ("on_in_progress", "never", "on_in_progress: "),
        ("on_server_error", "never", "on_server_error: "),
        ("reconcile", "GET /orders", 'reconcile is a str; pass a function of (http, record), or "cancel".'),
        ("absent_after", None, "absent_after: "),
        ("stamp", "", "stamp: "),
        ("secret_query", "token", "secret_query: "),
        ("secret_body", ["card"], "secret_body.0: 'card' is not a JSON pointer"),
        ("secret_response", ["Location"], "secret_response.0: 'Location' is not a JSON pointer"),
        ("max_delay", timedelta(0), "max_delay: must be longer than nothing"),
        ("retry", 5, "retry: "),
        ("owner", 5, "owner: "),
        ("description", 5, "description: "),
    ],
)
def test_a_wrong_option_is_a_usage_error_that_names_it(option: str, value: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Operation("create_order", **{option: value})
    assert str(caught.value).startswith("create_order: ")
    assert says in str(caught.value)
    assert str(caught.value).endswith(".")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["", "x" * 201, 5, None, "\ud800"])
def test_a_wrong_name_is_a_usage_error(name: Any) -> None:
    with pytest.raises(UsageError, match="name: "):
        Operation(name)


def test_an_unknown_option_is_a_usage_error_that_names_it() -> None:
    with pytest.raises(UsageError, match=r"^create_order: retrys: there is no such option\.$"):
        Operation("create_order", retrys=RetryPolicy())


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        Operation("create_order", owner=5, wndow=1)  # type: ignore[arg-type]
    assert "owner: " in str(caught.value)
    assert "wndow: there is no such option" in str(caught.value)


def test_replace_changes_what_it_says_and_validates_again() -> None:
    made = Operation("create_order", **FULL)
    changed = made.replace(owner="shop team", scope=("x",))
    assert (changed.owner, changed.scope) == ("shop team", ("x",))
    assert changed.replace(owner=made.owner, scope=made.scope) == made
    with pytest.raises(UsageError, match="volatile"):
        made.replace(volatile=("x",))
    with pytest.raises(UsageError, match="there is no such option"):
        made.replace(oner="x")


def test_an_operation_is_frozen_and_can_be_copied() -> None:
    made = Operation("create_order", **FULL)
    with pytest.raises(ValidationError):
        setattr(made, "owner", "x")  # noqa: B010 - a type checker forbids it too
    assert copy.copy(made) == copy.deepcopy(made) == made
    assert pickle.loads(pickle.dumps(made)) == made


def test_an_operation_is_compiled_for_the_core() -> None:
    assert Operation("create_order").contract() == Contract()
    assert Operation("create_order", **FULL).contract() == Contract(
        reference="/id",
        volatile=("/sent_at",),
        duplicates="reject",
        duplicate_window=2 * DAY,
        retention=3 * DAY,
        on_rejected="raise",
        on_in_progress="raise",
        on_server_error="review",
        looks_up=True,
        stamp="metadata[samekey]",
        secret_response=("/client_secret", "header:Location"),
        absent_after=timedelta(minutes=5),
    )


def test_a_reference_may_be_in_a_header() -> None:
    assert Operation("create_order", reference="header:Location").reference == "header:Location"


# RetryPolicy


def test_a_policys_defaults_are_the_designs() -> None:
    backoff = RetryPolicy().backoff()
    assert (backoff.attempts, backoff.deadline, backoff.stop) == (5, 60.0, None)
    assert isinstance(backoff.wait, FullJitter)
    assert RetryPolicy().budget == RetryBudget(ratio=0.1, per_second=10.0)


def test_a_policy_takes_any_tenacity_strategy() -> None:
    wait, stop = tenacity.wait_fixed(1), tenacity.stop_after_attempt(2)
    backoff = RetryPolicy(attempts=3, deadline=10, wait=wait, stop=stop, budget=None).backoff()
    assert (backoff.attempts, backoff.deadline, backoff.wait, backoff.stop) == (3, 10.0, wait, stop)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"attempts": 0}, "RetryPolicy: attempts: "),
        ({"attempts": 1001}, "RetryPolicy: attempts: "),
        ({"attempts": True}, "RetryPolicy: attempts: "),
        ({"attempts": 2.5}, "RetryPolicy: attempts: "),
        ({"deadline": 0}, "RetryPolicy: deadline: "),
        ({"deadline": "60"}, "RetryPolicy: deadline: "),
        ({"deadline": True}, "RetryPolicy: deadline: "),
        ({"deadline": float("nan")}, "RetryPolicy: deadline: "),
        ({"wait": 5}, "RetryPolicy: wait is a int; pass a tenacity strategy."),
        ({"stop": "never"}, "RetryPolicy: stop is a str; pass a tenacity strategy."),
        ({"budget": 0.1}, "RetryPolicy: budget: "),
    ],
)
def test_a_wrong_policy_is_a_usage_error(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        RetryPolicy(**options)
    assert str(caught.value).startswith(says)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "options", [{"ratio": -1}, {"ratio": 11}, {"ratio": "a"}, {"per_second": 0}, {"per_second": None}]
)
def test_a_wrong_budget_is_a_usage_error(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"^RetryBudget: (ratio|per_second): "):
        RetryBudget(**options)


def test_policies_are_values() -> None:
    assert RetryPolicy() != RetryPolicy(attempts=4)
    assert RetryBudget(ratio=1) == RetryBudget(ratio=1.0)
    with pytest.raises(ValidationError):
        setattr(RetryPolicy(), "attempts", 3)  # noqa: B010 - a type checker forbids it too


# Provider


def test_a_provider_of_which_nothing_is_said_promises_nothing() -> None:
    profile = Provider("shop").profile()
    assert (profile.name, profile.keyed, profile.key_header, profile.quoted) == (
        "shop",
        True,
        "Idempotency-Key",
        False,
    )
    assert (profile.window_seconds, profile.after_5xx, profile.max_delay_seconds) == (None, None, 120.0)
    assert (profile.in_progress, profile.mismatch, profile.stored_refusals) == ((), (), frozenset())
    assert not profile.pins_credential


def test_every_fact_reaches_the_core() -> None:
    profile = Provider(
        "shop",
        carrier={"kind": "header", "name": "X-Key", "quoted": True},
        methods=["POST"],
        window=timedelta(hours=1),
        max_delay=timedelta(seconds=30),
        after_5xx="resend",
        after_timeout="review",
        in_progress=[{"status": 409}],
        mismatch=[Answer(status=422, code_at="error.code", code="reused")],
        stored_refusals=[402],
        replay_marker=["X-Replayed", "yes"],
        hint_header="X-Retry",
        scope="api_key",
        answers="any",
        see_other=True,
        accepted=False,
    ).profile()
    assert profile.carried("k") == '"k"'
    assert (profile.methods, profile.window_seconds, profile.max_delay_seconds) == (
        frozenset({"POST"}),
        3600.0,
        30.0,
    )
    assert (profile.after_5xx, profile.after_timeout) == ("resend", False)
    assert profile.in_progress == (Detector(409),)
    assert profile.mismatch == (Detector(422, "error.code", "reused"),)
    assert profile.stored_refusals == frozenset({402})
    assert (profile.replay_marker, profile.hint_header) == (("X-Replayed", "yes"), "X-Retry")
    assert (profile.pins_credential, profile.answers_json) == (True, False)
    assert (profile.see_other, profile.accepted) == (True, False)


def test_a_window_may_be_given_in_seconds() -> None:
    assert Provider("shop", window=86400).window == DAY


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"windw": 1}, "windw: there is no such option"),
        ({"window": 0}, "window: must be longer than nothing"),
        ({"window": "soon"}, "window: "),
        ({"max_delay": -1}, "max_delay: must be longer than nothing"),
        ({"after_5xx": "maybe"}, "after_5xx: "),
        ({"after_timeout": None}, "after_timeout: "),
        ({"carrier": {"kind": "body"}}, "carrier.kind: "),
        ({"carrier": {"name": "two words"}}, "carrier.name: "),
        ({"carrier": {"colour": 1}}, "carrier.colour: there is no such option"),
        ({"in_progress": [{"status": 99}]}, "in_progress.0: "),
        ({"replay_marker": ["one"]}, "replay_marker"),
        ({"scope": "planet"}, "scope: "),
        ({"answers": "xml"}, "answers: "),
        ({"tier": "U"}, "tier: "),
        ({"stored_refusals": ["x"]}, "stored_refusals"),
    ],
)
def test_a_wrong_fact_is_a_usage_error_that_names_it(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Provider("shop", **fields)
    assert str(caught.value).startswith("provider 'shop': ")
    assert says in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_provider_without_a_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="name: "):
        Provider("")


def test_a_carrier_may_be_none_at_all() -> None:
    assert not Provider("shop", carrier=Carrier(kind="none")).profile().keyed


@pytest.mark.parametrize("cls", [Operation, RetryPolicy, RetryBudget])
def test_every_option_is_described(cls: type) -> None:
    described = inspect.cleandoc(cls.__doc__ or "")
    for name in inspect.signature(cls).parameters:
        assert name == "unknown" or f"    {name}: " in described, name
