"""`samekey review`, `purge`, `export`, and the timeline that answers an incident."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import samekey
from samekey._core.states import Status
from samekey.stores import SQLiteStore, _sql
from samekey.testing import Fault
from tests.cli.conftest import CANARIES, QUICK
from tests.cli.desk import DAY, decide, desk, now, put, run

if TYPE_CHECKING:
    from pathlib import Path

    from samekey.testing import FlakyServer

__all__ = ["desk"]


def review(store: SQLiteStore, *arguments: str, code: int = 0) -> str:
    return run("review", "--store", store.location, *arguments, code=code).stdout


def groups(store: SQLiteStore, *arguments: str) -> list[tuple[str, list[str]]]:
    document: dict[str, Any] = json.loads(review(store, "--json", *arguments))
    return [
        (f"{each['operation']} {each['origin']} {each['reason']}", [row["scope"]["cart"] for row in each["actions"]])
        for each in document["groups"]
    ]


def test_it_groups_by_operation_destination_and_reason_oldest_first(desk: SQLiteStore) -> None:
    put(desk, "new", age=60)
    put(desk, "old", age=2 * DAY, reason="keyless", window_seconds=None)
    put(desk, "rerun", Status.UNKNOWN, age=3 * 3600, reason=None)
    put(desk, "late", Status.UNKNOWN, age=4 * DAY, reason=None)
    put(desk, "undeclared", Status.UNKNOWN, age=100, reason=None, window_seconds=None)
    put(desk, "dead", Status.IN_FLIGHT, age=120)
    put(desk, "older", age=300)
    put(desk, "elsewhere", age=200, origin="https://eu.shop.example:443")
    put(desk, "mail", age=100, operation_name="send_mail")
    for name, status in (("done", Status.SUCCEEDED), ("refused", Status.REJECTED), ("unsent", Status.PENDING)):
        put(desk, name, status)
    here, shop = "https://api.shop.example:443", "create_order"
    assert groups(desk) == [
        (f"{shop} {here} window_closed", ["late"]),
        (f"{shop} {here} keyless", ["old"]),
        (f"{shop} {here} server_error", ["older", "new"]),
        (f"{shop} https://eu.shop.example:443 server_error", ["elsewhere"]),
        (f"{shop} {here} window_unknown", ["undeclared"]),
        (f"send_mail {here} server_error", ["mail"]),
        (f"{shop} {here} rerun", ["rerun", "dead"]),
    ]
    assert groups(desk, "--operation", "send_mail") == [(f"send_mail {here} server_error", ["mail"])]


def test_it_says_what_to_do_and_how_much_time_is_left(desk: SQLiteStore) -> None:
    first = put(desk, "c-1", age=2 * 3600)
    put(desk, "c-2", Status.UNKNOWN, reason=None)
    put(desk, "c-3", reason="keyless", window_seconds=None)
    put(desk, "c-4", Status.UNKNOWN, age=2 * DAY, reason=None)
    told = review(desk)
    flat = " ".join(told.split())
    assert "create_order at api.shop.example: this API has no keys" in flat
    assert f"{first.idempotency_key[:8]} customer=42, cart='c-1' 1x no answer within 30 s 2 h 21 h" in flat
    assert "1 h 22 h" in flat
    assert "2 d over" in flat
    assert "3 actions for a person: samekey show KEY, then samekey resolve KEY." in flat
    assert "1 action for the script: run it again within the time left. Name the same --store there." in flat
    assert max(map(len, told.splitlines())) <= 80


def test_for_a_scheduled_job_it_exits_with_another_code(desk: SQLiteStore) -> None:
    assert "Nothing to review" in review(desk, "--check")
    row = put(desk, "c-1")
    review(desk)
    review(desk, "--check", code=6)
    decide(desk, row, "--abandon")
    review(desk, "--check")


def test_what_a_live_process_is_working_on_is_not_left(server: FlakyServer, tmp_path: Path) -> None:
    place, told = tmp_path / "live.db", []

    def look(_: object) -> None:
        store = SQLiteStore(place)
        told.append(json.loads(review(store, "--json"))["total"])
        store.close()

    server.on_request = look
    with (
        samekey.Client(server.url, provider="stripe-v1", store=place) as client,
        client.action("order", scope={"cart": 1}) as action,
    ):
        action.post("/orders", json={})
    assert told == [0]


def test_review_costs_what_is_unsettled_and_not_what_was_ever_done(desk: SQLiteStore) -> None:
    done, early, open_ = put(desk, "done", Status.SUCCEEDED), put(desk, "early", Status.SUCCEEDED), put(desk, "open")
    desk.close()
    database = sqlite3.connect(desk.location, isolation_level=None)
    _multiply(database, open_, 500)
    _multiply(database, early, 171)
    assert database.execute("SELECT count(*) % 512 FROM actions").fetchone() == (160,)
    few = _steps(database)
    _multiply(database, done, 99_329)
    assert database.execute("SELECT count(*), count(*) % 512 FROM actions").fetchone() == (100_000, 160)
    assert abs(_steps(database) - few) <= 64  # tens; of the newest block, as long as before, all rows are looked at
    plan = database.execute(f"EXPLAIN QUERY PLAN {_sql.FIND['unsettled', False]}", [None] * 6 + [-1]).fetchall()
    database.close()
    steps = [step[-1] for step in plan]
    assert any(step.startswith("SEARCH actions USING INDEX actions_open") for step in steps)
    assert not any("SCAN" in step for step in steps)
    assert json.loads(review(desk, "--json"))["total"] == 500


def _multiply(database: sqlite3.Connection, row: samekey.Record, number: int) -> None:
    """Makes so many records of one."""
    names = [field.name for field in fields(samekey.Record)]
    values = [f"{name} || '-' || n" if name in {"idempotency_key", "identity"} else name for name in names]
    database.execute(
        f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) "
        f"INSERT INTO actions ({', '.join(names)}) SELECT {', '.join(values)} FROM numbers, actions WHERE idempotency_key = ?",
        [number - 1, row.idempotency_key],
    )


def _steps(database: sqlite3.Connection) -> int:
    """Instructions that SQLite needs to find what is unsettled, in tens."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    database.set_progress_handler(count, 10)
    assert len(database.execute(_sql.FIND["unsettled", False], [None] * 6 + [-1]).fetchall()) == 500
    database.set_progress_handler(None, 10)
    return counted


