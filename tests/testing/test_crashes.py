"""Killed between two steps by the kernel, a script leaves what it had come to, and the test goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import get_args

import pytest

import samekey
from samekey.stores import SQLiteStore
from samekey.testing import (
    Boundary,
    Fault,
    FlakyServer,
    ManualClock,
    assert_effects,
    crash_at,
    run_script,
    set_testing,
)
from tests.testing.order_script import create_order, place

SCRIPT = Path(__file__).with_name("order_script.py")


def status(store: SQLiteStore, url: str, cart: str) -> str | None:
    with samekey.Client(url, provider="stripe-v1", store=store) as client:
        record = client.record(create_order, scope={"cart": cart})
        return record.status.value if record else None


@pytest.mark.parametrize(
    ("boundary", "left", "effects"),
    [
        ("before_claim", None, 0),
        ("after_claim", "in_flight", 0),
        ("before_send", "in_flight", 0),
        ("after_send", "in_flight", 1),
        ("after_reply", "in_flight", 1),
        ("before_settle", "in_flight", 1),
        ("after_settle", "succeeded", 1),
    ],
)
def test_a_function_dies_at_the_boundary_and_its_rerun_makes_it_one_effect(
    samekey_store: SQLiteStore, samekey_server: FlakyServer, boundary: Boundary, left: str | None, effects: int
) -> None:
    said = crash_at(boundary, server=samekey_server)(place, samekey_server.url, "c-9")

    assert_effects(samekey_server, effects)
    assert status(samekey_store, samekey_server.url, "c-9") == left
    assert said == ""  # it had not come to say anything
    assert place(samekey_server.url, "c-9") == samekey_server.effects[0].reference
    assert_effects(samekey_server, 1)


@pytest.mark.parametrize("boundary", ["before_renew", "after_renew"])
def test_a_rerun_dies_around_its_renewal_and_there_is_one_effect(
    samekey_server: FlakyServer, boundary: Boundary
) -> None:
    crash_at("after_claim", server=samekey_server)(place, samekey_server.url, "c-9")
    crash_at(boundary, server=samekey_server)(place, samekey_server.url, "c-9")
    assert_effects(samekey_server, 0)

    place(samekey_server.url, "c-9")
    assert_effects(samekey_server, 1)


def test_a_script_dies_at_its_third_order_and_its_rerun_makes_the_rest(
    samekey_store: SQLiteStore, samekey_server: FlakyServer
) -> None:
    crash = crash_at("after_send", occurrence=3, server=samekey_server)
    said = crash.script(SCRIPT, samekey_server.url, "a", "b", "c", "d")

    assert said == "placed order_1\nplaced order_2\n"
    assert [status(samekey_store, samekey_server.url, cart) for cart in "abcd"] == [
        "succeeded", "succeeded", "in_flight", None,
    ]  # fmt: skip
    assert_effects(samekey_server, 3)
    said = run_script(SCRIPT, samekey_server.url, "a", "b", "c", "d")
    assert said == "".join(f"placed order_{number}\n" for number in (1, 2, 3, 4))
    assert_effects(samekey_server, 4)


async def place_async(url: str, cart: str) -> str:
    async with samekey.AsyncClient(url, provider="stripe-v1", store="orders.db") as client:
        async with client.action(create_order, scope={"cart": cart}) as action:
            await action.post("/orders", json={"cart": cart})
        return action.reference


@pytest.mark.parametrize("boundary", ["after_claim", "after_send", "after_reply", "after_settle"])
def test_an_asynchronous_client_dies_and_is_run_again_with_one_effect(
    samekey_server: FlakyServer, boundary: Boundary
) -> None:
    crash_at(boundary, server=samekey_server)(lambda: asyncio.run(place_async(samekey_server.url, "c-9")))
    assert asyncio.run(place_async(samekey_server.url, "c-9")) == samekey_server.effects[0].reference
    assert_effects(samekey_server, 1)


def test_an_asynchronous_client_waits_in_no_time_either(
    samekey_server: FlakyServer, samekey_no_sleep: ManualClock
) -> None:
    samekey_server.script(Fault.DROP_BEFORE, Fault.DROP_BEFORE)
    asyncio.run(place_async(samekey_server.url, "c-9"))
    assert len(samekey_no_sleep.waits) == 2


@pytest.mark.parametrize("way", ["function", "script"])
def test_a_crash_that_never_comes_is_a_failed_test(samekey_server: FlakyServer, way: str) -> None:
    crash = crash_at("after_send", occurrence=2, server=samekey_server)
    with pytest.raises(AssertionError, match=r"ended with 0 .* never came to 'after_send' for the 2\. time") as caught:
        if way == "function":
            crash(place, samekey_server.url, "c-9")
        else:
            crash.script(SCRIPT, samekey_server.url, "c-9")
    assert "placed order_1" in str(caught.value)


@pytest.mark.usefixtures("samekey_store")
def test_a_child_that_fails_on_its_way_is_shown() -> None:
    with pytest.raises(AssertionError, match=r"(?s)ended with 1 .*NotSentError: create_order"):
        crash_at("after_send")(place, "http://127.0.0.1:9", "c-9")


def test_a_child_that_hangs_is_ended(samekey_server: FlakyServer, tmp_path: Path) -> None:
    with samekey_server.hold(), pytest.raises(AssertionError, match=r"still ran after 0\.5 s"):
        crash_at("after_reply", timeout=0.5)(place, samekey_server.url, "c-9")
    endless = tmp_path / "endless.py"
    endless.write_text("while True: pass\n")
    with pytest.raises(AssertionError, match=r"still ran after 0\.5 s"):
        run_script(endless, timeout=0.5)
    with pytest.raises(AssertionError, match=r"still ran after 0\.5 s"):
        crash_at("after_send", timeout=0.5).script(endless)


def test_the_waits_of_a_child_have_passed_for_the_test_too(samekey_server: FlakyServer) -> None:
    clock = ManualClock()
    samekey_server.script(Fault.DROP_BEFORE, Fault.DROP_BEFORE)
    before = clock.wall()
    with set_testing(clock=clock):
        crash_at("after_send", occurrence=3, server=samekey_server)(place, samekey_server.url, "c-9")
        in_a_fork = list(clock.waits)
        samekey_server.script(Fault.DROP_BEFORE)
        run_script(SCRIPT, samekey_server.url, "c-10")

    assert len(in_a_fork) == 2
    assert len(clock.waits) == 3
    assert (clock.wall() - before).total_seconds() == pytest.approx(sum(clock.waits))
    assert_effects(samekey_server, 2)


def test_a_script_that_fails_is_shown_with_what_it_printed(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import sys\nprint(sys.argv[1:], __name__)\nsys.exit(3)\n")
    with pytest.raises(AssertionError, match=r"(?s)bad\.py ended with 3; it printed:\n\['a'\] __main__"):
        run_script(bad, "a")


def test_a_boundary_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'after_sending' is no boundary; take one of before_claim, "):
        crash_at("after_sending")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the first time is 1"):
        crash_at("after_send", occurrence=0)
    assert len(get_args(Boundary)) == 9


def test_the_wrong_number_of_effects_is_told_with_a_list(samekey_server: FlakyServer) -> None:
    with pytest.raises(AssertionError, match=r"has had 0 effects, not 1$"):
        assert_effects(samekey_server, 1)
    place(samekey_server.url, "c-9")
    with pytest.raises(AssertionError, match=r'has had 1 effects, not 2:\n  order_1 by POST /orders {"cart":'):
        assert_effects(samekey_server, 2)
