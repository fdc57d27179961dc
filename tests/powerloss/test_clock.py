"""Clocks at the ends of time: nothing raises but what samekey means to raise, and records stay readable."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
import respx

import samekey
from samekey._core.states import Status
from samekey._drivers.runtime import SystemClock
from samekey.errors import SamekeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from samekey._core.model import Moment

API = "https://api.shop.example"
NOW = datetime(2026, 11, 24, 5, 10, tzinfo=UTC)
MOMENTS = [
    pytest.param(datetime(1970, 1, 1, tzinfo=UTC), id="1970"),
    pytest.param(datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC), id="2038"),
    pytest.param(datetime(9999, 1, 1, tzinfo=UTC), id="9999"),
]
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
create_order = samekey.Operation("create_order", scope=("order",), reference="/id")
OK = httpx.Response(201, json={"id": "order_1"})


class At:
    """A clock that stands where it was set."""

    def __init__(self, wall: datetime) -> None:
        self.at = wall

    def now(self) -> Moment:
        return replace(SystemClock().now(), wall=self.at)

    def wall(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        with suppress(OverflowError):
            self.at += timedelta(seconds=seconds)


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=API, assert_all_called=False) as router:
        yield router


@pytest.fixture
def run_at(tmp_path: Path, api: respx.MockRouter) -> Iterator[Callable[[datetime], samekey.Client]]:
    """Begins a run of the program at some time."""
    clients = []

    def run(moment: datetime) -> samekey.Client:
        client = samekey.Client(
            API, window=timedelta(days=1), store=tmp_path / "samekey.db", verify=False,
            retry=samekey.RetryPolicy(attempts=1),
        )  # fmt: skip
        client._engine.clock = At(moment)
        clients.append(client)
        return client

    yield run
    for client in clients:
        client.close()


def order(client: samekey.Client) -> httpx.Response:
    with client.action(create_order, scope={"order": 1}) as action:
        response: httpx.Response = action.post("/orders", json={"total": "19.99"})
    return response


def known(client: samekey.Client) -> samekey.Record:
    record = client.record(create_order, scope={"order": 1})
    assert record is not None
    assert repr(record)
    client.store.events(record.idempotency_key)
    return record


def lose_an_answer(client: samekey.Client, api: respx.MockRouter) -> None:
    api.post("/orders").mock(side_effect=httpx.ReadTimeout("no answer"))
    with pytest.raises(samekey.OutcomeUnknownError):
        order(client)
    assert known(client).status is Status.UNKNOWN


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_action_is_done_once_and_given_again(
    run_at: Callable[[datetime], samekey.Client], api: respx.MockRouter, moment: datetime
) -> None:
    route = api.post("/orders").mock(return_value=OK)
    client = run_at(moment)
    assert order(client).json() == {"id": "order_1"}
    record = known(client)
    assert record.status is Status.SUCCEEDED
    assert record.completed_at == moment
    assert record.expires_at is not None
    assert record.expires_at >= moment
    client.close()
    assert order(run_at(moment)).json() == {"id": "order_1"}
    assert route.call_count == 1


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_answer_that_was_lost_is_fetched_in_the_next_run_or_told_to_be_open(
    run_at: Callable[[datetime], samekey.Client], api: respx.MockRouter, moment: datetime
) -> None:
    client = run_at(moment)
    lose_an_answer(client, api)
    client.close()
    api.post("/orders").mock(return_value=OK)
    later = run_at(moment)
    with suppress(SamekeyError):
        assert order(later).json() == {"id": "order_1"}
    assert known(later).status in {Status.SUCCEEDED, Status.UNKNOWN, Status.NEEDS_REVIEW}
    assert len({call.request.headers["idempotency-key"] for call in api.calls}) == 1


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("backwards", [False, True], ids=["there", "back"])
def test_a_clock_that_jumps_over_ages_sends_nothing_with_another_key(
    run_at: Callable[[datetime], samekey.Client], api: respx.MockRouter, moment: datetime, *, backwards: bool
) -> None:
    first, second = (moment, NOW) if backwards else (NOW, moment)
    client = run_at(first)
    lose_an_answer(client, api)
    client.close()
    api.post("/orders").mock(return_value=OK)
    later = run_at(second)
    with suppress(SamekeyError):
        order(later)
    assert known(later).status in {Status.SUCCEEDED, Status.UNKNOWN, Status.NEEDS_REVIEW}
    assert len({call.request.headers["idempotency-key"] for call in api.calls}) == 1


def test_at_the_end_of_time_no_attempt_may_begin_and_this_is_told(
    run_at: Callable[[datetime], samekey.Client], api: respx.MockRouter
) -> None:
    client = run_at(LAST)
    with pytest.raises(samekey.NotSentError):
        order(client)
    assert known(client).status is Status.PENDING
    assert not api.calls


@pytest.mark.parametrize("moment", [*MOMENTS, LAST])
def test_recovery_ends_at_any_time(
    run_at: Callable[[datetime], samekey.Client], api: respx.MockRouter, moment: datetime
) -> None:
    client = run_at(NOW)
    lose_an_answer(client, api)
    client.close()
    api.post("/orders").mock(return_value=OK)
    later = run_at(moment)
    recovery = later.recover()
    assert len(recovery.settled) + len(recovery.left) == 1
    assert known(later).generation == 1