def test_after_a_reboot_the_lease_tells_that_nobody_is_at_it(desk: SQLiteStore) -> None:
    before = "0123456789abcdef.1.1764000000.aabb.host"
    row = put(desk, "c-1", Status.IN_FLIGHT, age=120, holder=before)
    fresh = put(desk, "c-2", Status.IN_FLIGHT, age=0, holder=before)
    assert groups(desk)[0][1] == ["c-1"]
    assert "which has ended" in run("show", row.idempotency_key, "--store", desk.location).stdout
    decide(desk, row, "--abandon")
    assert now(desk, row).status is Status.ABANDONED
    assert "may be sending it just now, until" in decide(desk, fresh, "--abandon", code=5).stderr


# --- purge --------------------------------------------------------------------------------------------------


def test_what_is_settled_and_expired_is_purged_and_nothing_else(desk: SQLiteStore) -> None:
    old = [put(desk, f"old-{status}", status, expires=-60.0) for status in (Status.SUCCEEDED, Status.REJECTED)]
    kept = [put(desk, f"kept-{status}", status, age=400 * DAY) for status in Status if status in _OPEN]
    kept.append(put(desk, "young", Status.SUCCEEDED, expires=60.0))
    told = run("purge", "--store", desk.location).stdout
    assert told.startswith("2 actions purged in ")
    assert [now(desk, row).purged for row in old] == [True, True]
    assert [now(desk, row) for row in kept] == kept
    assert json.loads(run("purge", "--store", desk.location, "--json").stdout)["purged"] == 0
    shown = " ".join(run("show", old[0].idempotency_key, "--store", desk.location).stdout.split())
    assert "Its record has been purged" in shown
    assert "ord_9" in shown


