"""Seeded histories of several processes, a store, an API and people, through the real core and the real drivers.

`SAMEKEY_HISTORIES` sets how many run (10,000 unless told otherwise; `.ci/run` asks for more), `SAMEKEY_SEED` where the
seeds begin. The driver for event loops runs in every third process (`loops.py`); people decide, err and purge (`people.py`).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections import Counter

import pytest

from tests.simulation.choices import Choices, every
from tests.simulation.histories import FIRST_SEED, explain, history, kind
from tests.simulation.scenarios import DISHONEST, FORGOTTEN, GUARDED, HONEST, Scenario, named, of_seed

HISTORIES = int(os.environ.get("SAMEKEY_HISTORIES", "10000"))
CHUNK = 500
EXPLAINED = 3

SOMETIMES = (
    "claim_error", "clock_jump", "contradiction", "crash after claim", "crash after renew", "crash after send",
    "crash after settle", "crash before claim", "crash before get", "crash before look-up", "crash before purge",
    "crash before renew", "crash before resolve", "crash before send", "crash before settle", "error", "error_done",
    "interrupt", "interrupt between steps", "late", "look-up absent", "look-up found", "lost_reply", "lost_request",
    "new generation", "not_sent", "power_loss", "purged", "recover", "recover pending", "recovered", "refused",
    "refused did-not-happen", "refused try-again", "renew_error", "renew_failed", "resolve abandon",
    "resolve did-not-happen", "resolve happened", "resolve refused", "resolve try-again", "review clock_jumped",
    "review effect_after_close", "review keyless", "review look_up_absent", "review look_up_inconclusive",
    "review refused_after_unknown", "review server_error", "review window_closed", "settle_error", "settle_failed",
    "slow", "told ActionAbandonedError", "told ActionInProgressError", "told ActionRejectedError",
    "told DuplicateActionError", "told KeyReusedError", "told NeedsReviewError", "told NotSentError",
    "told OutcomeUnknownError", "told StoreUnavailableError", "told UsageError",
    "told of a tombstone ActionRejectedError", "told of a tombstone success", "told success", "too_late", "unrecorded",
)  # fmt: skip
"""Rare paths that a run of this size must have taken; otherwise it proves less than it says."""


def simulate(bounds: tuple[int, int]) -> tuple[list[tuple[int, str, list[int]]], Counter[str]]:
    """Runs the histories of some seeds; returns those that broke a promise."""
    logging.getLogger("samekey").disabled = True  # this is a process of its own
    broken: list[tuple[int, str, list[int]]] = []
    reached: Counter[str] = Counter()
    for seed in range(*bounds):
        scenario = of_seed(seed)
        verdict = history(scenario, Choices(seed))
        reached.update(verdict.reached)
        if verdict.broken:
            broken.append((seed, scenario.name, list(verdict.drawn)))
    return broken, reached


@pytest.mark.timeout(1200)
def test_no_history_breaks_a_promise_that_can_be_kept() -> None:
    """However processes, network, disk and clocks interleave and fail, all five promises hold.

    All of them where the API honours its profile; where it does not, those that it cannot break alone.
    """
    broken: list[tuple[int, str, list[int]]] = []
    reached: Counter[str] = Counter()
    chunks = [
        (seed, min(seed + CHUNK, FIRST_SEED + HISTORIES)) for seed in range(FIRST_SEED, FIRST_SEED + HISTORIES, CHUNK)
    ]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for found, counts in pool.imap_unordered(simulate, chunks):
            broken += found
            reached.update(counts)
    assert not broken, "\n".join(explain(named(name), seed, drawn) for seed, name, drawn in broken[:EXPLAINED])
    if HISTORIES >= 10_000:
        missing = [name for name in SOMETIMES if not reached[name]]
        assert not missing, f"never reached: {', '.join(missing)}"


@pytest.mark.parametrize("scenario", DISHONEST, ids=lambda scenario: scenario.name)
def test_what_no_client_can_repair_is_seen_and_is_only_a_duplicate(scenario: Scenario) -> None:
    """An API that breaks its own promise can double an effect; nothing else breaks, and no action disappears."""
    kinds: Counter[str] = Counter()
    for seed in range(4_000):
        if seed >= 400 and set(kinds) & {"promise 1", FORGOTTEN, "promise 3"}:
            break
        verdict = history(scenario, Choices(seed))
        assert not verdict.broken, explain(scenario, seed, verdict.drawn)
        kinds.update(map(kind, verdict.tolerated))
    assert set(kinds) & {"promise 1", FORGOTTEN, "promise 3"}, "the expected failure was never seen"


@pytest.mark.parametrize("scenario", GUARDED, ids=lambda scenario: scenario.name)
def test_a_profile_that_knows_the_fault_protects_from_it(scenario: Scenario) -> None:
    """Where the profile says that keys are released after effects, nothing is sent twice."""
    for seed in range(1000):
        verdict = history(scenario, Choices(seed))
        assert not verdict.broken, explain(scenario, seed, verdict.drawn)


def test_a_history_is_the_same_whenever_it_is_replayed() -> None:
    """A seed, and the list of its draws, are the whole history."""
    first = history(HONEST[0], Choices(7))
    assert history(HONEST[0], Choices(7)) == first
    assert history(HONEST[0], Choices(given=first.drawn)) == first


def test_every_combination_of_draws_is_visited_once() -> None:
    """The exhaustive mode enumerates a tree of draws completely."""
    seen = []

    def run(choices: Choices) -> None:
        seen.append((choices.pick(2), choices.pick(3) if choices.chance(50) else -1))

    assert every(run, most=100) == len(seen) == len(set(seen)) == 8
