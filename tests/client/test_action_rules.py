"""One action is one write, made inside its block, under samekey's own key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import BODY, ONCE, Connect, create_order, post


def test_a_second_write_is_refused_and_the_first_one_named(server: FlakyServer, client: samekey.Client) -> None:
    with client.action(create_order, scope={"order": 1}) as action:
        action.post("/orders", json=BODY)
        with pytest.raises(
            samekey.UsageError,
            match=r"create_order\(order=1\): this action has made its one write, POST /orders; open a second action "
            r"for PUT /lines\.",
        ):
            action.put("/lines?token=secret", json=BODY)
    assert len(server.requests) == 1


def test_a_write_that_failed_was_the_one_write_too(server: FlakyServer, client: samekey.Client) -> None:
    server.close()
    with client.action(create_order, scope={"order": 1}) as action:
        with pytest.raises(samekey.NotSentError):
            action.post("/orders", json=BODY)
        server.start()
        with pytest.raises(samekey.UsageError, match="has made its one write"):
            action.post("/orders", json=BODY)
    assert not server.requests


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_write_outside_the_block_is_refused(client: samekey.Client, when: str) -> None:
    action = client.action(create_order, scope={"order": 1})
    if when == "after":
        with action:
            pass
    with pytest.raises(samekey.UsageError, match=r"the action is not open; write inside its 'with' block\."):
        action.post("/orders", json=BODY)


def test_an_action_is_opened_once(client: samekey.Client) -> None:
    action = client.action(create_order, scope={"order": 1})
    with action:
        action.post("/orders", json=BODY)
    with pytest.raises(samekey.UsageError, match="this action was opened before"), action:
        pass


def test_leaving_without_a_write_leaves_no_trace(client: samekey.Client, server: FlakyServer) -> None:
    with client.action(create_order, scope={"order": 1}) as action:
        pass
    assert client.record(create_order, scope={"order": 1}) is None
    assert action.status is None
    assert not server.requests


def test_a_usage_error_does_not_use_up_the_action(server: FlakyServer, client: samekey.Client) -> None:
    with client.action(create_order, scope={"order": 1}) as action:
        with pytest.raises(samekey.UsageError):
            action.post("/orders", json=BODY, content=b"two bodies")
        action.post("/orders", json=BODY)
    assert len(server.effects) == 1


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key"])
def test_an_own_key_header_is_refused(client: samekey.Client, name: str) -> None:
    with pytest.raises(samekey.UsageError, match="brings its own Idempotency-Key header; leave it out"):
        post(client, headers={name: "mine"})
    assert client.record(create_order, scope={"order": 1}) is None


def test_an_own_key_among_the_headers_of_the_client_is_refused(connect: Connect) -> None:
    with pytest.raises(samekey.UsageError, match="own Idempotency-Key header"):
        post(connect(headers={"Idempotency-Key": "mine"}))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "get"])
def test_a_read_is_not_an_action(client: samekey.Client, method: str) -> None:
    with (
        client.action(create_order, scope={"order": 1}) as action,
        pytest.raises(samekey.UsageError, match=f"{method.upper()} is not a write"),
    ):
        action.request(method, "/orders")


def test_a_method_whose_key_the_api_ignores_is_refused(connect: Connect) -> None:
    client = connect(provider="stripe-v1")
    with (
        client.action(create_order, scope={"order": 1}) as action,
        pytest.raises(
            samekey.UsageError, match="stripe-v1 honours keys on POST only, so DELETE would not be protected"
        ),
    ):
        action.delete("/orders/1")


def test_reads_go_through_the_client_below(server: FlakyServer, client: samekey.Client) -> None:
    assert client.http.get("/orders/none").status_code == 404
    assert client.store.location.endswith("samekey.db")


def test_an_unknown_name_is_refused_and_the_near_one_told(connect: Connect) -> None:
    client = connect(operations=[create_order])
    with pytest.raises(
        samekey.UsageError,
        match=r"'create_ordr' is not an operation of this client \(did you mean 'create_order'\?\); another name would "
        r"be another action with another key\.",
    ):
        client.action("create_ordr", scope={"order": 1})
    with pytest.raises(samekey.UsageError, match="not an operation of this client"):
        client.record("refund", scope={"order": 1})


def test_a_known_name_stands_for_its_operation(server: FlakyServer, connect: Connect) -> None:
    client = connect(operations=[create_order])
    with client.action("create_order", scope={"order": 1}) as action:
        action.post("/orders", json=BODY)
    assert action.reference == "order_1"
    assert post(client).replayed


def test_without_operations_any_name_will_do(server: FlakyServer, client: samekey.Client) -> None:
    with client.action("anything", scope={"order": 1}) as action:
        action.post("/orders", json=BODY)
    assert action.status is samekey.Status.SUCCEEDED


BAD_SCOPES: list[tuple[Any, str]] = [
    (
        {"crat": 1},
        r"create_order: the scope lacks 'order' and has 'crat', which is not declared; give exactly order\.",
    ),
    ({}, "lacks 'order'"),
    ({"order": 1, "cart": 2}, "has 'cart', which is not declared"),
    (
        {"order": 1.5},
        r"scope field 'order' is a float, which has no single spelling; pass a Decimal or a str\.",
    ),
    (
        {"order": None},
        "scope field 'order' is None, which all actions without a order would share; give a value",
    ),
    ({"order": Decimal("NaN")}, "names nothing"),
    ({"order": datetime(2026, 1, 1)}, "without a time zone"),  # noqa: DTZ001 - that is the fault
    ({"order": b"7"}, "is a bytes"),
    ({"order": [1]}, "is a list"),
    ("order", "scope is a str"),
]


@pytest.mark.parametrize(("scope", "message"), BAD_SCOPES, ids=lambda value: repr(value)[:30])
def test_a_scope_that_does_not_fit_is_refused(client: samekey.Client, scope: Any, message: str) -> None:
    with pytest.raises(samekey.UsageError, match=message):
        client.action(create_order, scope=scope)
    with pytest.raises(samekey.UsageError, match=message):
        client.record(create_order, scope=scope)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (42, "42"),
        (True, "true"),
        (Decimal("1.10"), "1.1"),
        (UUID(int=7), str(UUID(int=7))),
        (date(2026, 11, 24), "2026-11-24"),
        (datetime(2026, 11, 24, 5, 10, tzinfo=UTC), "2026-11-24T05:10:00Z"),
        ("é", "e\u0301"),
    ],
)
def test_equal_text_is_the_same_action(server: FlakyServer, client: samekey.Client, one: Any, other: Any) -> None:
    assert not post(client, one).replayed
    assert post(client, other).replayed


@pytest.mark.parametrize(
    "change",
    [
        lambda client: client.action("create_order", scope={"order": 2}),
        lambda client: client.action("create_orders", scope={"order": 1}),
    ],
)
def test_another_scope_or_name_is_another_key(
    client: samekey.Client, change: Callable[[samekey.Client], samekey.Action], server: FlakyServer
) -> None:
    identities = {
        client.action(create_order, scope={"order": 1})._identity.digest,
        change(client)._identity.digest,
    }
    assert len(identities) == 2


def test_the_correlation_id_is_kept(client: samekey.Client) -> None:
    with client.action(create_order, scope={"order": 1}, correlation_id="job-7") as action:
        action.post("/orders", json=BODY)
    record = client.record(create_order, scope={"order": 1})
    assert record is not None
    assert record.correlation_id == "job-7"


def test_the_correlation_id_is_on_the_error(server: FlakyServer, connect: Connect) -> None:
    server.close()
    client = connect()
    with (
        pytest.raises(samekey.NotSentError) as raised,
        client.action(create_order, scope={"order": 1}, correlation_id="job-7") as action,
    ):
        action.post("/orders", json=BODY)
    error = raised.value
    assert (error.correlation_id, error.operation_name, error.actor_id) == (
        "job-7",
        "create_order",
        "default",
    )
    assert (error.scope, error.key, error.status) == ({"order": "1"}, action.key, samekey.Status.PENDING)


def test_scope_names_that_change_between_runs_are_refused(server: FlakyServer, client: samekey.Client) -> None:
    post(client)
    renamed = create_order.replace(scope=("cart",))
    with (
        pytest.raises(samekey.UsageError, match="this store knows create_order with the scope order; other fields"),
        client.action(renamed, scope={"cart": 1}) as action,
    ):
        action.post("/orders", json=BODY)
    assert len(server.requests) == 1
    assert client.record(renamed, scope={"cart": 1}) is None


def test_a_contract_that_changed_is_noticed_on_what_is_open(
    server: FlakyServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(connect(retry=ONCE))
    client = connect(operations=[create_order.replace(window=timedelta(hours=1))])
    action = post(client, operation="create_order")
    assert action.recovered
    events = {event.kind: event.detail for event in client.store.events(action.key or "")}
    assert events["contract_changed"] == "window 86400 s → 3600 s: the shorter counts"
    assert "its contract has changed since it was begun" in caplog.text
    caplog.clear()
    post(client, operation="create_order")
    assert "contract has changed" not in caplog.text
