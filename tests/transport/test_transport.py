"""Clients of both libraries over the transport: what the client above sees, and what goes on the wire."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from types import ModuleType
from typing import Any

import httpx
import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.transport.conftest import AT_ONCE, BODY, DAY, ONCE, VendorError, Wire, create_order, order, vendor_post


def test_a_write_in_an_action_carries_its_key_and_the_answer_is_the_librarys(
    library: ModuleType, server: FlakyServer, wire: Wire
) -> None:
    with order() as action:
        response = vendor_post(wire())
    (request,) = server.requests
    assert type(response) is library.Response
    assert (request.key, request.header("idempotency-key")) == (action.key, action.key)
    assert (response.status_code, response.json()["id"], action.reference) == (201, "order_1", "order_1")
    assert (response.request.method, response.http_version, response.reason_phrase) == ("POST", "HTTP/1.1", "Created")
    assert response.elapsed.total_seconds() >= 0
    assert repr(action).startswith("<AmbientAction create_order(order=1) succeeded attempts=1 key=")


def test_run_again_it_is_answered_from_the_record(server: FlakyServer, wire: Wire) -> None:
    with order():
        first = vendor_post(wire())
    with order() as action:
        again = vendor_post(wire())
    assert (len(server.requests), action.replayed) == (1, True)
    assert (again.status_code, again.content, again.headers["location"]) == (
        201,
        first.content,
        first.headers["location"],
    )


def test_a_lost_reply_is_asked_for_again_with_the_same_bytes(server: FlakyServer, wire: Wire) -> None:
    server.script(Fault.COMMIT_THEN_DROP, Fault.DROP_BEFORE)
    with order() as action:
        response = vendor_post(wire())
    assert (response.json()["id"], action.attempts, len(server.effects)) == ("order_1", 3, 1)
    assert len({(request.body, request.headers) for request in server.requests}) == 1


def test_an_sdk_that_retries_gets_the_same_verdict_and_the_caller_gets_ours(server: FlakyServer, wire: Wire) -> None:
    server.script(Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError) as raised, order() as action:
        vendor_post(wire(retry=ONCE))
    assert isinstance(raised.value.__cause__, VendorError)
    assert (len(server.requests), action.status) == (1, samekey.Status.UNKNOWN)
    with order() as rerun:
        assert vendor_post(wire()).json()["id"] == "order_1"
    assert (rerun.recovered, len(server.effects)) == (True, 1)


def test_an_sdk_that_goes_on_after_a_retry_has_one_effect(server: FlakyServer, wire: Wire) -> None:
    client = wire()
    with order() as action:
        first = vendor_post(client)
        second = vendor_post(client)
    assert (first.json(), len(server.requests)) == (second.json(), 1)
    assert action.status is samekey.Status.SUCCEEDED


def test_a_second_write_is_refused(server: FlakyServer, wire: Wire) -> None:
    client = wire()
    with (
        pytest.raises(
            samekey.UsageError, match=r"has made its one write, POST /orders; open a second action for POST /x"
        ),
        order(),
    ):
        vendor_post(client)
        client.post("/x", json=BODY)
    assert len(server.requests) == 1


def test_a_refusal_is_the_vendors_response_and_is_stored(server: FlakyServer, wire: Wire) -> None:
    server.script(Fault.REJECT(422))
    for replayed in (False, True):
        with order() as action:
            response = vendor_post(wire())
        assert (response.status_code, action.status) == (422, samekey.Status.REJECTED)
        assert "error" in response.json()
        assert len(server.requests) == 1, replayed


def test_what_is_turned_away_in_front_may_be_mended_by_the_sdk(server: FlakyServer, wire: Wire) -> None:
    server.script(Fault.REJECT(401))
    client = wire()
    with order() as action:
        assert vendor_post(client).status_code == 401
        assert vendor_post(client).status_code == 201
    assert (action.status, len(server.effects)) == (samekey.Status.SUCCEEDED, 1)


def test_reads_pass_and_leave_no_trace(server: FlakyServer, wire: Wire) -> None:
    client = wire()
    with order():
        vendor_post(client)
        assert client.get("/orders/order_1").status_code == 200
    assert client.get("/orders/order_1").json()["id"] == "order_1"
    assert len(client._transport.store.find()) == 1


def test_a_write_outside_any_action_is_refused_unless_it_may_pass(server: FlakyServer, wire: Wire) -> None:
    with pytest.raises(samekey.UsageError, match="POST /orders was sent outside any action"):
        wire().post("/orders", json=BODY)
    assert server.requests == []
    response = wire(on_unmarked="pass").post("/orders", json=BODY, headers={"Idempotency-Key": "own"})
    assert (response.status_code, server.requests[0].key) == (201, "own")


def test_a_block_in_which_nothing_was_protected_says_so(server: FlakyServer, wire: Wire) -> None:
    client = wire()
    with pytest.raises(samekey.UsageError, match=r"nothing in this block went through a samekey\.Transport"), order():
        client.get("/orders/order_1")
    with pytest.raises(KeyError), order():
        raise KeyError  # a foreign error is not hidden by it


def test_a_pinned_action_lets_other_writes_pass(server: FlakyServer, wire: Wire) -> None:
    client = wire()
    with order(match="POST /orders") as action:
        client.post("/oauth/token", json={}, headers={"Idempotency-Key": "own"})
        vendor_post(client)
    token, write = server.requests
    assert (token.key, write.key) == ("own", action.key)
    for match in ("/orders", "POST orders", "post /orders", ""):
        with pytest.raises(samekey.UsageError, match="is not a method and a path"):
            order(match=match)


def test_a_pin_that_fits_nothing_says_what_went_out_without_protection(server: FlakyServer, wire: Wire) -> None:
    with (
        pytest.raises(
            samekey.UsageError,
            match=r"no write in this block was POST /order, as match= has it, .* POST /orders was sent without protection",
        ),
        order(match="POST /order"),
    ):
        vendor_post(wire())
    assert len(server.requests) == 1


def test_the_inner_action_wins_and_the_outer_one_is_restored(server: FlakyServer, wire: Wire) -> None:
    client = wire()
    with order(1) as outer:
        with order(2) as inner:
            vendor_post(client)
        vendor_post(client)
    assert [request.key for request in server.requests] == [inner.key, outer.key]


def test_a_write_may_be_marked_by_its_extension(server: FlakyServer, wire: Wire) -> None:
    mark = {"operation": create_order, "scope": {"order": 1}, "correlation_id": "job 7"}
    client = wire()
    for _ in range(2):
        assert vendor_post(client, extensions={"samekey": mark}).json()["id"] == "order_1"
    (record,) = client._transport.store.find()
    assert (record.correlation_id, len(server.requests)) == ("job 7", 1)
    server.script(Fault.REJECT(422))
    other = mark | {"scope": {"order": 2}}
    assert vendor_post(client, extensions={"samekey": other}).status_code == 422
    server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError):
        wire(retry=ONCE).post("/orders", json=BODY, extensions={"samekey": mark | {"scope": {"order": 3}}})


@pytest.mark.parametrize("mark", ["x", {}, {"operation": "a"}, {"operation": "a", "scope": {}, "key": "mine"}])
def test_a_mark_that_is_none_is_refused(server: FlakyServer, wire: Wire, mark: Any) -> None:
    with pytest.raises(samekey.UsageError, match="takes a mapping with operation, scope"):
        wire().post("/orders", json=BODY, extensions={"samekey": mark})
    assert server.requests == []


def test_names_are_checked_where_there_are_operations(server: FlakyServer, wire: Wire) -> None:
    client = wire(operations=[create_order])
    with pytest.raises(samekey.UsageError, match="did you mean 'create_order'"), order(operation="create_odrer"):
        vendor_post(client)
    with order(operation="create_order") as action:
        vendor_post(client)
    assert (action.reference, len(server.requests)) == ("order_1", 1)


def test_a_thread_does_not_inherit_the_action_unless_it_runs_in_its_context(server: FlakyServer, wire: Wire) -> None:
    client = wire()
    said: list[Any] = []

    def send() -> None:
        try:
            said.append(vendor_post(client, times=1).status_code)
        except VendorError as error:
            said.append(str(error.__cause__))

    with order() as action:
        for thread in (
            threading.Thread(target=send),
            threading.Thread(target=contextvars.copy_context().run, args=(send,)),
        ):
            thread.start()
            thread.join()
    assert said[0].startswith("POST /orders was sent outside any action")
    assert said[1] == 201
    assert (action.status, len(server.requests)) == (samekey.Status.SUCCEEDED, 1)


def test_threads_in_one_action_make_one_write(server: FlakyServer, wire: Wire) -> None:
    client, answers = wire(), []
    with order():
        contexts = [contextvars.copy_context() for _ in range(8)]
        threads = [
            threading.Thread(target=context.run, args=(lambda: answers.append(vendor_post(client).json()["id"]),))
            for context in contexts
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (answers, len(server.requests)) == (["order_1"] * 8, 1)


def test_an_action_can_be_opened_in_a_coroutine(server: FlakyServer, wire: Wire) -> None:
    client = wire()

    async def main() -> samekey.AmbientAction:
        async with order() as action:
            vendor_post(client)
        return action

    assert asyncio.run(main()).reference == "order_1"


def test_an_action_is_opened_once(server: FlakyServer, wire: Wire) -> None:
    action = order()
    with action:
        vendor_post(wire())
    with pytest.raises(samekey.UsageError, match="was opened before"), action:
        pass


def test_a_foreign_error_after_the_success_says_that_it_had_succeeded(server: FlakyServer, wire: Wire) -> None:
    with pytest.raises(KeyError) as raised, order():
        vendor_post(wire())
        raise KeyError("total")
    assert "had succeeded before this error" in raised.value.__notes__[0]


def test_ctrl_c_in_the_write_leaves_the_truth(server: FlakyServer, wire: Wire) -> None:
    class Interrupting(httpx.BaseTransport):
        def handle_request(self, request: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), order():
        vendor_post(wire(inner=Interrupting()))
    with order() as action:
        vendor_post(wire())
    assert (action.recovered, len(server.effects)) == (True, 1)


def test_the_credential_goes_out_afresh_and_is_never_kept(server: FlakyServer, wire: Wire) -> None:
    server.script(Fault.DROP_BEFORE)
    with pytest.raises(samekey.OutcomeUnknownError), order():
        vendor_post(wire(retry=ONCE, client={"headers": {"Authorization": "Bearer one.two.three"}}))
    with order():
        vendor_post(wire(client={"headers": {"Authorization": "Bearer four.five.six"}}))
    assert [request.header("authorization") for request in server.requests] == [
        "Bearer one.two.three",
        "Bearer four.five.six",
    ]


def test_the_proxy_environment_is_honoured(
    library: ModuleType, server: FlakyServer, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    client = wire()
    with order():
        client.post("http://api.shop.example/orders", json=BODY)
    assert server.requests[0].target == "http://api.shop.example/orders"
    assert client.get("http://api.shop.example/orders/order_1").status_code == 200


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_unmarked": "maybe"}, "on_unmarked='maybe' is unknown"),
        ({"headers": {}, "auth": None}, "auth, headers: the client above has these"),
        ({"keep": "all"}, "keep='all' is unknown"),
        ({"provider": None}, "nobody has said what this API does with keys"),
        ({"provider": "strip"}, "is not a provider profile"),
        ({"inner": httpx.HTTPTransport(retries=2)}, "retries by itself"),
    ],
)
def test_a_wrong_argument_is_told(wire: Wire, options: dict[str, Any], says: str) -> None:
    with pytest.raises(samekey.UsageError, match=says), order():
        wire(**options).post("/orders", json=BODY)


def test_a_transport_shows_no_secret(wire: Wire) -> None:
    shown = repr(wire(secret="s" * 20, actor="acme")._transport)
    assert shown.startswith("<Transport provider='generic' store='")
    assert "sss" not in shown
    assert "actor='acme'" in shown


def test_both_ways_in_share_the_record(server: FlakyServer, wire: Wire, path: Any) -> None:
    client = samekey.Client(server.url, window=DAY, store=path, retry=AT_ONCE, verify=False)
    with client, client.action(create_order, scope={"order": 1}) as made:
        made.post("/orders", json=BODY)
    with order() as action:
        vendor_post(wire())
    assert (action.key, action.replayed, len(server.requests)) == (made.key, True, 1)


def test_a_client_does_not_make_actions_twice(library: ModuleType, wire: Wire) -> None:
    with pytest.raises(
        samekey.UsageError, match=r"this client has a samekey\.Transport, which makes actions of its own"
    ):
        samekey.Client(http=wire(), window=DAY)
