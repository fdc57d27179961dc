"""The pytest plugin, in a pytest of its own: as users have it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("order_script.py")


@pytest.fixture
def sandbox(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makefile(".py", place_orders=SCRIPT.read_text(encoding="utf-8"))
    pytester.syspathinsert()
    return pytester


def run(sandbox: pytest.Pytester, source: str) -> pytest.RunResult:
    sandbox.makepyfile(test_it=source)
    return sandbox.runpytest_subprocess("-q", "-W", "error")


def test_pytest_finds_it_by_itself() -> None:
    (entry,) = [point for point in entry_points(group="pytest11") if point.name == "samekey"]
    assert entry.value == "samekey.pytest_plugin"


def test_it_costs_nothing_until_it_is_used() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import samekey.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert said.stdout.split() == ["samekey", "samekey.pytest_plugin"]


def test_a_user_proves_his_script_safe_in_ten_lines(sandbox: pytest.Pytester) -> None:
    result = run(
        sandbox,
        """
        import pytest
        from place_orders import place

        @pytest.mark.parametrize("step", ["after_claim", "after_send", "after_reply", "after_settle"])
        def test_killed_and_run_again_there_is_one_order(step, samekey_server, crash_at, assert_effects):
            crash_at(step)(place, samekey_server.url, "c-9")
            place(samekey_server.url, "c-9")
            assert_effects(samekey_server, 1)
        """,
    )
    result.assert_outcomes(passed=4)
    assert not (sandbox.path / "orders.db").exists()


def test_a_script_that_does_without_samekey_never_comes_to_a_step(sandbox: pytest.Pytester) -> None:
    result = run(
        sandbox,
        """
        import httpx

        def test_naive(samekey_server, crash_at):
            crash_at("after_send")(httpx.post, samekey_server.url + "/orders", json={})
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*never came to 'after_send', so nothing was killed*"])


def test_each_test_has_a_store_of_its_own(sandbox: pytest.Pytester) -> None:
    result = run(
        sandbox,
        """
        import os
        import pytest
        from place_orders import place

        @pytest.mark.parametrize("time", [1, 2])
        def test_one(time, samekey_store, samekey_server):
            place(samekey_server.url, "c-9")
            assert len(samekey_server.effects) == 1
            assert [record.response_reference for record in samekey_store.find()] == ["order_1"]
            assert os.environ["SAMEKEY_STORE"] == samekey_store.location

        def test_afterwards():
            assert "SAMEKEY_STORE" not in os.environ
        """,
    )
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("arguments", ["samekey_no_sleep, samekey_clock", "samekey_clock, samekey_no_sleep"])
def test_clock_and_waits(sandbox: pytest.Pytester, arguments: str) -> None:
    result = run(
        sandbox,
        f"""
        import pytest, samekey
        from samekey.testing import Fault
        from place_orders import place

        def test_waits(samekey_server, samekey_no_sleep):
            samekey_server.script(Fault.DROP_BEFORE, Fault.DROP_BEFORE)
            place(samekey_server.url, "c-9")
            assert len(samekey_no_sleep.waits) == 2

        def test_both({arguments}, samekey_server):
            assert samekey_clock is samekey_no_sleep
            samekey_server.script(Fault.COMMIT_THEN_DROP, *[Fault.DROP_BEFORE] * 4)
            with pytest.raises(samekey.OutcomeUnknownError):
                place(samekey_server.url, "c-9")
            samekey_clock.advance(24 * 3600)
            with pytest.raises(samekey.NeedsReviewError, match="its key has expired"):
                place(samekey_server.url, "c-9")
            samekey_clock.advance(3600)
            place(samekey_server.url, "c-10")  # the server's clock has moved too: its answers are no clock jump
            assert len(samekey_server.effects) == 2

        def test_most_attempts(samekey_server, samekey_no_sleep):
            samekey_server.script(*[Fault.DROP_BEFORE] * 50)
            retry = samekey.RetryPolicy(attempts=50, deadline=1e9, budget=None)
            with samekey.Client(samekey_server.url, provider="stripe-v1", retry=retry) as client:
                with pytest.raises(samekey.OutcomeUnknownError) as caught, client.action("x", scope={{"a": 1}}) as action:
                    action.post("/x", json={{}})
            assert caught.value.attempts == 10
        """,
    )
    result.assert_outcomes(passed=3)
