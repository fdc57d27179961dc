"""`recover()` finishes what dead processes left, and nothing else."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import DAY, ONCE, Connect, create_order, fake_clock, post


def lose(server: FlakyServer, client: samekey.Client, *orders: int, fault: Fault = Fault.COMMIT_THEN_DROP) -> None:
    """Leaves orders unknown."""
    for order in orders:
        server.script(fault)
        with pytest.raises(samekey.OutcomeUnknownError):
            post(client, order)


def statuses(client: samekey.Client, *orders: int) -> list[str]:
    records = [client.record(create_order, scope={"order": order}) for order in orders]
    return [record.status.value if record else "none" for record in records]


def test_what_was_left_unknown_is_settled_under_the_same_keys(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE), 1)
    lose(server, connect(retry=ONCE), 2, fault=Fault.DROP_BEFORE)
    client = connect(operations=[create_order])
    clock = fake_clock(client)

    recovery = client.recover()

    assert [record.response_reference for record in recovery.settled] == ["order_1", "order_2"]
    assert recovery.left == ()
    assert len(server.effects) == 2
    assert [seen.key for seen in server.requests[:2]] == [seen.key for seen in server.requests[2:]]
    assert [seen.body for seen in server.requests[:2]] == [seen.body for seen in server.requests[2:]]
    assert clock.slept == [0.1]
    assert post(client, 1).replayed


def test_the_oldest_come_first_and_a_limit_holds(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE), 3, 1, 2)
    client = connect()
    fake_clock(client)
    recovery = client.recover(limit=2)
    assert [record.scope["order"] for record in recovery.settled] == ["3", "1"]
    assert statuses(client, 3, 1, 2) == ["succeeded", "succeeded", "unknown"]


def test_other_accounts_and_other_origins_are_left_alone(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE, actor="other"), 1)
    with FlakyServer() as elsewhere:
        lose(elsewhere, connect(elsewhere.url, retry=ONCE), 2)
        before = len(server.requests), len(elsewhere.requests)
        recovery = connect().recover()
        assert (len(server.requests), len(elsewhere.requests)) == before
    assert recovery == samekey.Recovery((), ())


def test_another_profile_is_left_alone(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE), 1)
    recovery = connect(provider="stripe-v1").recover()
    assert [record.status for record in recovery.left] == [samekey.Status.UNKNOWN]
    assert len(server.requests) == 1


def test_what_was_never_sent_is_not_sent_now(server: FlakyServer, connect: Connect) -> None:
    server.close()
    with pytest.raises(samekey.NotSentError):
        post(connect(retry=ONCE))
    server.start()
    assert connect().recover() == samekey.Recovery((), ())
    assert not server.requests


def test_what_is_settled_or_waits_for_review_is_not_touched(server: FlakyServer, connect: Connect) -> None:
    client = connect()
    post(client, 1)
    server.script(Fault.REJECT(422))
    with pytest.raises(samekey.ActionRejectedError):
        post(client, 2)
    requests = len(server.requests)
    assert client.recover() == samekey.Recovery((), ())
    assert len(server.requests) == requests


def test_a_window_that_has_closed_is_left_for_a_person(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE), 1)
    client = connect()
    fake_clock(client).passed = DAY.total_seconds()
    recovery = client.recover()
    assert ([record.status for record in recovery.left], recovery.settled) == ([samekey.Status.UNKNOWN], ())
    assert len(server.requests) == 1


def test_without_a_frozen_body_the_action_is_skipped_and_the_others_are_not(
    server: FlakyServer, connect: Connect
) -> None:
    lose(server, connect(retry=ONCE, freeze="nothing"), 1)
    lose(server, connect(retry=ONCE), 2)
    client = connect()
    fake_clock(client)
    recovery = client.recover()
    assert [record.scope["order"] for record in recovery.settled] == ["2"]
    assert [record.scope["order"] for record in recovery.left] == ["1"]
    assert len(server.requests) == 3


def test_a_live_holder_is_left_alone(server: FlakyServer, connect: Connect) -> None:
    client = connect()
    seen: list[samekey.Recovery] = []
    server.on_request = lambda _seen: seen.append(connect().recover())
    post(client)
    assert len(server.requests) == 1
    assert [record.status for record in seen[0].left] == [samekey.Status.IN_FLIGHT]


def test_a_refusal_of_the_stored_kind_settles_too(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE, provider="stripe-v1"), 1, fault=Fault.DROP_BEFORE)
    server.script(Fault.REJECT(402))
    recovery = connect(provider="stripe-v1").recover()
    assert [record.status for record in recovery.settled] == [samekey.Status.REJECTED]


def test_what_still_brings_no_answer_stays(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE), 1)
    server.script(Fault.COMMIT_THEN_DROP)
    recovery = connect(retry=ONCE).recover()
    assert [(record.status, record.attempts) for record in recovery.left] == [(samekey.Status.UNKNOWN, 2)]
    assert len(server.effects) == 1


def test_a_client_without_a_base_url_cannot_know_what_is_its_own(connect: Connect) -> None:
    with pytest.raises(samekey.UsageError, match="recover: this client has no base_url"):
        connect("").recover()


def test_recover_uses_the_credentials_of_today(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE, headers={"Authorization": "Bearer old.old.old"}), 1)
    connect(headers={"Authorization": "Bearer new.new.new"}).recover()
    assert [seen.header("authorization") for seen in server.requests] == [
        "Bearer old.old.old",
        "Bearer new.new.new",
    ]


def test_record_tells_what_the_store_knows_and_sends_nothing(server: FlakyServer, connect: Connect) -> None:
    client = connect()
    assert client.record(create_order, scope={"order": 1}) is None
    lose(server, connect(retry=ONCE), 1)
    record = client.record(create_order, scope={"order": 1})
    assert record is not None
    assert (record.status, record.attempts, record.open_attempts) == (samekey.Status.UNKNOWN, 1, 1)
    assert (record.method, record.url, record.origin) == ("POST", f"{server.url}/orders", server.url)
    assert record.first_sent_at is not None
    assert record.window_seconds == DAY.total_seconds()
    assert len(server.requests) == 1


def test_time_and_names_in_the_store_are_the_contract(server: FlakyServer, client: samekey.Client, path: Path) -> None:
    post(client)
    record = client.record(create_order, scope={"order": 1})
    assert record is not None
    assert record.completed_at is not None
    assert record.expires_at is not None
    assert record.expires_at - record.completed_at == timedelta(days=30)
    client.close()
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert "events" in tables
    database.close()


@pytest.mark.parametrize("known", [True, False], ids=["operation known", "operation unknown"])
def test_whoever_recovered_it_the_script_gets_its_reference(server: FlakyServer, connect: Connect, known: bool) -> None:
    lose(server, connect(retry=ONCE), 1)
    connect(operations=[create_order] if known else []).recover()
    action = post(connect())
    assert (action.replayed, action.reference) == (True, "order_1")


@pytest.mark.parametrize("lease_over", [True, False])
def test_what_a_process_of_an_earlier_boot_left_is_recovered_once_its_lease_is_over(
    server: FlakyServer, connect: Connect, path: Path, lease_over: bool
) -> None:
    lose(server, connect(retry=ONCE), 1)
    client = connect(operations=[create_order.replace(reconcile=lambda _http, _record: samekey.Inconclusive("no"))])
    client.store.close()
    lease = "first_sent_at - 1" if lease_over else "first_sent_at + 3600"
    with sqlite3.connect(path) as database:
        holder = "0123456789abcdef.1.1764000000.aabb.host"
        database.execute(f"UPDATE actions SET status = 'in_flight', holder = ?, lease_expires_at = {lease}", [holder])
    database.close()
    (record,) = client.store.find()
    if not lease_over:
        with pytest.raises(samekey.UsageError, match="is being sent"):
            client.recheck(record)
        assert [left.status for left in client.recover().left] == [samekey.Status.IN_FLIGHT]
        assert len(server.requests) == 1
        return
    assert client.recheck(record).status is samekey.Status.IN_FLIGHT
    assert [row.status for row in client.recoverable().settled] == [samekey.Status.IN_FLIGHT]
    assert [settled.response_reference for settled in client.recover().settled] == ["order_1"]
    assert len(server.effects) == 1
