"""When it is sent again, how long it waits before, and what ends it; HTTP alone, without a socket."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import httpx
import pytest
import respx
import tenacity

import samekey
from tests.client.conftest import AT_ONCE, BODY, OK, create_order, fake_clock, known, post


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Tue, 24 Nov 2126 05:10:00 GMT"}, None),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, 0.0),
    ],
)
def test_a_429_waits_as_long_as_it_says(
    api: respx.MockRouter, shop: samekey.Client, headers: dict[str, str], seconds: float | None
) -> None:
    clock = fake_clock(shop)
    api.post("/orders").side_effect = [httpx.Response(429, headers=headers), OK]
    if seconds is None:  # in a hundred years: longer than the deadline, so it is told and not waited for
        with pytest.raises(samekey.NotSentError, match=r"turned it away \(HTTP 429\), so nothing was done") as raised:
            post(shop)
        assert raised.value.retry_after is not None
        assert raised.value.retry_after > 3e9
        assert clock.slept == []
        assert known(shop).status is samekey.Status.PENDING
    else:
        assert post(shop).reference == "order_1"
        assert clock.slept == ([seconds] if seconds else [])


def test_a_date_is_a_form_of_retry_after(api: respx.MockRouter, shop: samekey.Client) -> None:
    clock = fake_clock(shop)
    at = clock.now().wall + timedelta(seconds=30)
    api.post("/orders").side_effect = [
        httpx.Response(429, headers={"retry-after": format_datetime(at, usegmt=True)}),
        OK,
    ]
    assert post(shop).reference == "order_1"
    (slept,) = clock.slept
    assert 28 < slept <= 30


def test_a_wait_longer_than_the_deadline_parks_the_action(api: respx.MockRouter, shop: samekey.Client) -> None:
    clock = fake_clock(shop)
    api.post("/orders").respond(503, headers={"retry-after": "120"})
    with pytest.raises(samekey.OutcomeUnknownError) as raised:
        post(shop)
    assert (raised.value.retry_after, clock.slept) == (120.0, [])
    assert known(shop).status is samekey.Status.UNKNOWN


def test_attempts_end_with_the_policy(api: respx.MockRouter, shop: samekey.Client) -> None:
    route = api.post("/orders").respond(503)
    with pytest.raises(samekey.OutcomeUnknownError, match="sent 5 times"):
        post(shop)
    assert route.call_count == 5


def test_the_policy_of_the_operation_comes_before_the_clients(api: respx.MockRouter, shop: samekey.Client) -> None:
    route = api.post("/orders").respond(503)
    with pytest.raises(samekey.OutcomeUnknownError, match="sent 2 times"):
        post(shop, operation=create_order.replace(retry=samekey.RetryPolicy(attempts=2, wait=AT_ONCE.wait)))
    assert route.call_count == 2


def test_the_deadline_ends_the_attempts_and_shortens_their_time_outs(
    api: respx.MockRouter, shop: samekey.Client
) -> None:
    clock = fake_clock(shop)
    hurried = create_order.replace(
        retry=samekey.RetryPolicy(attempts=10, deadline=10, wait=tenacity.wait_fixed(4), budget=None)
    )
    route = api.post("/orders").respond(503)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(shop, operation=hurried)
    assert clock.slept == [4.0, 4.0]
    reads = [call.request.extensions["timeout"]["read"] for call in route.calls]
    assert len(reads) == 3
    assert all(left <= limit for left, limit in zip(reads, [10, 6, 2], strict=True))


def test_a_stop_strategy_of_tenacity_ends_the_attempts(api: respx.MockRouter, shop: samekey.Client) -> None:
    route = api.post("/orders").respond(503)
    stopping = create_order.replace(
        retry=samekey.RetryPolicy(wait=tenacity.wait_none(), stop=tenacity.stop_after_attempt(3))
    )
    with pytest.raises(samekey.OutcomeUnknownError):
        post(shop, operation=stopping)
    assert route.call_count == 3


def test_the_retry_budget_stops_a_storm(api: respx.MockRouter, shop: samekey.Client) -> None:
    """Its own ratio gives this test a bucket of its own; it starts full, and no time passes."""
    budget = samekey.RetryBudget(ratio=0.0625, per_second=0.001)
    policy = samekey.RetryPolicy(attempts=5, wait=tenacity.wait_none(), budget=budget)
    route = api.post("/orders").respond(503)
    stopped = 0
    for number in range(40):
        operation = create_order.replace(retry=policy)
        with (
            pytest.raises(samekey.OutcomeUnknownError),
            shop.action(operation, scope={"order": number}) as action,
        ):
            action.post("/orders", json=BODY)
        stopped += (action.attempts or 0) < 5
    retries = route.call_count - 40
    assert stopped > 0
    assert retries <= 105
    existing = shop.record(create_order, scope={"order": 39})
    assert existing is not None
    assert "budget_stop" in [event.kind for event in shop.store.events(existing.idempotency_key)]


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_what_never_left_is_sent_again_and_then_told(
    api: respx.MockRouter, shop: samekey.Client, error: type[httpx.TransportError]
) -> None:
    route = api.post("/orders").mock(side_effect=error("no"))
    with pytest.raises(samekey.NotSentError, match=r"no connection to api.shop.example \(.*, 5 attempts") as raised:
        post(shop)
    assert route.call_count == 5
    assert isinstance(raised.value.__cause__, error)
    assert raised.value.retry_safe
    assert (known(shop).status, known(shop).open_attempts) == (samekey.Status.PENDING, 0)


def test_not_sent_after_an_unknown_attempt_is_unknown(api: respx.MockRouter, shop: samekey.Client) -> None:
    api.post("/orders").side_effect = [httpx.ReadTimeout("slow"), *[httpx.ConnectError("gone")] * 4]
    with pytest.raises(samekey.OutcomeUnknownError):
        post(shop)
    assert (known(shop).status, known(shop).open_attempts) == (samekey.Status.UNKNOWN, 1)
