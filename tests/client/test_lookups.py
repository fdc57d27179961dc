"""The ready-made look-ups, `recheck` and `recoverable`: against an API that takes no keys, and one that does."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import respx

import samekey
from samekey.lookups import lookup_get, lookup_list, stamp
from samekey.stores import MemoryStore
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import API, AT_ONCE, BODY, ONCE, Connect, create_order, fake_clock, post

Found, Absent, Inconclusive = samekey.Found, samekey.Absent, samekey.Inconclusive


@pytest.fixture
def row() -> samekey.Record:
    with (
        samekey.Client(API, window=_day(), store=MemoryStore(), retry=ONCE, verify=False) as client,
        respx.mock as router,
    ):
        router.post(f"{API}/orders").respond(201, json={"id": "x"})
        with client.action("order", scope={"cart": "c/9", "customer": 42}) as action:
            action.post("/orders", json=BODY)
    assert action.record is not None
    return action.record


def _day() -> Any:
    from datetime import timedelta

    return timedelta(days=1)


def ask(look_up: samekey.LookUp, record: samekey.Record, *answer: Any, **json: Any) -> tuple[Any, respx.Route]:
    with respx.mock(base_url=API) as router, httpx.Client(base_url=API) as http:
        route = router.get(path__startswith="/").respond(*answer, **json)
        return look_up(http, record), route


# --- one object


def test_get_asks_at_the_address_that_the_scope_names(row: samekey.Record) -> None:
    answer, route = ask(lookup_get("/orders/{cart}"), row, 200, json={"id": "ord_9"})
    assert answer == Found("ord_9", answer.response, f"GET {API}/orders/c%2F9: HTTP 200")
    assert answer.response.status_code == 200
    assert route.calls.last.request.url.raw_path == b"/orders/c%2F9"


@pytest.mark.parametrize(
    ("status", "kind"), [(404, Absent), (410, Absent), (500, Inconclusive), (401, Inconclusive), (302, Inconclusive)]
)
def test_only_not_found_is_absent(row: samekey.Record, status: int, kind: type) -> None:
    answer, _ = ask(lookup_get("/orders/{cart}"), row, status)
    told: Any = answer
    assert type(answer) is kind
    assert told.evidence == f"GET {API}/orders/c%2F9: HTTP {status}"


def test_absence_is_consistent_only_by_the_users_word(row: samekey.Record) -> None:
    for look_up in (lookup_get("/orders/1"), lookup_list("/orders")):
        answer, _ = ask(look_up, row, 404)
        assert not getattr(answer, "consistent", False)
    assert not ask(lookup_list("/orders"), row, 200, json=[])[0].consistent
    assert ask(lookup_get("/orders/1", consistent=True), row, 404)[0].consistent
    assert ask(lookup_list("/orders", consistent=True), row, 200, json=[])[0].consistent


def test_an_object_without_an_id_is_not_found(row: samekey.Record) -> None:
    answer, _ = ask(lookup_get("/orders/1", reference="/data/id"), row, 200, json={"id": 1})
    assert answer == Inconclusive(f"GET {API}/orders/1: HTTP 200, without /data/id")


# --- a list

LIST = lookup_list(
    "/orders", params={"customer": "{customer}"}, items="/data/0/rows", match={"/ext": "{stamp}", "/n": "{customer}"}
)


def listed(*items: Any) -> dict[str, Any]:
    return {"json": {"data": [{"rows": list(items)}]}}


def test_list_finds_the_one_that_matches_and_shows_no_query_value(row: samekey.Record) -> None:
    mine = {"id": 9, "ext": stamp({"customer": 42, "cart": "c/9"}), "n": 42}
    answer, route = ask(LIST, row, 200, **listed({"id": 8, "ext": "x", "n": 42}, mine, {"n": 42}, "odd"))
    assert (answer.reference, answer.response) == ("9", None)
    assert route.calls.last.request.url.params["customer"] == "42"
    assert "customer=42" not in answer.evidence
    assert "HTTP 200" in answer.evidence


def test_none_is_absent_and_two_are_inconclusive(row: samekey.Record) -> None:
    mine = {"id": 9, "ext": stamp(row), "n": "42"}
    assert type(ask(LIST, row, 200, **listed())[0]) is Absent
    assert "2 that match" in ask(LIST, row, 200, **listed(mine, mine))[0].evidence
    assert type(ask(LIST, row, 200, **listed(mine, mine))[0]) is Inconclusive
    assert type(ask(LIST, row, 404)[0]) is Inconclusive
    assert "without a list at /data/0/rows" in ask(LIST, row, 200, json={"data": {}})[0].evidence
    assert "without /id" in ask(LIST, row, 200, **listed({**mine, "id": None}))[0].evidence


def test_a_match_may_be_a_function(row: samekey.Record) -> None:
    look_up = lookup_list("/orders", match=lambda item, record: item["cart"] == record.scope["cart"])
    assert ask(look_up, row, 200, json=[{"id": "a", "cart": "x"}, {"id": "b", "cart": "c/9"}])[0].reference == "b"


@pytest.mark.parametrize("template", ["/orders/{}", "/orders/{cart", "/orders/{cart.__class__}", "/orders/{0[1]}"])
def test_a_template_that_names_no_field_is_refused(template: str) -> None:
    for make in (lookup_get, lookup_list):
        with pytest.raises(samekey.UsageError, match="scope field"):
            make(template)
    with pytest.raises(samekey.UsageError, match="scope field"):
        lookup_list("/", params={"a": template})


def test_a_stamp_depends_on_the_scope_alone_and_not_on_its_order() -> None:
    assert stamp({"a": 1, "b": "2"}) == stamp({"b": "2", "a": "1"}) != stamp({"a": 1, "b": "3"})
    assert [len(stamp({"a": 1}, length=length)) for length in (16, 64)] == [16, 64]
    with pytest.raises(samekey.UsageError, match="16 to 64"):
        stamp({"a": 1}, length=15)


def test_a_field_that_the_scope_lacks_is_inconclusive(api: respx.MockRouter, shop: samekey.Client) -> None:
    api.post("/orders").respond(500)
    with pytest.raises(samekey.NeedsReviewError) as caught:
        post(shop, operation=create_order.replace(on_server_error="review", reconcile=lookup_get("/orders/{nothing}")))
    assert caught.value.reason == "look_up_inconclusive"


# --- recheck


def lost(server: FlakyServer, connect: Connect, **options: Any) -> samekey.Record:
    """An order of which nobody knows whether it was made, at an API without keys."""
    server.script(Fault.COMMIT_THEN_DROP)
    client = connect(provider="keyless", retry=ONCE, **options)
    with pytest.raises(samekey.NeedsReviewError):
        post(client)
    (record,) = client.store.find()
    return record


def desk(connect: Connect, reconcile: Any, **options: Any) -> samekey.Client:
    return connect(provider="keyless", operations=[create_order.replace(reconcile=reconcile)], retry=AT_ONCE, **options)


@pytest.mark.parametrize("freeze", ["request", "nothing"])
def test_a_recheck_that_finds_it_settles_it(server: FlakyServer, connect: Connect, freeze: Any) -> None:
    record = lost(server, connect, freeze=freeze)
    client = desk(connect, lambda _http, _record: Found("order_1", evidence="search"))
    after = client.recheck(record)
    assert (after.status, after.response_reference) == (samekey.Status.SUCCEEDED, "order_1")
    assert post(connect(provider="keyless", freeze=freeze)).replayed
    assert len(server.requests) == 1
    assert client.recheck(record).status is samekey.Status.SUCCEEDED
    if freeze == "request":
        with pytest.raises(samekey.KeyReusedError) as caught:
            post(connect(provider="keyless"), json=BODY | {"total": "1"})
        assert caught.value.changed == ("/total",)


@pytest.mark.parametrize("answer", [Absent("none"), Inconclusive("HTTP 503")])
def test_a_recheck_that_settles_nothing_leaves_its_evidence(server: FlakyServer, connect: Connect, answer: Any) -> None:
    record = lost(server, connect)
    client = desk(connect, lambda _http, _record: answer)
    fake_clock(client)
    after = client.recheck(record)
    assert after.status is samekey.Status.NEEDS_REVIEW
    kinds = [(event.kind, answer.evidence in event.detail) for event in client.store.events(record.idempotency_key)]
    assert kinds[-1] == ("look_up", True)
    assert len(server.requests) == 1


def test_a_consistent_absence_found_by_a_recheck_lets_the_script_send_anew(
    server: FlakyServer, connect: Connect
) -> None:
    server.script(Fault.DROP_BEFORE)
    with pytest.raises(samekey.NeedsReviewError):
        post(connect(provider="keyless", retry=ONCE))
    client = desk(connect, lambda _http, _record: Absent("list of the day", consistent=True))
    (record,) = client.store.find()
    assert client.recheck(record).status is samekey.Status.NEEDS_REVIEW
    fake_clock(client).passed = 3600
    assert client.recheck(record).status is samekey.Status.REJECTED
    rerun = desk(connect, lambda _http, _record: Absent(""))
    fake_clock(rerun).passed = 3700
    again = post(rerun)
    assert again.record is not None
    assert (again.record.generation, len(server.effects)) == (2, 1)


def test_a_recheck_of_what_is_not_this_clients_is_refused(server: FlakyServer, connect: Connect) -> None:
    record = lost(server, connect)
    look_up = lookup_get("/orders/1")
    with pytest.raises(samekey.UsageError, match="no 'create_order'"):
        connect(provider="keyless").recheck(record)
    with pytest.raises(samekey.UsageError, match="belongs to 'default' at"):
        desk(connect, look_up, actor="other").recheck(record)
    with pytest.raises(samekey.UsageError, match=r"has no look-up; give the operation reconcile="):
        desk(connect, None).recheck(record)


# --- recoverable


def test_what_recover_would_send_is_told_and_not_sent(server: FlakyServer, connect: Connect) -> None:
    for order in (1, 2):
        server.script(Fault.COMMIT_THEN_DROP)
        with pytest.raises(samekey.OutcomeUnknownError):
            post(connect(retry=ONCE, **({} if order == 1 else {"freeze": "nothing"})), order)
    client = connect()
    before = client.store.find()
    told = client.recoverable()
    assert [[record.scope["order"] for record in part] for part in (told.settled, told.left)] == [["1"], ["2"]]
    assert client.store.find() == before
    assert len(server.requests) == 2
    fake_clock(client).passed = _day().total_seconds()
    assert [record.scope["order"] for record in client.recoverable().left] == ["1", "2"]
