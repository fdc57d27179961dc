"""Loops of actions: what is collected, what goes through, when they stop."""

from __future__ import annotations

import io
from typing import Any

import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import BODY, ONCE, Connect, Flavour, create_order, synchronous


def run(client: samekey.Client, numbers: Any, *, body: Any = BODY, **options: Any) -> samekey.Batch:
    batch = client.batch(**options)
    for number in numbers:
        with batch.action(create_order, scope={"order": number}, correlation_id="job") as action:
            action.post("/orders", json=body)
    return batch


def test_what_concerns_one_action_is_collected_and_the_loop_goes_on(server: FlakyServer, connect: Connect) -> None:
    client = connect(retry=ONCE)
    run(client, [1])
    server.script(Fault.REJECT(422), Fault.NONE, Fault.COMMIT_THEN_DROP, Fault.NONE)
    batch = run(client, [1, 2, 3, 4, 5])
    assert [type(error) for error in batch.failures] == [samekey.ActionRejectedError, samekey.OutcomeUnknownError]
    assert (batch.made, batch.replayed, batch.ok) == (2, 1, False)
    head, *lines = str(batch).splitlines()
    assert head == "5 actions: 2 made now, 1 already made, 1 ActionRejectedError, 1 OutcomeUnknownError"
    assert [line.strip() for line in lines] == [str(error) for error in batch.failures]
    assert repr(batch).endswith("Batch made=2 replayed=1 failures=2>")
    assert [error.correlation_id for error in batch.failures] == ["job", "job"]


def test_run_again_the_loop_makes_what_is_missing(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.NONE, Fault.COMMIT_THEN_DROP)
    run(connect(retry=ONCE), [1, 2, 3])
    again = run(connect(), [1, 2, 3])
    assert (again.ok, again.made, again.replayed, len(server.effects)) == (True, 1, 2, 3)
    assert str(again) == "3 actions: 1 made now, 2 already made"


def test_a_conflict_and_a_review_are_collected_too(server: FlakyServer, connect: Connect) -> None:
    client = connect(retry=ONCE)
    run(client, [1])
    batch = run(client, [1], body={"total": "20.00"})
    assert [type(error) for error in batch.failures] == [samekey.KeyReusedError]
    server.script(Fault.COMMIT_THEN_DROP)
    batch = run(connect(provider="keyless", retry=ONCE), [2])
    assert [type(error) for error in batch.failures] == [samekey.NeedsReviewError]


def test_a_failure_that_the_block_has_caught_is_no_success(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.REJECT(422), Fault.COMMIT_THEN_DROP)
    batch = connect(retry=ONCE).batch()
    for number in (1, 2):
        with batch.action(create_order, scope={"order": number}) as action:
            try:
                action.post("/orders", json=BODY)
            except samekey.SamekeyError:
                continue
    assert [type(error) for error in batch.failures] == [samekey.ActionRejectedError, samekey.OutcomeUnknownError]
    assert (batch.made, batch.ok) == (0, False)


def test_an_api_that_is_not_there_ends_the_loop(connect: Connect) -> None:
    client = connect("http://127.0.0.1:9", retry=ONCE)
    batch = client.batch(stop_after=3)
    with pytest.raises(samekey.NotSentError) as raised:
        for number in range(9):
            with batch.action(create_order, scope={"order": number}) as action:
                action.post("/orders", json=BODY)
    assert (len(batch.failures), batch.failures[-1] is raised.value) == (3, True)
    assert raised.value.__notes__ == ["The batch stopped here: 3 actions in a row were not sent."]


def test_only_those_in_a_row_count(server: FlakyServer, connect: Connect) -> None:
    server.script(*[Fault.RATE_LIMIT, Fault.NONE] * 3)
    batch = run(connect(retry=ONCE), range(6), stop_after=2)
    assert ([type(error) for error in batch.failures], batch.made) == ([samekey.NotSentError] * 3, 3)


@synchronous  # Ctrl-C in an event loop: tests/client/test_cancel.py
@pytest.mark.parametrize("error", [KeyError("total"), KeyboardInterrupt()])
def test_foreign_exceptions_go_through(client: samekey.Client, error: BaseException) -> None:
    batch = client.batch()
    with pytest.raises(type(error)), batch.action(create_order, scope={"order": 1}) as action:
        action.post("/orders", json=BODY)
        raise error
    assert batch.failures == []


def test_our_verdict_over_somebodys_wrapper_is_collected(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    batch = connect(retry=ONCE).batch()
    with batch.action(create_order, scope={"order": 1}) as action:
        try:
            action.post("/orders", json=BODY)
        except samekey.SamekeyError as error:
            raise RuntimeError("wrapped") from error
    assert [type(error) for error in batch.failures] == [samekey.OutcomeUnknownError]


def test_a_wrong_call_goes_through(server: FlakyServer, client: samekey.Client) -> None:
    batch = client.batch()
    with pytest.raises(samekey.UsageError), batch.action(create_order, scope={"order": 1}) as action:
        action.request("GET", "/orders")
    with pytest.raises(samekey.UsageError, match="scope"):
        batch.action(create_order, scope={"cart": 1})
    assert (batch.failures, server.requests) == ([], [])


def test_a_store_that_cannot_be_used_goes_through(connect: Connect, tmp_path: Any) -> None:
    (tmp_path / "bad.db").write_bytes(b"no database" * 100)
    batch = connect(store=tmp_path / "bad.db").batch()
    with pytest.raises(samekey.StoreError), batch.action(create_order, scope={"order": 1}) as action:
        action.post("/orders", json=BODY)
    assert batch.failures == []


def test_a_block_without_a_write_counts_nothing(client: samekey.Client) -> None:
    batch = client.batch()
    with batch.action(create_order, scope={"order": 1}):
        pass
    assert str(batch) == "0 actions: 0 made now, 0 already made"


@pytest.mark.parametrize("stop_after", [0, -1, True, 2.5, "5"])
def test_a_limit_that_is_none_is_refused(client: samekey.Client, stop_after: Any) -> None:
    with pytest.raises(samekey.UsageError, match="give a positive int"):
        client.batch(stop_after=stop_after)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_written_over(client: samekey.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samekey.batch.PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr", stream := Terminal())
    batch = run(client, [1, 2])
    str(batch)
    str(batch)
    assert stream.getvalue() == (
        "\r1 made, 0 already made, 0 failed\x1b[K\r2 made, 0 already made, 0 failed\x1b[K\r\x1b[K"
    )
    with pytest.raises(KeyError), batch.action(create_order, scope={"order": 3}):
        raise KeyError
    assert stream.getvalue().endswith("\r\x1b[K")


def test_elsewhere_there_is_no_such_line(client: samekey.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samekey.batch.PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr", stream := io.StringIO())
    str(run(client, [1, 2]))
    assert stream.getvalue() == ""


def test_the_responses_are_the_librarys(client: samekey.Client, flavour: Flavour) -> None:
    batch = client.batch()
    response = None
    with batch.action(create_order, scope={"order": 1}) as action:
        response = action.post("/orders", json=BODY)
    assert isinstance(response, flavour.module.Response)
