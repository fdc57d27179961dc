"""The public names as a user writes them. Type checkers read this file; nobody runs it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal, assert_type
from uuid import UUID

import httpx
import httpx2
import tenacity

import samekey
from samekey import contract_files, stores
from samekey.lookups import lookup_get, lookup_list, stamp
from samekey.testing import (
    FaultTransport,
    FlakyServer,
    ManualClock,
    ProbeFact,
    ProbeRequest,
    ProbeResult,
    ProbeVerdict,
    assert_effects,
    crash_at,
    probe,
    run_script,
    set_testing,
)

# --- event loops ----------------------------------------------------------------------------------------


async def on_an_event_loop(other: httpx2.AsyncClient) -> None:
    async with samekey.AsyncClient("https://api.shop.example", provider="stripe-v1") as client:
        assert_type(client, samekey.AsyncClient[httpx.Response])
        async with client.action("create_order", scope={"cart": "c-9"}) as action:
            assert_type(action, samekey.AsyncAction[httpx.Response])
            assert_type(await action.post("/orders", json={}), httpx.Response)
        assert_type(await client.record("create_order", scope={"cart": "c-9"}), samekey.Record | None)
        assert_type(await client.recover(limit=3), samekey.Recovery)
        async with client.batch().action("create_order", scope={"cart": "c-9"}) as action:
            assert_type(await action.put("/orders"), httpx.Response)
    second = samekey.AsyncClient(http=other, window=timedelta(days=1), encryption=["new", b"old"])
    async with second.action("create_order", scope={"cart": "c-9"}) as other_action:
        assert_type(await other_action.post("/orders"), httpx2.Response)
    third = samekey.AsyncClient(
        "https://api.shop.example", http=httpx2.AsyncClient, window=timedelta(days=1), http2=True
    )
    assert_type(third, samekey.AsyncClient[httpx2.Response])
    fourth = samekey.AsyncClient(
        "https://api.shop.example", http=httpx.AsyncClient, window=timedelta(days=1), timeout=5
    )
    assert_type(fourth, samekey.AsyncClient[httpx.Response])
    httpx.AsyncClient(transport=samekey.AsyncTransport(provider="increase"))
    httpx2.AsyncClient(transport=samekey.AsyncTransport(provider="increase"))


async def look_up_async(http: httpx.AsyncClient, record: samekey.Record) -> samekey.Found | samekey.Inconclusive:
    response = await http.get("/orders", params={"key": record.idempotency_key})
    return samekey.Found("1", response) if response.is_success else samekey.Inconclusive("no")


assert_type(
    samekey.Client("https://api.shop.example", http=httpx2.Client, provider="increase", timeout=httpx2.Timeout(5)),
    samekey.Client[httpx2.Response],
)
samekey.Operation("create_order", reconcile=look_up_async)
samekey.Client("https://api.shop.example", provider="stripe-v1", encryption="keyring")
samekey.Transport(provider="increase", encryption=b"key")
samekey.AsyncTransport(provider="increase", encryption=("new", "old"))

# --- contracts ------------------------------------------------------------------------------------------

create_order = samekey.Operation(
    "create_order",
    scope=("customer", "cart"),
    volatile=("/sent_at",),
    reference="/id",
    duplicates="warn",
    duplicate_window=timedelta(days=1),
    retention=timedelta(days=30),
    window=timedelta(hours=24),
    on_rejected="if_changed",
    on_in_progress="wait",
    on_server_error="profile",
    reconcile=None,
    absent_after=timedelta(minutes=2),
    max_delay=timedelta(minutes=5),
    retry=samekey.RetryPolicy(),
    owner="payments team",
    description="Places one order.",
)
assert_type(create_order, samekey.Operation)
assert_type(create_order.replace(duplicates="reject"), samekey.Operation)

policy = samekey.RetryPolicy(
    attempts=3,
    deadline=20.0,
    wait=tenacity.wait_exponential_jitter(),
    stop=tenacity.stop_after_attempt(3),
    budget=samekey.RetryBudget(),
)
profile = samekey.Provider(
    "shop",
    carrier={"kind": "header", "name": "X-Request-Key"},
    window=timedelta(hours=24),
    after_5xx="resend",
)


def look_up(http: httpx.Client, record: samekey.Record) -> samekey.Found | samekey.Absent | samekey.Inconclusive:
    """Every answer that a look-up may give."""
    answer = http.get("/orders", params={"cart": record.scope["cart"]})
    if answer.status_code == 404:
        return samekey.Absent(evidence="no such cart")
    if answer.is_success:
        return samekey.Found("ord_9", response=answer, evidence="search by cart")
    return samekey.Inconclusive(evidence=f"HTTP {answer.status_code}")


any_look_up: samekey.LookUp = look_up
ready_made: list[samekey.LookUp] = [
    lookup_get("/orders/{cart}", consistent=True),
    lookup_list("/orders", params={"ext": "{stamp}"}, match=lambda item, record: item["cart"] == record.scope["cart"]),
]
absent_for_sure = samekey.Absent("404 from the primary", consistent=True)
assert_type(stamp({"cart": "c-9"}), str)
assert_type(contract_files.load("contracts.toml"), tuple[samekey.Operation, ...])
reconciled = samekey.Operation("create_order", scope=("cart",), reconcile=look_up)

# --- clients --------------------------------------------------------------------------------------------

plain = samekey.Client("https://api.shop.example", provider="stripe-v1")
assert_type(plain, samekey.Client[httpx.Response])

first = samekey.Client("https://api.shop.example", provider=profile, http=httpx.Client())
assert_type(first, samekey.Client[httpx.Response])

second = samekey.Client("https://api.shop.example", provider="keyless", http=httpx2.Client())
assert_type(second, samekey.Client[httpx2.Response])

samekey.Client(
    "https://api.shop.example",
    window=timedelta(hours=24),
    operations=(create_order,),
    store=Path("orders.db"),
    retry=policy,
    actor="shop-7",
    secret="a secret of the fleet",
    keep="reference",
    freeze="nothing",
    timeout=httpx.Timeout(30, connect=5),
    headers={"Authorization": "Bearer …"},
)
samekey.Client("https://api.shop.example", provider="stripe-v1", store="sqlite:///orders.db")
samekey.Client("https://api.shop.example", provider="stripe-v1", store=stores.SQLiteStore("orders.db"))
memory: stores.Store = stores.MemoryStore()
samekey.Client("https://api.shop.example", provider="stripe-v1", store=memory)


def actions() -> None:
    """One write, and what is known afterwards."""
    with plain as client:
        assert_type(client, samekey.Client[httpx.Response])
        assert_type(client.store.location, str)
        with client.action(create_order, scope={"customer": 42, "cart": "c-9"}, correlation_id="run-7") as action:
            assert_type(action, samekey.Action[httpx.Response])
            assert_type(action.post("/orders", json={"total": "19.99"}), httpx.Response)
            assert_type(action.request("POST", "/orders", content=b"{}"), httpx.Response)
            assert_type(action.put("/orders/9", json={}), httpx.Response)
            assert_type(action.patch("/orders/9", data={"total": "19.99"}), httpx.Response)
            assert_type(action.delete("/orders/9"), httpx.Response)
        assert_type(action.key, str | None)
        assert_type(action.status, samekey.Status | None)
        assert_type(action.record, samekey.Record | None)
        assert_type(action.attempts, int)
        assert_type(action.replayed, bool)
        assert_type(action.recovered, bool)
        assert_type(action.reference, str)

    with second.action("create_order", scope={"cart": UUID(int=9)}) as other:
        assert_type(other.post("/orders"), httpx2.Response)


def scopes(client: samekey.Client[httpx.Response]) -> None:
    """Whatever has one spelling may name an action."""
    now = datetime.now(UTC)
    values: list[samekey.ScopeValue] = [
        "c-9",
        42,
        True,
        Decimal("1.50"),
        UUID(int=1),
        date(2026, 11, 24),
        now,
    ]
    for value in values:
        scope: samekey.Scope = {"cart": value}
        client.action("create_order", scope=scope)
    client.action("create_order", scope={"total": 19.99})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]  # ty: ignore[invalid-argument-type]
    client.action("create_order", scope={"total": None})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]  # ty: ignore[invalid-argument-type]


def asking(client: samekey.Client[httpx.Response]) -> None:
    """What can be asked without a write."""
    recovery = client.recover(limit=10)
    assert_type(recovery, samekey.Recovery)
    assert_type(recovery.settled, tuple[samekey.Record, ...])
    assert_type(recovery.left, tuple[samekey.Record, ...])
    assert_type(client.recoverable(), samekey.Recovery)
    assert_type(client.recheck(recovery.left[0]), samekey.Record)
    assert_type(client.operations, tuple[samekey.Operation, ...])
    record = client.record(create_order, scope={"customer": 42, "cart": "c-9"})
    assert_type(record, samekey.Record | None)
    if record is not None:
        assert_type(record.status, samekey.Status)
        assert_type(record.response_reference, str | None)
        assert_type(record.first_sent_at, datetime | None)
        assert_type(record.scope, Mapping[str, str])


# --- exceptions -----------------------------------------------------------------------------------------


def errors(client: samekey.Client[httpx.Response]) -> None:
    """What an exception tells code."""
    try:
        with client.action(create_order, scope={"customer": 42, "cart": "c-9"}) as action:
            action.post("/orders")
    except samekey.ActionRejectedError as error:
        print(error.response.status_code)
    except samekey.KeyReusedError as error:
        assert_type(error.by, Literal["local", "server"])
        assert_type(error.changed, tuple[str, ...])
    except samekey.DuplicateActionError as error:
        assert_type(error.other_key, str)
    except samekey.NeedsReviewError as error:
        assert_type(error.reason, str)
    except samekey.SamekeyError as error:
        assert_type(error.key, str | None)
        assert_type(error.operation_name, str | None)
        assert_type(error.actor_id, str | None)
        assert_type(error.scope, Mapping[str, str])
        assert_type(error.attempts, int)
        assert_type(error.status, samekey.Status | None)
        assert_type(error.correlation_id, str | None)
        assert_type(error.started_at, datetime | None)
        assert_type(error.reference, str | None)
        assert_type(error.retry_safe, bool)
        assert_type(error.retry_after, float | None)
        assert_type(error.retry_until, datetime | None)


def family() -> None:
    """Who is whose parent."""
    root: list[type[samekey.SamekeyError]] = [
        samekey.UsageError,
        samekey.ConflictError,
        samekey.ActionRejectedError,
        samekey.NotSentError,
        samekey.OutcomeUnknownError,
        samekey.NeedsReviewError,
        samekey.ActionAbandonedError,
        samekey.StoreError,
    ]
    conflicts: list[type[samekey.ConflictError]] = [
        samekey.KeyReusedError,
        samekey.ActionInProgressError,
        samekey.DuplicateActionError,
    ]
    troubles: list[type[samekey.StoreError]] = [samekey.StoreUnavailableError, samekey.StoreFormatError]
    usage: type[ValueError] = samekey.UsageError
    print(root, conflicts, troubles, usage)


# --- the kit --------------------------------------------------------------------------------------------


def sandbox() -> None:
    """A probe: the profile by name or as a value, the result frozen and typed."""
    request = ProbeRequest("https://sandbox.shop.example/orders", json={"total": "1.00"}, change="/total")
    result = probe("stripe-v1", request, retention=60)
    assert_type(result, ProbeResult)
    assert_type(result.facts, tuple[ProbeFact, ...])
    assert_type(result.facts[0].verdict, ProbeVerdict)
    assert_type(result.effects, int | None)
    probe(samekey.Provider("shop"), request, http=httpx.Client())
    probe("strype-v1", request)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # ty: ignore[invalid-argument-type]


def kit() -> None:
    """A server to test against, and the same faults without a socket."""
    with FlakyServer() as server:
        assert_type(server.url, str)
        samekey.Client(server.url, provider="stripe-v1")
    samekey.Client("https://api.shop.example", provider="stripe-v1", transport=FaultTransport())


def test_conditions(server: FlakyServer) -> None:
    def place(url: str, *, cart: int) -> str:
        return f"{url}/{cart}"

    with set_testing(store="test.db", clock=ManualClock(), attempts=3) as nothing:
        assert_type(nothing, None)
    crash = crash_at("after_send", occurrence=2, server=server)
    assert_type(crash(place, server.url, cart=9), str)
    crash(place, server.url, cart="9")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # ty: ignore[invalid-argument-type]
    crash_at("after_sending")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # ty: ignore[invalid-argument-type]
    assert_type(run_script("order.py", server.url), str)
    assert_effects(server, 1)
