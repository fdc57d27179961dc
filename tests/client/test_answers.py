"""What each kind of answer means to the caller, by status; HTTP alone, without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx

import samekey
from samekey.stores import MemoryStore
from tests.client.conftest import AT_ONCE, BODY, DAY, ONCE, create_order, fake_clock

API = "https://api.shop.example"
JSON = {"content-type": "application/json"}
PAGE = {"content-type": "text/html"}


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=API, assert_all_called=False) as router:
        yield router


@pytest.fixture
def client() -> Iterator[samekey.Client]:
    with samekey.Client(API, window=DAY, store=MemoryStore(), retry=AT_ONCE, verify=False) as client:
        yield client


def post(client: samekey.Client, **options: Any) -> samekey.Action:
    operation = options.pop("operation", create_order)
    with client.action(operation, scope={"order": 1}) as action:
        action.post("/orders", **({"json": BODY} | options))
    return action


def record(client: samekey.Client) -> samekey.Record:
    record = client.record(create_order, scope={"order": 1})
    assert record is not None
    return record


OK = httpx.Response(201, json={"id": "order_1"})


@pytest.mark.parametrize("status", [400, 402, 404, 409, 410, 422, 451])
def test_a_refusal_of_the_first_send_is_rejected_and_not_asked_again(
    api: respx.MockRouter, client: samekey.Client, status: int
) -> None:
    route = api.post("/orders").respond(status, json={"error": "no"}, headers={"set-cookie": "session=s3cret"})
    with pytest.raises(samekey.ActionRejectedError, match=f"refused it with HTTP {status} and nothing happened") as first:
        post(client, headers={"Authorization": "Bearer s3cret"})
    with pytest.raises(samekey.ActionRejectedError, match=rf"HTTP {status} on .* and was not asked again") as second:
        post(client, headers={"Authorization": "Bearer s3cret"})

    assert route.call_count == 1
    assert record(client).status is samekey.Status.REJECTED
    for raised in (first, second):
        response = raised.value.response
        assert isinstance(response, httpx.Response)
        assert (response.status_code, response.json()) == (status, {"error": "no"})
        assert not response.request.headers
        assert "set-cookie" not in response.headers
        assert not raised.value.retry_safe
        with pytest.raises(httpx.HTTPStatusError):
            response.raise_for_status()


@pytest.mark.parametrize("status", [401, 407, 421, 425, 428, 431])
def test_what_was_turned_away_in_front_can_be_run_again_as_it_is(
    api: respx.MockRouter, client: samekey.Client, status: int
) -> None:
    route = api.post("/orders")
    route.side_effect = [httpx.Response(status, json={}), OK]
    with pytest.raises(samekey.ActionRejectedError, match=f"turned it away with HTTP {status}") as raised:
        post(client)
    assert raised.value.retry_safe
    assert raised.value.response.status_code == status
    assert record(client).status is samekey.Status.PENDING
    action = post(client)
    assert (action.reference, action.attempts) == ("order_1", 2)
    assert len({call.request.headers["idempotency-key"] for call in route.calls}) == 1


@pytest.mark.parametrize("status", [403, 404, 405, 413, 415])
def test_these_are_the_apis_own_only_if_they_look_like_it(
    api: respx.MockRouter, client: samekey.Client, status: int
) -> None:
    route = api.post("/orders").respond(status, html="<h1>blocked</h1>")
    with pytest.raises(samekey.ActionRejectedError) as raised:
        post(client)
    assert raised.value.retry_safe
    assert record(client).status is samekey.Status.PENDING

    route.respond(status, json={"error": "no"})
    with pytest.raises(samekey.ActionRejectedError) as raised:
        post(client)
    assert not raised.value.retry_safe
    assert record(client).status is samekey.Status.REJECTED


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
def test_a_5xx_is_asked_again_where_the_api_remembers_keys(
    api: respx.MockRouter, client: samekey.Client, status: int
) -> None:
    route = api.post("/orders")
    route.side_effect = [httpx.Response(status), OK]
    assert post(client).reference == "order_1"
    assert len({call.request.headers["idempotency-key"] for call in route.calls}) == 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>", headers=PAGE),
        httpx.Response(200, text='{"id": "ord', headers=JSON),
        httpx.Response(303, headers={"location": "/elsewhere"}),
        httpx.Response(408),
        httpx.Response(500),
        httpx.Response(600),
    ],
    ids=lambda answer: str(answer.status_code),
)
def test_an_answer_that_proves_nothing_leaves_the_outcome_unknown(
    api: respx.MockRouter, client: samekey.Client, answer: httpx.Response
) -> None:
    once = create_order.replace(retry=ONCE)
    api.post("/orders").mock(return_value=answer)
    with pytest.raises(samekey.OutcomeUnknownError) as raised:
        post(client, operation=once)
    assert record(client).status is samekey.Status.UNKNOWN
    assert raised.value.retry_safe
    assert raised.value.retry_until is not None
    assert record(client).created_at < raised.value.retry_until < record(client).created_at + DAY


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_2xx_is_success(api: respx.MockRouter, client: samekey.Client, status: int) -> None:
    route = api.post("/orders").mock(return_value=httpx.Response(status, headers={"content-length": "0"}))
    assert post(client).status is samekey.Status.SUCCEEDED
    assert post(client).replayed
    assert route.call_count == 1


def test_a_refusal_after_an_unknown_attempt_settles_nothing(api: respx.MockRouter, client: samekey.Client) -> None:
    api.post("/orders").side_effect = [httpx.Response(500), httpx.Response(402, json={})]
    with pytest.raises(samekey.NeedsReviewError, match="a later try was refused while an earlier one may have come"):
        post(client)
    assert record(client).status is samekey.Status.NEEDS_REVIEW
    with pytest.raises(samekey.NeedsReviewError) as raised:
        post(client)
    assert raised.value.reason == "refused_after_unknown"


def test_a_mismatch_after_identical_bytes_contradicts_itself(api: respx.MockRouter, client: samekey.Client) -> None:
    api.post("/orders").side_effect = [httpx.Response(500), httpx.Response(422, json={})]
    with pytest.raises(samekey.NeedsReviewError) as raised:
        post(client)
    assert raised.value.reason == "server_conflict"


@pytest.mark.parametrize("status", [409, 423, 425, 429])
def test_still_running_is_waited_for(api: respx.MockRouter, client: samekey.Client, status: int) -> None:
    route = api.post("/orders")
    route.side_effect = [httpx.Response(500), httpx.Response(status, json={}), OK]
    assert post(client).reference == "order_1"
    assert route.call_count == 3


# waiting


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
    api: respx.MockRouter, client: samekey.Client, headers: dict[str, str], seconds: float | None
) -> None:
    clock = fake_clock(client)
    api.post("/orders").side_effect = [httpx.Response(429, headers=headers), OK]
    if seconds is None:  # in a hundred years: longer than the deadline, so it is told and not waited for
        with pytest.raises(samekey.NotSentError, match=r"turned it away \(HTTP 429\), so nothing was done") as raised:
            post(client)
        assert raised.value.retry_after is not None
        assert raised.value.retry_after > 3e9
        assert clock.slept == []
        assert record(client).status is samekey.Status.PENDING
    else:
        assert post(client).reference == "order_1"
        assert clock.slept == [seconds]


def test_a_date_is_a_form_of_retry_after(api: respx.MockRouter, client: samekey.Client) -> None:
    from datetime import timedelta
    from email.utils import format_datetime

    clock = fake_clock(client)
    at = clock.now().wall + timedelta(seconds=30)
    api.post("/orders").side_effect = [httpx.Response(429, headers={"retry-after": format_datetime(at, usegmt=True)}), OK]
    assert post(client).reference == "order_1"
    (slept,) = clock.slept
    assert 28 < slept <= 30


def test_a_wait_longer_than_the_deadline_parks_the_action(api: respx.MockRouter, client: samekey.Client) -> None:
    clock = fake_clock(client)
    api.post("/orders").respond(503, headers={"retry-after": "120"})
    with pytest.raises(samekey.OutcomeUnknownError) as raised:
        post(client)
    assert (raised.value.retry_after, clock.slept) == (120.0, [])
    assert record(client).status is samekey.Status.UNKNOWN


def test_attempts_end_with_the_policy(api: respx.MockRouter, client: samekey.Client) -> None:
    route = api.post("/orders").respond(503)
    with pytest.raises(samekey.OutcomeUnknownError, match="sent 5 times"):
        post(client)
    assert route.call_count == 5


def test_the_policy_of_the_operation_comes_before_the_clients(api: respx.MockRouter, client: samekey.Client) -> None:
    route = api.post("/orders").respond(503)
    with pytest.raises(samekey.OutcomeUnknownError, match="sent twice|sent 2 times"):
        post(client, operation=create_order.replace(retry=samekey.RetryPolicy(attempts=2, wait=AT_ONCE.wait)))
    assert route.call_count == 2


def test_the_deadline_ends_the_attempts_and_shortens_their_time_outs(api: respx.MockRouter, client: samekey.Client) -> None:
    import tenacity

    clock = fake_clock(client)
    hurried = create_order.replace(
        retry=samekey.RetryPolicy(attempts=10, deadline=10, wait=tenacity.wait_fixed(4), budget=None)
    )
    route = api.post("/orders").respond(503)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, operation=hurried)
    assert clock.slept == [4.0, 4.0]
    reads = [call.request.extensions["timeout"]["read"] for call in route.calls]
    assert len(reads) == 3
    assert all(left <= limit for left, limit in zip(reads, [10, 6, 2], strict=True))


def test_a_stop_strategy_of_tenacity_ends_the_attempts(api: respx.MockRouter, client: samekey.Client) -> None:
    import tenacity

    route = api.post("/orders").respond(503)
    stopping = create_order.replace(
        retry=samekey.RetryPolicy(wait=tenacity.wait_none(), stop=tenacity.stop_after_attempt(3))
    )
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, operation=stopping)
    assert route.call_count == 3


def test_the_retry_budget_stops_a_storm(api: respx.MockRouter, client: samekey.Client) -> None:
    """Its own ratio gives this test a bucket of its own; it starts full, and no time passes."""
    import tenacity

    budget = samekey.RetryBudget(ratio=0.0625, per_second=0.001)
    policy = samekey.RetryPolicy(attempts=5, wait=tenacity.wait_none(), budget=budget)
    route = api.post("/orders").respond(503)
    stopped = 0
    for number in range(40):
        operation = create_order.replace(retry=policy)
        with pytest.raises(samekey.OutcomeUnknownError), client.action(operation, scope={"order": number}) as action:
            action.post("/orders", json=BODY)
        stopped += (action.attempts or 0) < 5
    retries = route.call_count - 40
    assert stopped > 0
    assert retries <= 105
    existing = client.record(create_order, scope={"order": 39})
    assert existing is not None
    assert "budget_stop" in [event.kind for event in client.store.events(existing.idempotency_key)]


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_what_never_left_is_sent_again_and_then_told(
    api: respx.MockRouter, client: samekey.Client, error: type[httpx.TransportError]
) -> None:
    route = api.post("/orders").mock(side_effect=error("no"))
    with pytest.raises(samekey.NotSentError, match=r"no connection to api.shop.example \(.*, 5 attempts") as raised:
        post(client)
    assert route.call_count == 5
    assert isinstance(raised.value.__cause__, error)
    assert raised.value.retry_safe
    assert (record(client).status, record(client).open_attempts) == (samekey.Status.PENDING, 0)


def test_not_sent_after_an_unknown_attempt_is_unknown(api: respx.MockRouter, client: samekey.Client) -> None:
    api.post("/orders").side_effect = [httpx.ReadTimeout("slow"), *[httpx.ConnectError("gone")] * 4]
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client)
    assert (record(client).status, record(client).open_attempts) == (samekey.Status.UNKNOWN, 1)


# 5xx by contract


def test_on_server_error_review_stops_at_the_first_5xx(api: respx.MockRouter, client: samekey.Client) -> None:
    route = api.post("/orders").respond(500)
    with pytest.raises(samekey.NeedsReviewError) as raised:
        post(client, operation=create_order.replace(on_server_error="review"))
    assert (raised.value.reason, route.call_count) == ("server_error", 1)


def test_a_silent_profile_stops_at_a_5xx_unless_the_user_gives_his_word(api: respx.MockRouter) -> None:
    silent = samekey.Provider("silent", window=DAY)
    route = api.post("/orders")
    with samekey.Client(API, provider=silent, store=MemoryStore(), retry=AT_ONCE, verify=False) as client:
        route.side_effect = [httpx.Response(500)]
        with pytest.raises(samekey.NeedsReviewError):
            post(client)
        route.side_effect = [httpx.Response(500), OK]
        trusting = create_order.replace(name="trusting", on_server_error="resend")
        assert post(client, operation=trusting).reference == "order_1"


# reconcile


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (samekey.Absent("searched"), "look_up_absent"),
        (samekey.Inconclusive("503"), "look_up_inconclusive"),
        (None, "look_up_inconclusive"),
        (ValueError("secret"), "look_up_inconclusive"),
    ],
)
def test_a_look_up_that_settles_nothing_is_evidence_for_a_person(
    api: respx.MockRouter, client: samekey.Client, answer: Any, reason: str
) -> None:
    def reconcile(_http: Any, _record: samekey.Record) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    api.post("/orders").respond(500)
    with pytest.raises(samekey.NeedsReviewError) as raised:
        post(client, operation=create_order.replace(on_server_error="review", reconcile=reconcile))
    assert raised.value.reason == reason
    assert record(client).status is samekey.Status.NEEDS_REVIEW
    assert "secret" not in str(record(client).error_summary)


@pytest.mark.parametrize("with_response", [True, False])
def test_a_look_up_that_finds_it_settles_it(
    api: respx.MockRouter, client: samekey.Client, with_response: bool
) -> None:
    asked: list[samekey.Record] = []

    def reconcile(http: httpx.Client, record: samekey.Record) -> samekey.Found:
        asked.append(record)
        response = http.get("/orders", params={"key": record.idempotency_key})
        return samekey.Found("order_9", response if with_response else None, "1 of 1")

    api.post("/orders").respond(500)
    api.get("/orders").respond(200, json={"id": "order_9"})
    looked_up = create_order.replace(on_server_error="review", reconcile=reconcile)
    with client.action(looked_up, scope={"order": 1}) as action:
        response = action.post("/orders", json=BODY)
    assert (action.reference, action.status, response.status_code) == ("order_9", samekey.Status.SUCCEEDED, 200)
    if with_response:
        assert response.json() == {"id": "order_9"}
    else:
        with pytest.raises(samekey.UsageError, match="was not kept"):
            response.json()
    assert asked[0].scope == {"order": "1"}
    assert post(client).replayed
