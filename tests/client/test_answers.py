"""What each kind of answer means to the caller, by status; HTTP alone, without a socket."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import respx

import samekey
from samekey.stores import MemoryStore
from tests.client.conftest import API, AT_ONCE, BODY, DAY, OK, ONCE, create_order, known, post
from tests.client.views import View

JSON = {"content-type": "application/json"}
PAGE = {"content-type": "text/html"}


@pytest.mark.parametrize("status", [400, 402, 404, 409, 410, 422, 451])
def test_a_refusal_of_the_first_send_is_rejected_and_not_asked_again(
    api: respx.MockRouter, shop: samekey.Client, status: int
) -> None:
    route = api.post("/orders").respond(status, json={"error": "no"}, headers={"set-cookie": "session=s3cret"})
    with pytest.raises(
        samekey.ActionRejectedError, match=f"refused it with HTTP {status} and nothing happened"
    ) as first:
        post(shop, headers={"Authorization": "Bearer s3cret"})
    with pytest.raises(samekey.ActionRejectedError, match=rf"HTTP {status} on .* and was not asked again") as second:
        post(shop, headers={"Authorization": "Bearer s3cret"})

    assert route.call_count == 1
    assert known(shop).status is samekey.Status.REJECTED
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
    api: respx.MockRouter, shop: samekey.Client, status: int
) -> None:
    route = api.post("/orders")
    route.side_effect = [httpx.Response(status, json={}), OK]
    with pytest.raises(samekey.ActionRejectedError, match=f"turned it away with HTTP {status}") as raised:
        post(shop)
    assert raised.value.retry_safe
    assert raised.value.response.status_code == status
    assert known(shop).status is samekey.Status.PENDING
    action = post(shop)
    assert (action.reference, action.attempts) == ("order_1", 2)
    assert len({call.request.headers["idempotency-key"] for call in route.calls}) == 1


@pytest.mark.parametrize("status", [403, 404, 405, 413, 415])
def test_these_are_the_apis_own_only_if_they_look_like_it(
    api: respx.MockRouter, shop: samekey.Client, status: int
) -> None:
    route = api.post("/orders").respond(status, html="<h1>blocked</h1>")
    with pytest.raises(samekey.ActionRejectedError) as raised:
        post(shop)
    assert raised.value.retry_safe
    assert known(shop).status is samekey.Status.PENDING

    route.respond(status, json={"error": "no"})
    with pytest.raises(samekey.ActionRejectedError) as raised:
        post(shop)
    assert not raised.value.retry_safe
    assert known(shop).status is samekey.Status.REJECTED


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
def test_a_5xx_is_asked_again_where_the_api_remembers_keys(
    api: respx.MockRouter, shop: samekey.Client, status: int
) -> None:
    route = api.post("/orders")
    route.side_effect = [httpx.Response(status), OK]
    assert post(shop).reference == "order_1"
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
    api: respx.MockRouter, shop: samekey.Client, answer: httpx.Response
) -> None:
    once = create_order.replace(retry=ONCE)
    api.post("/orders").mock(return_value=answer)
    with pytest.raises(samekey.OutcomeUnknownError) as raised:
        post(shop, operation=once)
    assert known(shop).status is samekey.Status.UNKNOWN
    assert raised.value.retry_safe
    assert raised.value.retry_until is not None
    assert known(shop).created_at < raised.value.retry_until < known(shop).created_at + DAY


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_2xx_is_success(api: respx.MockRouter, shop: samekey.Client, status: int) -> None:
    route = api.post("/orders").mock(return_value=httpx.Response(status, headers={"content-length": "0"}))
    assert post(shop).status is samekey.Status.SUCCEEDED
    assert post(shop).replayed
    assert route.call_count == 1


def test_a_refusal_after_an_unknown_attempt_settles_nothing(api: respx.MockRouter, shop: samekey.Client) -> None:
    api.post("/orders").side_effect = [httpx.Response(500), httpx.Response(402, json={})]
    with pytest.raises(samekey.NeedsReviewError, match="a later try was refused while an earlier one may have come"):
        post(shop)
    assert known(shop).status is samekey.Status.NEEDS_REVIEW
    with pytest.raises(samekey.NeedsReviewError) as raised:
        post(shop)
    assert raised.value.reason == "refused_after_unknown"


def test_a_first_send_whose_key_the_api_knows_is_for_a_person(api: respx.MockRouter, shop: samekey.Client) -> None:
    """Another machine with this secret may have made the order; to correct the data would make a second one."""
    told = {"detail": "this idempotency key was used with another payload"}
    route = api.post("/orders").mock(return_value=httpx.Response(422, json=told))
    for _ in range(2):
        with pytest.raises(
            samekey.NeedsReviewError, match="the API refused its key, which may have been used"
        ) as raised:
            post(shop)
        assert raised.value.reason == "key_refused"
    assert route.call_count == 1


def test_a_first_send_whose_key_is_in_use_is_asked_again(api: respx.MockRouter, shop: samekey.Client) -> None:
    busy = httpx.Response(409, json={"detail": "a request with this idempotency key is in progress"})
    route = api.post("/orders")
    route.side_effect = [busy, httpx.Response(201, json={"id": "order_1"})]
    assert post(shop).status is samekey.Status.SUCCEEDED
    assert len({call.request.headers["idempotency-key"] for call in route.calls}) == 1


def test_a_mismatch_after_identical_bytes_contradicts_itself(api: respx.MockRouter, shop: samekey.Client) -> None:
    api.post("/orders").side_effect = [httpx.Response(500), httpx.Response(422, json={})]
    with pytest.raises(samekey.NeedsReviewError) as raised:
        post(shop)
    assert raised.value.reason == "server_conflict"


@pytest.mark.parametrize("status", [409, 423, 425, 429])
def test_still_running_is_waited_for(api: respx.MockRouter, shop: samekey.Client, status: int) -> None:
    route = api.post("/orders")
    route.side_effect = [httpx.Response(500), httpx.Response(status, json={}), OK]
    assert post(shop).reference == "order_1"
    assert route.call_count == 3


# 5xx by contract


def test_on_server_error_review_stops_at_the_first_5xx(api: respx.MockRouter, shop: samekey.Client) -> None:
    route = api.post("/orders").respond(500)
    with pytest.raises(samekey.NeedsReviewError) as raised:
        post(shop, operation=create_order.replace(on_server_error="review"))
    assert (raised.value.reason, route.call_count) == ("server_error", 1)


def test_a_silent_profile_stops_at_a_5xx_unless_the_user_gives_his_word(api: respx.MockRouter) -> None:
    silent = samekey.Provider("silent", window=DAY)
    route = api.post("/orders")
    with samekey.Client(API, provider=silent, store=MemoryStore(), retry=AT_ONCE, verify=False) as shop:
        route.side_effect = [httpx.Response(500)]
        with pytest.raises(samekey.NeedsReviewError):
            post(shop)
        route.side_effect = [httpx.Response(500), OK]
        trusting = create_order.replace(name="trusting", on_server_error="resend")
        assert post(shop, operation=trusting).reference == "order_1"


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
    api: respx.MockRouter, shop: samekey.Client, answer: Any, reason: str
) -> None:
    def reconcile(_http: Any, _record: samekey.Record) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    api.post("/orders").respond(500)
    with pytest.raises(samekey.NeedsReviewError) as raised:
        post(shop, operation=create_order.replace(on_server_error="review", reconcile=reconcile))
    assert raised.value.reason == reason
    assert known(shop).status is samekey.Status.NEEDS_REVIEW
    assert "secret" not in str(known(shop).error_summary)


@pytest.mark.parametrize("with_response", [True, False])
def test_a_look_up_that_finds_it_settles_it(api: respx.MockRouter, shop: samekey.Client, with_response: bool) -> None:
    asked: list[samekey.Record] = []

    def reconcile(http: httpx.Client, record: samekey.Record) -> samekey.Found:
        asked.append(record)
        response = http.get("/orders", params={"key": record.idempotency_key})
        return samekey.Found("order_9", response if with_response else None, "1 of 1")

    async def reconcile_async(http: httpx.AsyncClient, record: samekey.Record) -> samekey.Found:
        asked.append(record)
        response = await http.get("/orders", params={"key": record.idempotency_key})
        return samekey.Found("order_9", response if with_response else None, "1 of 1")

    api.post("/orders").respond(500)
    api.get("/orders").respond(200, json={"id": "order_9"})
    ask: Any = reconcile_async if isinstance(shop, View) else reconcile
    looked_up = create_order.replace(on_server_error="review", reconcile=ask)
    with shop.action(looked_up, scope={"order": 1}) as action:
        response = action.post("/orders", json=BODY)
    assert (action.reference, action.status, response.status_code) == (
        "order_9",
        samekey.Status.SUCCEEDED,
        200,
    )
    if with_response:
        assert response.json() == {"id": "order_9"}
    else:
        with pytest.raises(samekey.UsageError, match="was not kept"):
            response.json()
    assert asked[0].scope == {"order": "1"}
    assert post(shop).replayed
