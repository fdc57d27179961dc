"""What counts for which number, told by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from samekey._core.model import Event, Record
from samekey._core.states import Status
from samekey._core.tally import (
    CLOSED,
    SECOND_EFFECT,
    Counter,
    Effect,
    Left,
    Rows,
    Tally,
    objects,
    reference_told,
    told_reference,
)
from tests.core.driving import T0, plan, record

HOUR = timedelta(hours=1)


def row(action: str = "a", reference: str | None = "1", hours: int = 0, **changes: Any) -> Record:
    """A success; other states are given."""
    moment = T0 + hours * HOUR
    facts: dict[str, Any] = {
        "identity": action,
        "idempotency_key": f"key-{action}",
        "status": Status.SUCCEEDED,
        "response_reference": reference,
        "created_at": moment,
        "first_sent_at": moment,
    }
    return replace(record(plan()), **(facts | changes))


def counted(
    *stories: tuple[Record, list[Event]], since: datetime | None = None, stretch_seconds: int | None = None
) -> Tally:
    counter = Counter(since, stretch_seconds)
    for each, events in stories:
        counter.add(each, events)
    return counter.tally()


def test_rows_are_counted_by_operation_and_by_the_stretch_in_which_they_were_claimed() -> None:
    stretch = int(T0.timestamp() // 3600)
    tally = counted(
        (row("a", "1"), []),
        (row("b", "2", attempts=3), []),
        (row("c", None, 1), []),
        (row("d", "4", 1, method="PUT"), []),
        (row("e", None, 1, status=Status.REJECTED, attempts=2), []),
        (row("f", "6", 1, operation_name="pay"), []),
        stretch_seconds=3600,
    )
    assert tally.rows == {
        ("create_order", stretch): Rows(actions=2, succeeded=2, attempts=4, retried=1, recovered=1),
        ("create_order", stretch + 1): Rows(actions=3, succeeded=2, rejected=1, attempts=4, retried=1, unchecked=2),
        ("pay", stretch + 1): Rows(actions=1, succeeded=1, attempts=1),
    }
    assert tally.writes == {"create_order": 2, "pay": 1}
    assert tally.clashes == ()


def test_events_count_by_their_own_time_and_rows_by_theirs() -> None:
    late = Event(T0 + 5 * HOUR, "replay")
    tally = counted((row(), [Event(T0, "conflict"), late]), (row("b", "2", 4), []), since=T0 + 2 * HOUR)
    assert tally.events == {("create_order", 0, "replay"): 1}
    assert tally.rows == {("create_order", 0): Rows(actions=1, succeeded=1, attempts=1)}
    assert tally.writes == {"create_order": 1}


def test_what_is_unsettled_counts_whenever_it_was_and_the_oldest_is_known() -> None:
    tally = counted(
        (row("a", None, 3, status=Status.UNKNOWN), []),
        (row("b", None, 1, status=Status.UNKNOWN, window_seconds=60.0), []),
        (row("c", None, 2, status=Status.UNKNOWN), []),
        (row("d", None, 0, status=Status.PENDING, first_sent_at=None), []),
        since=T0 + 9 * HOUR,
    )
    assert tally.rows == {}
    assert tally.left == {
        ("create_order", Status.UNKNOWN): Left(3, T0 + HOUR, 60.0),
        ("create_order", Status.PENDING): Left(1, T0, 86400.0),
    }


def test_a_reference_that_only_an_event_names_is_an_effect() -> None:
    told = [
        Event(T0, SECOND_EFFECT, told_reference("2")),
        Event(T0, CLOSED, "without a reference"),
        Event(T0, "replay"),
    ]
    tally = counted(
        (row("a", "1"), told), (row("b", "2", status=Status.REJECTED), [Event(T0, CLOSED, told_reference("3"))])
    )
    assert tally.writes == {"create_order": 3}
    assert [(effect.identity, effect.reference) for effect in tally.clashes] == [("a", "1"), ("a", "2")]


def test_an_effect_that_is_known_twice_is_one() -> None:
    tally = counted((row("a", "1"), [Event(T0, CLOSED, told_reference("1"))]), (row("a", "1", generation=2), []))
    assert tally.writes == {"create_order": 1}
    assert tally.clashes == ()


@pytest.mark.parametrize("changes", [{"method": "PUT"}, {"method": ""}, {"response_reference": ""}])
def test_what_names_no_object_of_its_own_is_no_effect(changes: dict[str, Any]) -> None:
    tally = counted((row("a", "1", **changes), []))
    assert tally.writes == {}
    assert tally.rows["create_order", 0].unchecked == 1


def test_a_told_reference_is_read_back() -> None:
    assert reference_told(told_reference("ord 9")) == "ord 9"
    assert reference_told("the API confirmed an effect without a reference") is None


def pair(action: str, reference: str, operation: str = "create_order") -> Effect:
    return Effect(operation, "https://api.shop.example:443", reference, action, "key")


@pytest.mark.parametrize(
    ("effects", "groups"),
    [
        ([], 0),
        ([pair("a", "1"), pair("b", "2")], 2),
        ([pair("a", "1"), pair("a", "2")], 1),
        ([pair("a", "1"), pair("b", "1")], 1),
        ([pair("a", "1"), pair("b", "1", "pay_invoice")], 2),
        ([pair("a", "1"), pair("b", "2"), pair("b", "1")], 1),
        ([pair("a", "1"), pair("a", "2"), pair("b", "1"), pair("b", "2")], 1),
        ([pair("a", "1"), pair("b", "2"), pair("c", "3"), pair("a", "3"), pair("b", "3")], 1),
        ([pair("a", "1"), pair("b", "2"), pair("a", "3"), pair("c", "2")], 2),
    ],
)
def test_effects_that_share_an_action_or_an_object_are_one(effects: list[Effect], groups: int) -> None:
    found = objects(effects)
    assert len(found) == groups
    assert sorted(effect for group in found for effect in group) == sorted(effects)
