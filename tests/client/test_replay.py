"""A repeat brings the stored result: same class, same facts, nothing on the wire."""

from __future__ import annotations

import pickle

import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import BODY, Connect, Flavour, create_order, post


def test_a_repeat_returns_the_stored_response_and_sends_nothing(
    server: FlakyServer, connect: Connect, flavour: Flavour
) -> None:
    with connect() as first, first.action(create_order, scope={"order": 1}) as made:
        original = made.post("/orders", json=BODY)
    with connect() as second, second.action(create_order, scope={"order": 1}) as again:
        stored = again.post("/orders", json=BODY)

    assert len(server.requests) == 1
    assert type(stored) is flavour.module.Response
    assert stored.raise_for_status() is stored
    assert (stored.status_code, stored.content, stored.json()) == (201, original.content, original.json())
    assert stored.headers["location"] == original.headers["location"]
    assert (stored.request.method, str(stored.request.url)) == ("POST", f"{server.url}/orders")
    assert not stored.request.headers
    assert (made.replayed, again.replayed) == (False, True)
    assert (made.reference, again.reference) == ("order_1", "order_1")
    assert made.key == again.key == server.requests[0].key


def test_the_facts_of_an_action_cost_no_io_and_are_empty_before_its_write(client: samekey.Client) -> None:
    action = client.action(create_order, scope={"order": 1})
    assert (action.key, action.status, action.attempts, action.record) == (None, None, 0, None)
    assert (action.replayed, action.recovered, action.reference) == (False, False, "")
    with action:
        action.post("/orders", json=BODY)
    assert action.record is not None
    assert (action.status, action.attempts) == (samekey.Status.SUCCEEDED, 1)
    assert action.record.response_reference == action.reference == "order_1"


def test_a_reply_that_was_lost_is_asked_for_again_under_the_same_key(
    server: FlakyServer, client: samekey.Client
) -> None:
    server.script(Fault.COMMIT_THEN_DROP, Fault.TRUNCATE, Fault.CUT_JSON)
    action = post(client)
    assert (len(server.effects), len(server.requests), action.attempts) == (1, 4, 4)
    assert len({seen.key for seen in server.requests}) == 1
    assert not action.replayed
    assert not action.recovered


def test_what_an_earlier_run_left_unknown_is_recovered(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(connect(retry=samekey.RetryPolicy(attempts=1)))
    action = post(connect())
    assert (action.recovered, action.replayed, action.reference) == (True, False, "order_1")
    assert len(server.effects) == 1


def test_a_body_that_was_not_kept_cannot_be_taken_for_an_empty_one(connect: Connect, flavour: Flavour) -> None:
    client = connect(keep="reference")
    post(client)
    with client.action(create_order, scope={"order": 1}) as action:
        response = action.post("/orders", json=BODY)
    assert (response.status_code, action.reference) == (201, "order_1")
    assert isinstance(response, flavour.module.Response)
    assert response.raise_for_status() is response
    for read in (lambda: response.content, lambda: response.text, response.json, response.read):
        with pytest.raises(samekey.UsageError, match=r"the body of this earlier result was not kept"):
            read()


def test_the_store_keeps_no_body_with_keep_reference(connect: Connect) -> None:
    action = post(connect(keep="reference"))
    assert action.record is not None
    assert (action.record.response_body, action.record.response_status) == (None, 201)


def test_an_answer_without_a_body_is_replayed_as_one(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.REJECT(204, b""))
    client = connect(keep="reference")
    for _ in range(2):
        with client.action(create_order, scope={"order": 1}) as action:
            assert action.post("/orders", json=BODY).content == b""
    assert len(server.requests) == 1


def test_the_reference_can_come_from_a_header(server: FlakyServer, client: samekey.Client) -> None:
    located = create_order.replace(reference="header:Location")
    assert post(client, operation=located).reference == "/orders/order_1"


def test_a_number_keeps_the_digits_it_was_sent_with(server: FlakyServer, client: samekey.Client) -> None:
    server.script(Fault.REJECT(200, b'{"id": 12345678901234567890.10}'))
    assert post(client).reference == "12345678901234567890.10"


def test_a_stored_response_can_be_pickled(client: samekey.Client) -> None:
    post(client)
    with client.action(create_order, scope={"order": 1}) as action:
        response = action.post("/orders", json=BODY)
    assert pickle.loads(pickle.dumps(response)).json() == response.json()


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_every_verb_writes_once(server: FlakyServer, client: samekey.Client, method: str) -> None:
    for _ in range(2):
        with client.action(create_order, scope={"order": method}) as action:
            response = getattr(action, method)("/orders/order_7")
        assert response.is_success
    assert [seen.method for seen in server.requests] == [method.upper()]