_OPEN = {Status.PENDING, Status.IN_FLIGHT, Status.UNKNOWN, Status.NEEDS_REVIEW}


def test_r8_what_was_purged_is_gone_from_the_files_and_still_prevents_a_duplicate(
    server: FlakyServer, tmp_path: Path
) -> None:
    place = tmp_path / "samekey.db"
    shop = samekey.Operation("order", scope=("cart",), reference="/id", retention=timedelta(microseconds=1))

    def order() -> samekey.Action:
        window = timedelta(seconds=1)  # a record is kept at least as long as the API may know its key
        with samekey.Client(server.url, window=window, store=place, retry=QUICK) as client:
            with client.action(shop, scope={"cart": "CANARY-SCOPE"}) as action:
                action.post("/orders", json={"total": "CANARY-BODY"})
            return action

    reference = order().reference
    database = sqlite3.connect(place)
    with database:
        database.execute("UPDATE actions SET expires_at = 1.0")
    database.close()
    run("purge", "--store", str(place))
    assert b"CANARY" not in b"".join(file.read_bytes() for file in tmp_path.glob("samekey.db*") if file.is_file())
    again = order()
    assert (again.replayed, again.reference) == (True, reference)
    assert len(server.requests) == 1


# --- export -------------------------------------------------------------------------------------------------


def test_every_action_is_exported_with_its_timeline_one_a_line(desk: SQLiteStore) -> None:
    rows = [put(desk, f"c-{number}") for number in range(20)]
    decide(desk, rows[0], "--abandon")
    lines = [json.loads(line) for line in run("export", "--store", desk.location).stdout.splitlines()]
    assert [line["idempotency_key"] for line in lines] == sorted(row.idempotency_key for row in rows)
    (told,) = [line for line in lines if line["idempotency_key"] == rows[0].idempotency_key]
    assert "resolved" in [event["what"] for event in told["timeline"]]
    some = run("export", "--store", desk.location, "--status", "abandoned", "--json").stdout
    assert len(some.splitlines()) == 1


# --- an incident ----------------------------------------------------------------------------------------------


def test_show_answers_what_was_sent_when_how_often_what_came_back_and_who_decided(
    server: FlakyServer, tmp_path: Path
) -> None:
    place = tmp_path / "samekey.db"
    shop = samekey.Operation("order", scope=("cart",), reference="/id", on_server_error="review")
    server.script(Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_5XX(500))
    with samekey.Client(
        server.url,
        window=timedelta(days=1),
        store=place,
        retry=QUICK,
        headers={"Authorization": "Bearer CANARY-HEADER"},
    ) as client:
        with pytest.raises(samekey.NeedsReviewError) as caught, client.action(shop, scope={"cart": 1}) as action:
            action.post("/orders?token=CANARY-QUERY", json={"total": "CANARY-BODY"})
        key = caught.value.key
        assert key is not None
        assert f"then run 'samekey resolve {key[:8]}' with --happened or --did-not-happen" in str(caught.value)
        store = SQLiteStore(place)
        (row,) = store.find()
        decide(store, row, "--happened", "--reference", "order_1", evidence="order list of the shop")
        with client.action(shop, scope={"cart": 1}) as action:
            action.post("/orders?token=CANARY-QUERY", json={"total": "CANARY-BODY"})
        assert (action.replayed, action.reference) == (True, "order_1")
    assert len(server.effects) == 1
    told = run("show", key, "--store", str(place)).stdout
    flat = " ".join(told.split())
    for word in ("attempts 2", "first sent POST", "tried again", "review server_error", "ada: happened", "order list"):
        assert word in flat
    assert [canary for canary in CANARIES if canary in told] == []
    assert max(map(len, told.splitlines())) <= 80
    store.close()
