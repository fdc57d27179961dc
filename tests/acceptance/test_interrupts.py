"""The bar on interrupts: whatever line they hit, the record says what is true and the next run goes on from there.

`SAMEKEY_TEST_LINES=1` tries every line; without it a sample is taken, another one for each kind of interrupt.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from samekey.stores import SQLiteStore
from samekey.testing import Fault, FlakyServer
from tests.acceptance.interrupts import Bench, Injection, Wire
from tests.acceptance.nursery import Nursery

STRIDE = int(os.environ.get("SAMEKEY_TEST_LINES", "37"))
"""Every so many lines; prime, so that loops do not hide lines from it."""


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180 * max(1, 37 // STRIDE)),
    # An exception out of the trace, right after a connection was made, leaves its socket to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


class ArbitraryError(Exception):
    """Neither ours nor httpx's."""


KINDS: list[Callable[[], BaseException]] = [KeyboardInterrupt, lambda: SystemExit(3), ArbitraryError]
NAMES = ["Ctrl-C", "SystemExit", "exception"]


@pytest.fixture(autouse=True)
def _no_garbage() -> Iterator[None]:
    """A store of another test that is collected just now would be interrupted in place of this one."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with FlakyServer() as server:
        wire = Wire(server)
        server.on_request = wire.arrived
        yield wire


@pytest.fixture
def bench(wire: Wire, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(wire, SQLiteStore(tmp_path / "samekey.db"), keyless=False)
    yield bench
    bench.close()


@pytest.fixture
def keyless(wire: Wire, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(wire, SQLiteStore(tmp_path / "samekey.db"), keyless=True)
    yield bench
    bench.close()


@pytest.fixture(params=range(3), ids=NAMES)
def kind(request: pytest.FixtureRequest) -> int:
    """Which interrupt."""
    return int(request.param)


def points(lines: int, kind: int) -> range:
    """At which lines it comes."""
    return range(1 + kind * (STRIDE // len(KINDS)), lines + 1, STRIDE)


def count(bench: Bench, order: str) -> int:
    """How many lines one run executes."""
    counter = Injection(None)
    assert bench.interrupted(order, counter) is None
    return counter.lines


def interrupt(bench: Bench, order: str, at: int, kind: int) -> str:
    """Interrupts one run and checks what it left; returns what the record said then."""
    injection = Injection(KINDS[kind](), at)
    caught = bench.interrupted(order, injection)
    bench.wire.server.clear_faults()
    try:
        if injection.where == "nowhere":  # this run was shorter than the one that was counted
            assert caught is None
        elif not isinstance(injection.error, Exception):
            assert caught is injection.error, "the interrupt did not reach the caller"
        bench.check_nothing_is_left()
        status = bench.check_record(order)
        went_on = bench.check_next_run(order)
        bench.check_nothing_is_left()
    except AssertionError as error:
        error.add_note(f"line {at}, which was {injection.where}; {caught!r} reached the caller")
        raise
    return f"{status.value if status else 'no record'}{'' if went_on else ', then review'}"


def interrupt_all(bench: Bench, name: str, kind: int, lines: int, before: Callable[[str], None] | None = None) -> None:
    found: Counter[str] = Counter()
    for at in points(lines, kind):
        order = f"{name} {kind} {at}"
        if before is not None:
            before(order)
        found[interrupt(bench, order, at, kind)] += 1
    print(f"{name}, {NAMES[kind]}: {lines} lines, {dict(found)}")


def lose_a_reply(bench: Bench) -> Callable[[str], None]:
    return lambda _order: bench.wire.server.script(Fault.COMMIT_THEN_DROP)


def test_interrupted_at_any_line_of_a_first_run(bench: Bench, kind: int) -> None:
    bench.post(f"warm {kind}")
    interrupt_all(bench, "first", kind, count(bench, f"count {kind}"))


def test_interrupted_at_any_line_of_a_run_that_loses_a_reply(bench: Bench, kind: int) -> None:
    bench.post(f"lost warm {kind}")
    lose_a_reply(bench)("")
    interrupt_all(bench, "lost", kind, count(bench, f"lost count {kind}"), lose_a_reply(bench))


def test_interrupted_at_any_line_of_a_take_over(bench: Bench, kind: int) -> None:
    lines = 3000  # more than a take-over executes; where it ends first, nothing is injected
    orders = [f"takeover {kind} {at}" for at in points(lines, kind)]
    counted = [f"takeover count {kind} {number}" for number in range(3)]
    bench.post(f"takeover warm {kind}")
    with Nursery() as nursery:
        arguments = (bench.wire.server.url, bench.store.location, [*counted, *orders])
        assert nursery.call("tests.acceptance.one_action:leave_behind", *arguments)[0] == 0
    lines = max(count(bench, order) for order in counted)
    assert lines < 3000
    interrupt_all(bench, "takeover", kind, lines)


def test_interrupted_at_any_line_of_a_replay(bench: Bench, kind: int) -> None:
    bench.post(f"replay count {kind}")
    interrupt_all(bench, "replay", kind, count(bench, f"replay count {kind}"), lambda order: print(bench.post(order)))


def test_interrupted_at_any_line_of_the_very_first_run_which_makes_the_store(
    wire: Wire, tmp_path: Path, kind: int
) -> None:
    def fresh(name: str) -> Bench:
        return Bench(wire, SQLiteStore(tmp_path / name / "samekey.db"), keyless=False)

    counted = fresh("count")
    lines = count(counted, f"cold count {kind}")
    counted.close()
    for at in points(lines, kind):
        bench = fresh(str(at))
        try:
            interrupt(bench, f"cold {kind} {at}", at, kind)
        finally:
            bench.close()


def test_without_keys_interrupted_at_any_line_there_are_never_two_effects(keyless: Bench, kind: int) -> None:
    keyless.post(f"keyless warm {kind}")
    interrupt_all(keyless, "keyless", kind, count(keyless, f"keyless count {kind}"))


def test_without_keys_interrupted_while_a_reply_is_lost_there_are_never_two_effects(keyless: Bench, kind: int) -> None:
    keyless.post(f"keyless lost warm {kind}")
    lines = count(keyless, f"keyless lost count {kind}")
    interrupt_all(keyless, "keyless lost", kind, lines, lose_a_reply(keyless))
