"""The kill matrix: a script that is killed at many instants and rerun until it is through."""

from __future__ import annotations

import collections
import os
import random
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import samekey
from samekey.stores import Store
from samekey.testing import Delivery, Fault, FlakyServer, Wire
from tests.acceptance.nursery import SECONDS, Child, Nursery
from tests.acceptance.order_script import ACTIONS, RUN_ME_AGAIN

MOST_RUNS = 150
ORPHAN_SECONDS = 10

# How far ahead of what is done a kill may come: far enough to get on, near enough that 25 kills fit in.
REQUESTS_AHEAD = 9
ACTIONS_AHEAD = 6
LINES = 3000
"""More than one action executes, waits and retries included; what is left over falls into the next action."""


class Where(Enum):
    """Kinds of instants."""

    BEFORE_EFFECT = "the request was read; its effect happens when the client is dead"
    NEVER_ARRIVED = "the request was sent, and is lost"
    BEFORE_REPLY = "the effect happened; no byte of the reply was sent"
    ORPHAN = "the request is executed while the rerun sends the same key"
    ANY_LINE = "between any two lines of Python"


@dataclass(slots=True)
class Instant:
    """When to kill: at the n-th request of this run, or `n` lines after an action began."""

    where: Where
    n: int
    action: int = 0


@dataclass(slots=True)
class Victim:
    """One of the processes that run the script."""

    name: str
    output: Path
    process: Child | None = None
    instant: Instant | None = None
    requests: int = 0


class KillingServer(FlakyServer):
    """A flaky server that kills its clients at the instants they were given."""

    def __init__(self, seed: int, **behaviour: Any) -> None:
        super().__init__(seed=seed, **behaviour)
        self.victims: dict[str, Victim] = {}
        self.guard = threading.Lock()
        self._again = threading.Condition()
        self._sends: collections.Counter[str] = collections.Counter()

    def handle(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes, fault: Fault
    ) -> Delivery:
        fields = {name.lower(): value for name, value in headers}
        key = fields.get("idempotency-key", "")
        with self._again:
            self._sends[key] += 1
            mine = self._sends[key]
            self._again.notify_all()
        where = self._due(fields["x-process"])
        if where is Where.BEFORE_REPLY:
            delivery = super().handle(method, target, headers, body, fault)
            self._kill(fields["x-process"])
            return delivery
        if where is not None:
            self._kill(fields["x-process"])
        if where is Where.NEVER_ARRIVED:
            return Delivery(Wire.CLOSE)
        if where is Where.ORPHAN:
            with self._again:
                self._again.wait_for(lambda: self._sends[key] > mine, ORPHAN_SECONDS)
        return super().handle(method, target, headers, body, fault)

    def _due(self, name: str) -> Where | None:
        with self.guard:
            victim = self.victims[name]
            victim.requests += 1
            instant = victim.instant
            if instant is None or instant.where is Where.ANY_LINE or victim.requests != instant.n:
                return None
            return instant.where

    def _kill(self, name: str) -> None:
        process = self.victims[name].process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        assert process.dead.wait(SECONDS)


