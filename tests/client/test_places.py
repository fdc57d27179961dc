"""Where a key travels belongs to the action: no later run may put it elsewhere."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import BODY, DAY, ONCE, Connect, create_order, known, post, synchronous

FORM = {"data": {"total": "19.99"}}


def provider(name: str = "shop", **fields: Any) -> samekey.Provider:
    return samekey.Provider(name, **({"window": DAY} | fields))


def left_unknown(server: FlakyServer, client: samekey.Client, **options: Any) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises((samekey.OutcomeUnknownError, samekey.NeedsReviewError)):
        post(client, **options)


MOVES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"name": "Idempotency-Key"}, {"name": "X-Key"}),
    ({"name": "Idempotency-Key"}, {"name": "Idempotency-Key", "quoted": True}),
    ({"name": "Idempotency-Key"}, {"name": "Idempotency-Key", "first_sent": "X-First"}),
    ({"name": "Idempotency-Key"}, {"kind": "json", "name": "Idempotency-Key"}),
    ({"kind": "json", "name": "key"}, {"kind": "json", "name": "Key"}),
    ({"kind": "json", "name": "key"}, {"kind": "query", "name": "key"}),
    ({"name": "Idempotency-Key"}, {"kind": "none"}),
]


@pytest.mark.parametrize(("first", "then"), MOVES)
def test_a_resend_with_the_key_elsewhere_is_refused_and_the_first_profile_goes_on(
    server: FlakyServer, connect: Connect, first: dict[str, Any], then: dict[str, Any]
) -> None:
    one = connect(provider=provider(carrier=first), retry=ONCE)
    left_unknown(server, one)
    two = connect(provider=provider("other", carrier=then, window=None if then.get("kind") == "none" else DAY))
    with pytest.raises(
        samekey.KeyReusedError, match="was sent as the profile 'shop' had it then, and 'other'"
    ) as raised:
        post(two)
    assert (raised.value.changed, raised.value.by, len(server.requests)) == (("carrier",), "local", 1)
    assert known(one).status is samekey.Status.UNKNOWN
    if first.get("kind", "header") == "header":
        assert post(one).status is samekey.Status.SUCCEEDED


def test_a_profile_of_another_name_that_puts_the_key_in_the_same_place_goes_on(
    server: FlakyServer, connect: Connect
) -> None:
    left_unknown(server, connect(retry=ONCE))  # the generic one
    action = post(connect(provider=provider(carrier={"name": "idempotency-KEY"})))
    assert (action.recovered, len(server.effects)) == (True, 1)


@synchronous
def test_what_was_sent_without_a_key_is_never_sent_again_with_one(server: FlakyServer, connect: Connect) -> None:
    def interrupt(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    looked_up = create_order.replace(reconcile=lambda http, record: samekey.Inconclusive("not now"))
    http = httpx.Client(base_url=server.url, transport=httpx.MockTransport(interrupt))
    keyless = connect(provider="keyless", http=http, base_url="")
    with pytest.raises(KeyboardInterrupt):
        post(keyless, operation=looked_up)
    assert known(keyless).status is samekey.Status.UNKNOWN
    with pytest.raises(samekey.NeedsReviewError) as raised:
        post(connect())
    assert (raised.value.reason, server.requests) == ("keyless", [])


def test_a_settled_action_is_answered_whatever_the_profile(server: FlakyServer, connect: Connect) -> None:
    post(connect())
    assert post(connect(provider=provider(carrier={"kind": "query", "name": "k"}))).replayed
    assert len(server.requests) == 1


# Endpoints


def test_an_endpoint_has_its_own_place_and_window(server: FlakyServer, connect: Connect) -> None:
    shop = provider(
        methods={"POST"},
        endpoints=[
            {"path": "/transfers", "carrier": {"kind": "json", "name": "transactionId"}, "window": 3600},
            {"path": "/users/*/cards/**", "method": "DELETE", "carrier": {"kind": "query", "name": "rid"}},
            {"path": "/mail", "carrier": {"kind": "none"}},
        ],
    )
    client = connect(provider=shop)
    keys = [post(client, number, url).key for number, url in enumerate(["/orders", "/transfers", "/mail"])]
    orders, transfers, mail = server.requests
    assert orders.header("idempotency-key") == keys[0]
    assert (json.loads(transfers.body)["transactionId"], transfers.header("idempotency-key")) == (keys[1], None)
    assert (mail.header("idempotency-key"), json.loads(mail.body)) == (None, BODY)
    records = [known(client, number) for number in range(3)]
    assert [record.window_seconds for record in records] == [86400, 3600, 86400]
    with client.action(create_order, scope={"order": 9}) as action:
        action.delete("/users/7/cards/1/x")
    assert server.requests[-1].target == f"/users/7/cards/1/x?rid={action.key}"
    for url in ("/users/7/8/cards/1", "/users/7/cards", "/orders"):
        with (
            client.action(create_order, scope={"order": url}) as action,
            pytest.raises(samekey.UsageError, match="shop honours keys on POST only, so DELETE would not be protected"),
        ):
            action.delete(url)


def test_an_endpoint_without_keys_is_never_sent_twice(server: FlakyServer, connect: Connect) -> None:
    shop = provider(endpoints=[{"path": "/mail", "method": "POST", "carrier": {"kind": "none"}}])
    left_unknown(server, connect(provider=shop), url="/mail")
    with pytest.raises(samekey.NeedsReviewError):
        post(connect(provider=shop), url="/mail")
    assert len(server.requests) == 1


def test_recover_puts_the_key_where_the_endpoint_has_it(server: FlakyServer, connect: Connect) -> None:
    shop = provider(endpoints=[{"path": "/orders", "carrier": {"kind": "json", "name": "key"}}])
    server.script(Fault.DROP_BEFORE)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(connect(provider=shop, retry=ONCE))
    (record,) = connect(provider=shop, operations=[create_order]).recover().settled
    first, second = server.requests
    assert json.loads(second.body)["key"] == record.idempotency_key
    assert (second.body, second.headers) == (first.body, first.headers)


# Stamps


@pytest.mark.parametrize(
    ("stamp", "options"),
    [
        ("metadata[samekey]", FORM),
        ("metadata.samekey", {"json": BODY}),
        ("note", {"content": b' {"a" : 1.10}', "headers": {"content-type": "application/json"}}),
    ],
)
@pytest.mark.parametrize("carrier", [{"name": "X-Key"}, {"kind": "query", "name": "k"}, {"kind": "none"}])
def test_a_stamp_is_the_same_on_every_send(
    server: FlakyServer, connect: Connect, stamp: str, options: dict[str, Any], carrier: dict[str, Any]
) -> None:
    server.script(Fault.DROP_BEFORE)
    stamped = create_order.replace(stamp=stamp)
    shop = provider(carrier=carrier, window=None if carrier.get("kind") == "none" else DAY)
    with pytest.raises((samekey.OutcomeUnknownError, samekey.NeedsReviewError)):
        post(connect(provider=shop, retry=ONCE), operation=stamped, **options)
    key = known(connect(provider=shop)).idempotency_key
    assert server.requests[0].body.count(key.encode()) == 1
    if carrier.get("kind") == "none":
        return
    post(connect(provider=shop), operation=stamped, **options)
    first, second = server.requests
    assert (first.target, first.body, first.headers) == (second.target, second.body, second.headers)


def test_a_stamp_that_comes_or_goes_is_another_request(server: FlakyServer, connect: Connect) -> None:
    left_unknown(server, connect(retry=ONCE))
    with pytest.raises(samekey.KeyReusedError) as raised:
        post(connect(), operation=create_order.replace(stamp="note"))
    assert (raised.value.changed, len(server.requests)) == (("carrier",), 1)


@pytest.mark.parametrize(
    ("stamp", "options", "message"),
    [
        ("note", {"json": {"note": 1}}, "brings its own note in the body; leave it out"),
        ("note", {"data": {"note": "1"}}, "brings its own form field note; leave it out"),
        ("note", {"json": [1]}, "into the JSON body as note, and the body has no object for it"),
        ("note", {"content": b"text"}, "stamp='note' writes the key into a JSON or form body; give the body as json="),
        ("key", {"json": {}}, "the key of shop is at key already; leave stamp= out"),
    ],
)
def test_a_body_that_cannot_be_stamped_is_refused(
    server: FlakyServer, connect: Connect, stamp: str, options: dict[str, Any], message: str
) -> None:
    carrier = {"kind": "json", "name": "key"} if stamp == "key" else {"name": "X-Key"}
    with pytest.raises(samekey.UsageError, match=message):
        post(connect(provider=provider(carrier=carrier)), operation=create_order.replace(stamp=stamp), **options)
    assert server.requests == []


# GraphQL

QUERY = "mutation($k: String!) { pay @idempotent(key: $k) { id } }"
graphql = {"kind": "graphql", "name": "k"}


def test_a_graphql_key_is_a_variable_beside_the_callers(server: FlakyServer, connect: Connect) -> None:
    client = connect(provider=provider(carrier=graphql))
    keys = [post(client, 1, json={"query": QUERY}).key]
    keys.append(post(client, 2, json={"query": QUERY, "variables": {"sum": 5}}).key)
    assert [json.loads(request.body)["variables"] for request in server.requests] == [
        {"k": keys[0]},
        {"k": keys[1], "sum": 5},
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": None},
        {"query": "mutation { pay { id } }"},
        {"query": "mutation($k: String!) { pay { id } }"},
        {"query": "mutation($key: String!) { pay @idempotent(key: $key) { id } }"},
    ],
)
def test_a_mutation_that_does_not_use_the_key_is_refused(
    server: FlakyServer, connect: Connect, body: dict[str, Any]
) -> None:
    with pytest.raises(samekey.UsageError, match=r"into the variable \$k, which the query does not declare and use"):
        post(connect(provider=provider(carrier=graphql)), json=body)
    assert server.requests == []


@pytest.mark.parametrize("body", [{"variables": {"k": "mine"}}, {"variables": []}])
def test_variables_that_are_in_the_way_are_refused(server: FlakyServer, connect: Connect, body: dict[str, Any]) -> None:
    with pytest.raises(samekey.UsageError, match=r"variables\.k"):
        post(connect(provider=provider(carrier=graphql)), json={"query": QUERY} | body)
    assert server.requests == []


def test_a_graphql_body_that_does_not_parse_is_refused(server: FlakyServer, connect: Connect) -> None:
    client = connect(provider=provider(carrier=graphql))
    with pytest.raises(samekey.UsageError, match="does not declare and use"):
        post(client, content=b'{"query": 1} x', headers={"content-type": "application/json"})
    assert server.requests == []
