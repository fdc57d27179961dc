"""Stripe's rules, and those of an API without keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx

import samekey
from samekey.stores import MemoryStore
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import AT_ONCE, BODY, DAY, ONCE, Connect, create_order, fake_clock, post, synchronous
from tests.client.views import View

API = "https://api.stripe.com"
CHARGE = httpx.Response(200, json={"id": "ch_1"})


@pytest.fixture
def charges() -> Iterator[respx.Route]:
    with respx.mock(base_url=API, assert_all_called=False) as router:
        yield router.post("/v1/charges")


@pytest.fixture
def stripe() -> Iterator[samekey.Client]:
    options: dict[str, Any] = {"store": MemoryStore(), "retry": AT_ONCE, "verify": False}
    with samekey.Client(API, provider="stripe-v1", **options) as client:
        yield client


def charge(client: samekey.Client) -> samekey.Action:
    with client.action(create_order, scope={"order": 1}) as action:
        action.post("/v1/charges", data={"amount": "1999"})
    return action


def replies(route: respx.Route, *answers: httpx.Response) -> None:
    route.side_effect = list(answers)


def error(status: int, **fields: str) -> httpx.Response:
    return httpx.Response(status, json={"error": fields})


def test_stripe_says_that_a_request_is_still_running(charges: respx.Route, stripe: samekey.Client) -> None:
    replies(charges, error(409, code="idempotency_key_in_use"), CHARGE)
    assert charge(stripe).reference == "ch_1"


def test_stripe_keeps_being_busy(charges: respx.Route, stripe: samekey.Client) -> None:
    charges.mock(return_value=error(409, code="idempotency_key_in_use"))
    with pytest.raises(samekey.ActionInProgressError, match="the API is still working on it"):
        charge(stripe)


def test_stripe_knows_the_key_with_other_data(charges: respx.Route, stripe: samekey.Client) -> None:
    replies(charges, error(400, type="idempotency_error"))
    with pytest.raises(samekey.KeyReusedError, match="which this store never sent") as raised:
        charge(stripe)
    assert raised.value.by == "server"


def test_a_stored_decline_settles_also_after_an_unknown_attempt(charges: respx.Route, stripe: samekey.Client) -> None:
    replies(charges, httpx.Response(500), error(402, code="card_declined"))
    with pytest.raises(samekey.ActionRejectedError) as raised:
        charge(stripe)
    assert raised.value.status is samekey.Status.REJECTED


def test_a_replayed_500_is_not_asked_for_again(charges: respx.Route, stripe: samekey.Client) -> None:
    replies(charges, httpx.Response(500), httpx.Response(500, headers={"Idempotent-Replayed": "true"}))
    with pytest.raises(samekey.NeedsReviewError) as raised:
        charge(stripe)
    assert raised.value.reason == "server_error"
    assert charges.call_count == 2


def test_should_retry_true_makes_a_refusal_worth_a_retry(charges: respx.Route, stripe: samekey.Client) -> None:
    retry = httpx.Response(409, json={"error": {"code": "lock_timeout"}}, headers={"Stripe-Should-Retry": "true"})
    replies(charges, retry, CHARGE)
    assert charge(stripe).reference == "ch_1"


def test_should_retry_false_ends_the_retries_of_a_5xx(charges: respx.Route, stripe: samekey.Client) -> None:
    replies(charges, httpx.Response(500, headers={"Stripe-Should-Retry": "false"}))
    with pytest.raises(samekey.OutcomeUnknownError):
        charge(stripe)
    assert charges.call_count == 1


def test_the_key_goes_out_bare_unless_the_profile_says_quoted(server: FlakyServer, connect: Connect) -> None:
    quoted = samekey.Provider("quoted", carrier={"kind": "header", "name": "X-Key", "quoted": True}, window=DAY)
    action = post(connect(provider=quoted))
    assert server.requests[0].header("x-key") == f'"{action.key}"'
    assert server.requests[0].header("idempotency-key") is None


def test_where_keys_belong_to_the_api_key_another_one_is_a_conflict(server: FlakyServer, connect: Connect) -> None:
    pinned = samekey.Provider("pinned", window=DAY, scope="api_key")
    post(connect(provider=pinned, headers={"Authorization": "Bearer one"}))
    with pytest.raises(samekey.KeyReusedError, match="another API key") as raised:
        post(connect(provider=pinned, headers={"Authorization": "Bearer two"}))
    assert raised.value.changed == ("credential",)
    assert len(server.requests) == 1


def test_the_stricter_of_two_windows_counts(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    short = create_order.replace(window=DAY / 24)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(connect(retry=ONCE))
    client = connect()
    fake_clock(client).passed = 3600
    with pytest.raises(samekey.NeedsReviewError) as raised:
        post(client, operation=short)
    assert raised.value.reason == "window_closed"
    assert len(server.requests) == 1


# keyless


def test_without_keys_nothing_is_sent_twice(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    client = connect(provider="keyless")
    for _ in range(2):
        with pytest.raises(samekey.NeedsReviewError, match="this API has no keys, so it is not sent") as raised:
            post(client)
        assert (raised.value.reason, raised.value.retry_safe) == ("keyless", False)
    assert len(server.requests) == len(server.effects) == 1
    assert server.requests[0].key is None


def test_without_keys_a_success_is_replayed_from_the_record(server: FlakyServer, connect: Connect) -> None:
    client = connect(provider="keyless")
    post(client)
    assert post(client).replayed
    assert len(server.requests) == 1


def test_without_keys_what_never_left_is_sent_again(server: FlakyServer, connect: Connect) -> None:
    client = connect(provider="keyless")
    server.close()
    with pytest.raises(samekey.NotSentError):
        post(client)
    server.start()
    assert post(client).reference == "order_1"
    assert len(server.requests) == 1


def test_without_keys_a_refusal_is_a_refusal(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.REJECT(422))
    with pytest.raises(samekey.ActionRejectedError):
        post(connect(provider="keyless"))


@synchronous
def test_without_keys_every_write_goes_out_on_a_fresh_connection(server: FlakyServer, connect: Connect) -> None:
    client = connect(provider="keyless")
    connected: list[str] = []

    def trace(event: str, _info: Any) -> None:
        if event == "connection.connect_tcp.complete":
            connected.append(event)

    for order in range(3):
        post(client, order, extensions={"trace": trace})
    assert len(connected) == 3


def test_without_keys_a_look_up_can_tell(server: FlakyServer, connect: Connect) -> None:
    def reconcile(http: httpx.Client, record: samekey.Record) -> samekey.Found:
        return samekey.Found("order_1", http.get("/orders/order_1"), f"order {record.scope['order']}")

    async def reconcile_async(http: httpx.AsyncClient, record: samekey.Record) -> samekey.Found:
        return samekey.Found("order_1", await http.get("/orders/order_1"), f"order {record.scope['order']}")

    server.script(Fault.COMMIT_THEN_DROP)
    client = connect(provider="keyless")
    ask: Any = reconcile_async if isinstance(client, View) else reconcile
    action = post(client, operation=create_order.replace(reconcile=ask))
    assert (action.reference, action.status) == ("order_1", samekey.Status.SUCCEEDED)
    assert [seen.method for seen in server.requests] == ["POST", "GET"]


# duplicates


def test_the_same_payload_under_another_scope_is_allowed_unless_told(
    server: FlakyServer, client: samekey.Client
) -> None:
    post(client, 1)
    post(client, 2)
    assert len(server.effects) == 2


def test_duplicates_reject_sends_nothing_and_names_the_other(server: FlakyServer, client: samekey.Client) -> None:
    guarded = create_order.replace(duplicates="reject")
    first = post(client, 1, operation=guarded)
    with pytest.raises(
        samekey.DuplicateActionError, match=r"the same data was used .* by create_order\(order=1\)"
    ) as raised:
        post(client, 2, operation=guarded)
    assert raised.value.other_key == first.key
    assert client.record(guarded, scope={"order": 2}) is None
    assert len(server.requests) == 1
    assert post(client, 1, operation=guarded).replayed
    post(client, 2, operation=guarded, json=BODY | {"total": "1"})


def test_duplicates_warn_sends_and_warns(
    server: FlakyServer, client: samekey.Client, caplog: pytest.LogCaptureFixture
) -> None:
    guarded = create_order.replace(duplicates="warn")
    post(client, 1, operation=guarded)
    post(client, 2, operation=guarded)
    assert len(server.effects) == 2
    assert [record.levelname for record in caplog.records if record.name == "samekey"] == ["WARNING"]


# on_rejected


def refuse(server: FlakyServer, client: samekey.Client, **options: Any) -> None:
    server.script(Fault.REJECT(422))
    with pytest.raises(samekey.ActionRejectedError):
        post(client, **options)


def test_corrected_data_after_a_refusal_get_the_next_generation_and_another_key(
    server: FlakyServer, client: samekey.Client
) -> None:
    refuse(server, client)
    with pytest.raises(samekey.ActionRejectedError, match="was not asked again"):
        post(client)
    action = post(client, json=BODY | {"total": "20.00"})
    assert action.record is not None
    assert (action.record.generation, action.reference) == (2, "order_1")
    assert len({seen.key for seen in server.requests}) == 2
    assert post(client, json=BODY | {"total": "20.00"}).replayed
    with pytest.raises(samekey.KeyReusedError):
        post(client)


def test_on_rejected_raise_never_asks_again(server: FlakyServer, client: samekey.Client) -> None:
    final = create_order.replace(on_rejected="raise")
    refuse(server, client, operation=final)
    for total in ("19.99", "20.00"):
        with pytest.raises(samekey.ActionRejectedError):
            post(client, operation=final, json=BODY | {"total": total})
    assert len(server.requests) == 1


def test_on_rejected_new_generation_asks_again_with_the_same_data(server: FlakyServer, client: samekey.Client) -> None:
    stubborn = create_order.replace(on_rejected="new_generation")
    refuse(server, client, operation=stubborn)
    assert post(client, operation=stubborn).reference == "order_1"
    assert len({seen.key for seen in server.requests}) == 2