class Matrix:
    """Runs the script in some processes at once and kills them `kills` times in all.

    Args:
        server: running, with its chaos.
        folder: for the store and the outputs.
        seed: decides on the instants.
        kills: how many there must be.
        processes: how many run the script at the same time.
        store: where the script keeps its records; None for a file in the folder.
        script: its module.
        actions: how many orders it makes.
        keyless: whether the API takes no keys; then nobody sends an order again.
        nurseries: who bears the processes, one each; None for new ones, which takes a second.
    """

    def __init__(
        self,
        server: KillingServer,
        folder: Path,
        *,
        seed: int,
        kills: int,
        processes: int,
        store: str | None = None,
        script: str = "tests.acceptance.order_script",
        actions: int = ACTIONS,
        keyless: bool = False,
        nurseries: Sequence[Nursery] | None = None,
    ) -> None:
        self.server = server
        self._script = script
        self._actions = actions
        self._keyless = keyless
        self._nurseries = nurseries
        self.store = folder / "samekey.db" if store is None else store
        self.seed = seed
        self.killed: collections.Counter[Where] = collections.Counter()
        self._wanted = kills
        self._guard = threading.Lock()
        for number in range(processes):
            name = f"p{number}"
            server.victims[name] = Victim(name, folder / f"{name}.txt")

    def run(self) -> dict[int, set[str]]:
        """Rerun until every process is through and every kill was made; return the references of each order."""
        victims = list(self.server.victims.values())
        with ExitStack() as stack, ThreadPoolExecutor(len(victims)) as pool:
            nurseries = self._nurseries or [stack.enter_context(Nursery()) for _ in victims]
            list(pool.map(self._until_through, nurseries, victims))
        found: dict[int, set[str]] = collections.defaultdict(set)
        for victim in victims:
            for line in victim.output.read_text().splitlines():
                number, reference = line.split(" ")
                found[int(number)].add(reference)
        return found

    def _until_through(self, nursery: Nursery, victim: Victim) -> None:
        chance = random.Random(f"{self.seed} {victim.name}")
        for _ in range(MOST_RUNS):
            instant = self._next(chance, victim)
            code, said = self._run(nursery, victim, instant)
            if code == -signal.SIGKILL and instant is not None:
                with self._guard:
                    self.killed[instant.where] += 1
                continue
            if instant is not None:
                with self._guard:
                    self._wanted += 1  # it was through before its time came
            assert code in {0, RUN_ME_AGAIN}, f"{victim.name} ended with {code}:\n{said}"
            if code == 0 and instant is None:
                return
        raise AssertionError(f"{victim.name} was not through after {MOST_RUNS} runs")

    def _next(self, chance: random.Random, victim: Victim) -> Instant | None:
        with self._guard:
            if self._wanted == 0:
                return None
            self._wanted -= 1
        done = len(set(victim.output.read_text().splitlines())) if victim.output.exists() else 0
        if chance.random() < 0.4 or done + ACTIONS_AHEAD >= self._actions:
            first = max(0, min(done - 2, self._actions - ACTIONS_AHEAD))
            action = chance.randrange(first, min(first + ACTIONS_AHEAD, self._actions - 3))
            return Instant(Where.ANY_LINE, chance.randrange(LINES), action)
        left_out = {Where.ANY_LINE, Where.ORPHAN} if self._keyless else {Where.ANY_LINE}
        kinds = [where for where in Where if where not in left_out]
        return Instant(chance.choice(kinds), chance.randrange(1, REQUESTS_AHEAD))

    def _run(self, nursery: Nursery, victim: Victim, instant: Instant | None) -> tuple[int, str]:
        die_at = None
        if instant is not None and instant.where is Where.ANY_LINE:
            die_at = (instant.action, instant.n)
        where = (self.server.url, str(self.store), str(victim.output), victim.name, die_at)
        arguments = (*where, self._actions, self._keyless)
        with self.server.guard:
            victim.instant, victim.requests = instant, 0
            victim.process = nursery.start(f"{self._script}:main", *arguments)
        return victim.process.wait()


def check_made_once(server: FlakyServer, references: dict[int, set[str]], store: Store) -> None:
    """Every order was made once, every run told its one reference, and the store has it as succeeded."""
    server.wait_idle()
    made = {effect.key: effect.reference for effect in server.effects}
    records = store.find()
    assert len(server.effects) == len(made) == ACTIONS
    assert {number: len(found) for number, found in references.items()} == dict.fromkeys(range(ACTIONS), 1)
    assert {reference for found in references.values() for reference in found} == set(made.values())
    others = [record for record in records if record.status is not samekey.Status.SUCCEEDED]
    assert not others, others
    assert {record.idempotency_key: record.response_reference for record in records} == made
