"""`samekey resolve`: what a person decides, and what is refused."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import samekey
from samekey._core.states import Status
from samekey.stores import SQLiteStore
from tests.cli.conftest import SHARP
from tests.cli.desk import DAY, decide, decisions, desk, now, put, run

if TYPE_CHECKING:
    from pathlib import Path

    from samekey.testing import FlakyServer

__all__ = ["desk"]


def test_it_happened(desk: SQLiteStore) -> None:
    row = put(desk, "c-1")
    told = decide(desk, row, "--happened", "--reference", "ord_9", evidence="page 3").stdout
    assert told == (
        "create_order(customer=42, cart='c-1'): It has succeeded as ord_9; a rerun returns that, and nothing is sent.\n"
    )
    after = now(desk, row)
    assert (after.status, after.response_reference, after.frozen_request) == (Status.SUCCEEDED, "ord_9", None)
    ((kind, told_by),) = decisions(desk, row)
    assert kind == "resolved"
    assert told_by["before"]["status"] == "needs_review"
    assert [told_by[name] for name in ("by", "decision", "note", "evidence", "reference")] == [
        "ada",
        "happened",
        "looked at the shop",
        "page 3",
        "ord_9",
    ]


def test_an_object_without_an_id_can_have_happened_too(desk: SQLiteStore) -> None:
    row = put(desk, "c-1")
    decide(desk, row, "--happened", "--reference", "")
    assert (now(desk, row).status, now(desk, row).response_reference) == (Status.SUCCEEDED, "")


@pytest.mark.parametrize(
    ("age", "status", "says"),
    [
        (3600.0, Status.UNKNOWN, "the same request under the same key"),
        (2 * DAY, Status.REJECTED, "sends it under a new key"),
    ],
)
def test_it_did_not_happen(desk: SQLiteStore, age: float, status: Status, says: str) -> None:
    row = put(desk, "c-1", age=age)
    assert says in decide(desk, row, "--did-not-happen").stdout
    assert now(desk, row).status is status


def test_what_may_be_on_its_way_is_not_ruled_out(desk: SQLiteStore) -> None:
    row = put(desk, "c-1", age=100.0, reason="keyless", window_seconds=None, provider="keyless")
    told = decide(desk, row, "--did-not-happen", code=5).stderr
    assert "may still be on its way until" in told
    assert now(desk, row) == row
    assert decisions(desk, row) == []


def test_a_profile_without_keys_needs_no_reason_on_the_record(desk: SQLiteStore) -> None:
    row = put(desk, "c-1", Status.IN_FLIGHT, window_seconds=None, provider="keyless")
    decide(desk, row, "--did-not-happen")
    assert now(desk, row).status is Status.REJECTED


def test_try_again_and_abandon(desk: SQLiteStore) -> None:
    first, second, third = put(desk, "c-1"), put(desk, "c-2", Status.REJECTED), put(desk, "c-3")
    assert "the same request under the same key" in decide(desk, first, "--try-again").stdout
    assert "The refusal is set aside" in decide(desk, second, "--try-again").stdout
    assert "a rerun raises ActionAbandonedError" in decide(desk, third, "--abandon").stdout
    assert [now(desk, row).status for row in (first, second, third)] == [
        Status.UNKNOWN,
        Status.REJECTED,
        Status.ABANDONED,
    ]


def test_of_two_people_one_wins_the_other_is_told_and_the_audit_shows_both(desk: SQLiteStore) -> None:
    row = put(desk, "c-1", age=2 * DAY)
    decide(desk, row, "--happened", "--reference", "ord_9", by="ada")
    told = decide(desk, row, "--did-not-happen", by="bob", code=5).stderr
    assert f"it was {row.version} when it was shown, and is 1.2.succeeded now (ada decided 'happened' at" in told
    assert "your decision was not carried out" in told
    assert [(kind, who["by"], who["decision"]) for kind, who in decisions(desk, row)] == [
        ("resolved", "ada", "happened"),
        ("resolve_refused", "bob", "did-not-happen"),
    ]
    assert now(desk, row).status is Status.SUCCEEDED


def test_of_two_people_at_the_same_moment_too(desk: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    row = put(desk, "c-1", age=2 * DAY)
    resolve = SQLiteStore.resolve

    def after_ada(store: SQLiteStore, resolution: object) -> object:
        monkeypatch.setattr(SQLiteStore, "resolve", resolve)
        decide(desk, row, "--happened", "--reference", "ord_9", by="ada")
        return resolve(store, resolution)  # type: ignore[arg-type]

    monkeypatch.setattr(SQLiteStore, "resolve", after_ada)
    told = decide(desk, row, "--did-not-happen", by="bob", code=5).stderr
    assert "ada decided 'happened'" in told
    assert [(kind, who["by"], who["decision"]) for kind, who in decisions(desk, row)] == [
        ("resolved", "ada", "happened"),
        ("resolve_refused", "bob", "did-not-happen"),
    ]
    assert now(desk, row).status is Status.SUCCEEDED
    shown = " ".join(run("show", row.idempotency_key, "--store", desk.location).stdout.split())
    assert "resolved ada: happened; reference ord_9; note looked at the shop; it was needs_review" in shown
    assert "decided too late bob: did-not-happen" in shown


def test_r12_nothing_is_decided_while_a_process_is_at_it(desk: SQLiteStore) -> None:
    row = put(desk, "c-1", Status.IN_FLIGHT, age=0.0)
    told = decide(desk, row, "--abandon", code=5).stderr
    assert "its last request may still be on the wire until" in told
    assert [kind for kind, _ in decisions(desk, row)] == ["resolve_refused"]


def test_r12_nothing_is_decided_while_the_process_lives(server: FlakyServer, tmp_path: Path) -> None:
    place, told = tmp_path / "live.db", []

    def look(_: object) -> None:
        store = SQLiteStore(place)
        (row,) = store.find()
        told.append(decide(store, row, "--abandon", code=5).stderr)
        store.close()

    server.on_request = look
    with (
        samekey.Client(server.url, provider="stripe-v1", store=place) as client,
        client.action("order", scope={"cart": 1}) as action,
    ):
        action.post("/orders", json={})
    assert "a process may be sending it just now" in told[0]
    assert action.status is Status.SUCCEEDED


def test_a_generation_that_others_followed_is_not_reopened(desk: SQLiteStore) -> None:
    first = put(desk, "c-1", Status.REJECTED)
    decide(desk, first, "--try-again")
    from samekey._core.verbs import Claim
    from tests.stores.builders import record, seen

    again = now(desk, first)
    desk.claim(Claim(record(desk, "c-1", generation=2, fence=9), replaces=seen(again)))
    assert "it has gone on under a new key since" in decide(desk, again, "--try-again", code=5).stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say what is so"),
        (["--happened", "--abandon"], "say what is so"),
        (["--happened"], "--happened needs --reference"),
        (["--abandon", "--reference", "x"], "nothing else takes one"),
        (["--abandon", "--note", " "], "give --note"),
        (["--abandon", "--by", " "], "give --by"),
        (["--abandon", "--note", "x" * 2001], "--note has 2001 characters"),
        (["--abandon", "--seen", "whatever"], "--seen 'whatever' is no version"),
    ],
)
def test_bad_input_decides_nothing(desk: SQLiteStore, arguments: list[str], says: str) -> None:
    row = put(desk, "c-1")
    given = [] if "--note" in arguments else ["--note", "so"]
    where = ["--store", desk.location, *([] if "--seen" in arguments else ["--seen", row.version])]
    assert says in run("resolve", row.idempotency_key, *arguments, *given, *where, code=2).stderr
    assert now(desk, row) == row


def test_whoever_was_not_shown_the_record_decides_nothing(desk: SQLiteStore) -> None:
    row = put(desk, "c-1")
    where = ["--store", desk.location, "--note", "so"]
    told = run("resolve", row.idempotency_key, "--abandon", *where, code=2).stderr
    assert "give --seen" in told
    told = run("resolve", row.idempotency_key, "--abandon", "--seen", "1.9.unknown", *where, code=5).stderr
    assert "it was 1.9.unknown when it was shown, and is 1.1.needs_review now" in told
    assert now(desk, row).version == row.version


def test_json_has_the_record_as_it_is_now(desk: SQLiteStore) -> None:
    row = put(desk, "c-1")
    told = json.loads(decide(desk, row, "--abandon", "--json").stdout)
    assert (told["status"], told["version"]) == ("abandoned", "1.2.abandoned")
    (line,) = [line for line in told["timeline"] if line["what"] == "resolved"]
    assert line["decision"]["by"] == "ada"


def test_a_name_cannot_steer_the_terminal(desk: SQLiteStore) -> None:
    row = put(desk, "c-1")
    decide(desk, row, "--abandon", by=SHARP, note=SHARP)
    assert "\x1b" not in run("show", row.idempotency_key, "--store", desk.location).stdout


@pytest.mark.parametrize(("answers", "status"), [("seen it\ny\n", "abandoned"), ("seen it\nn\n", "needs_review")])
def test_at_a_terminal_the_record_is_shown_and_the_person_asked(desk: SQLiteStore, answers: str, status: str) -> None:
    row = put(desk, "c-1")
    ours, theirs = pty.openpty()
    command = ["resolve", row.idempotency_key[:8], "--abandon", "--store", desk.location]
    child = subprocess.Popen(
        [sys.executable, "-m", "samekey.cli", *command],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"},
    )
    os.close(theirs)
    os.write(ours, answers.encode())
    seen = b""
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:
        pass  # the terminal is gone with its process
    child.communicate()
    os.close(ours)
    assert now(desk, row).status.value == status
    assert child.returncode == (0 if status == "abandoned" else 130)
    told = " ".join(seen.decode().split())
    assert "create_order(customer=42, cart='c-1') needs_review" in told
    assert "Go on?" in told
