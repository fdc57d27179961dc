"""What is decided at the review desk in the browser, over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from samekey._core.states import Status
from samekey.errors import StoreUnavailableError
from samekey.stores import SQLiteStore
from tests.cli.desk import DAY, ago, decide, decisions, desk, now, put
from tests.cli.served import ada, address, fill, page, send, visitor, where

if TYPE_CHECKING:
    import httpx

__all__ = ["ada", "address", "desk"]


@pytest.mark.parametrize(
    ("decision", "words", "age", "status"),
    [
        ("happened", {"reference": " ord_9 "}, 3600.0, Status.SUCCEEDED),
        ("happened", {"nameless": "1"}, 3600.0, Status.SUCCEEDED),
        ("did-not-happen", {}, 3600.0, Status.UNKNOWN),
        ("did-not-happen", {}, 2 * DAY, Status.REJECTED),
        ("try-again", {}, 3600.0, Status.UNKNOWN),
        ("abandon", {}, 3600.0, Status.ABANDONED),
    ],
)
def test_each_decision_is_carried_out_and_kept(
    desk: SQLiteStore, ada: httpx.Client, decision: str, words: dict[str, str], age: float, status: Status
) -> None:
    row = put(desk, "c-1", age=age)
    shown = send(ada, row, fill(page(ada, where(row)), decision, evidence="ticket 4711", **words))
    assert "Your decision is recorded" in shown.text
    assert f"resolved ada: {decision}" in shown.text
    after = now(desk, row)
    assert after.status is status
    ((kind, told),) = decisions(desk, row)
    assert (kind, told["by"], told["decision"]) == ("resolved", "ada", decision)
    assert (told["note"], told["evidence"]) == ("looked at the shop", "ticket 4711")
    if decision == "happened":
        assert after.response_reference == told["reference"] == words.get("reference", "").strip()


@pytest.mark.parametrize(
    ("decision", "words", "field", "says"),
    [
        ("happened", {}, "reference", "Give the object's reference"),
        ("happened", {"reference": "x", "nameless": "1"}, "reference", "one of the two"),
        ("abandon", {"reference": "x"}, "reference", "A reference belongs to"),
        ("abandon", {"nameless": "1"}, "reference", "A reference belongs to"),
        ("abandon", {"decision": ""}, "decision", "choose one"),
        ("abandon", {"decision": "undo/undo"}, "decision", "choose one"),
        ("abandon", {"by": " "}, "by", "Say who decides"),
        ("abandon", {"note": " \r\n "}, "note", "Say why"),
        ("abandon", {"note": "x" * 2001}, "note", "“Note” has 2001 characters"),
        ("abandon", {"evidence": "é" * 2001}, "evidence", "“Evidence” has 2001 characters"),
    ],
)
def test_bad_input_decides_nothing_and_loses_nothing(
    desk: SQLiteStore, ada: httpx.Client, decision: str, words: dict[str, str], field: str, says: str
) -> None:
    row = put(desk, "c-1")
    form = fill(page(ada, where(row)), decision, **({"evidence": "ticket"} | words))
    shown = send(ada, row, form, 422)
    assert "Nothing was decided yet." in shown.text
    assert shown.text.count(says) == 2  # in the summary, and at the field
    assert f"#{field}" in [each.get("href") for each in shown.all("a")]
    assert shown.fields()["evidence"] == form["evidence"]
    assert now(desk, row) == row
    assert decisions(desk, row) == []


def test_a_record_that_changed_since_it_was_shown_is_refused_and_shown_anew(
    desk: SQLiteStore, ada: httpx.Client
) -> None:
    row = put(desk, "c-1")
    form = fill(page(ada, where(row)), "abandon", evidence="ticket")
    decide(desk, row, "--happened", "--reference", "ord_9", by="bob")
    shown = send(ada, row, form, 409)
    assert "Your decision was refused." in shown.text
    assert f"it was {row.version} when it was shown, and is 1.2.succeeded now (bob decided 'happened' at" in shown.text
    assert "reference ord_9" in shown.text
    assert "decided too late ada: abandon" in shown.text
    assert now(desk, row).status is Status.SUCCEEDED


def test_of_two_people_one_wins_the_other_is_told_and_the_audit_shows_both(desk: SQLiteStore, address: str) -> None:
    row = put(desk, "c-1", age=2 * DAY)
    with visitor(address) as ada, visitor(address) as bob:
        hers = fill(page(ada, where(row)), "happened", reference="ord_9")
        his = fill(page(bob, where(row)), "did-not-happen", by="bob")
        send(ada, row, hers)
        told = send(bob, row, his, 409).text
    assert "(ada decided 'happened' at" in told
    assert "your decision was not carried out" in told
    assert [(kind, who["by"], who["decision"]) for kind, who in decisions(desk, row)] == [
        ("resolved", "ada", "happened"),
        ("resolve_refused", "bob", "did-not-happen"),
    ]
    assert now(desk, row).status is Status.SUCCEEDED


def test_of_two_people_at_the_same_moment_too(
    desk: SQLiteStore, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = put(desk, "c-1", age=2 * DAY)
    form = fill(page(ada, where(row)), "did-not-happen")
    resolve = SQLiteStore.resolve

    def after_bob(store: SQLiteStore, resolution: Any) -> Any:
        monkeypatch.setattr(SQLiteStore, "resolve", resolve)
        decide(desk, row, "--happened", "--reference", "ord_9", by="bob")
        return resolve(store, resolution)

    monkeypatch.setattr(SQLiteStore, "resolve", after_bob)
    assert "bob decided 'happened'" in send(ada, row, form, 409).text
    assert now(desk, row).status is Status.SUCCEEDED


def test_the_same_form_sent_twice_decides_once_and_another_decision_on_it_is_refused(
    desk: SQLiteStore, ada: httpx.Client
) -> None:
    row = put(desk, "c-1")
    form = fill(page(ada, where(row)), "try-again")
    send(ada, row, form)
    assert "Your decision is recorded" in send(ada, row, form).text
    assert [kind for kind, _ in decisions(desk, row)] == ["resolved"]
    send(ada, row, form | {"decision": "abandon/abandon"}, 409)
    assert now(desk, row).status is Status.UNKNOWN
    assert [kind for kind, _ in decisions(desk, row)] == ["resolved", "resolve_refused"]


def test_a_decision_that_has_come_to_mean_something_else_is_refused(desk: SQLiteStore, ada: httpx.Client) -> None:
    row = put(desk, "c-1", age=2 * DAY)
    shown = page(ada, where(row))
    form = fill(shown, "did-not-happen") | {"decision": "did-not-happen/reopen"}
    told = send(ada, row, form, 409)
    assert "Now: It did not happen; the next run sends it under a new key." in told.text
    assert now(desk, row) == row
    assert told.choices() == shown.choices()
    assert not [each for each in told.all("input") if "checked" in each]


def test_what_is_not_possible_is_refused_with_its_reason(desk: SQLiteStore, ada: httpx.Client) -> None:
    row = put(desk, "c-1", Status.REJECTED)
    form = fill(page(ada, where(row)), "try-again") | {"decision": "abandon/abandon"}
    assert "try again" in send(ada, row, form, 409).text
    assert now(desk, row) == row


def test_r12_nothing_is_decided_while_a_request_may_be_on_the_wire(desk: SQLiteStore, ada: httpx.Client) -> None:
    row = put(desk, "c-1", Status.IN_FLIGHT, age=0.0)
    told = send(ada, row, fill(page(ada, where(row)), "abandon"), 409).text
    assert "its last request may still be on the wire until" in told
    assert now(desk, row).status is Status.IN_FLIGHT


def test_a_purged_action_has_nothing_left_to_decide(desk: SQLiteStore, ada: httpx.Client) -> None:
    row = put(desk, "c-1", Status.SUCCEEDED, age=2 * DAY, expires=-10.0)
    assert desk.purge(ago(0), limit=10) == 1
    shown = page(ada, where(row))
    assert "Its record has been purged" in shown.text
    assert shown.choices() == []


def test_a_store_that_cannot_be_used_is_one_sentence(
    desk: SQLiteStore, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailableError("the store x cannot be read (disk full); free space.")

    monkeypatch.setattr(SQLiteStore, "find", fail)
    shown = page(ada, "", 503)
    assert "The store cannot be used the store x cannot be read (disk full); free space." in shown.text
