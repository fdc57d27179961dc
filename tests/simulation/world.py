"""A world of greenlets: the real driver runs in each, and a seeded scheduler decides who goes on, and what breaks."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import greenlet

from samekey._core.model import Reply
from samekey._drivers.runtime import Unfinished
from tests.simulation.apis import API, Request
from tests.simulation.choices import Choices
from tests.simulation.machines import Host, Killed, Process, SharedStore
from tests.simulation.scenarios import Scenario


@dataclass
class Slot:
    """Where a reply is waited for."""

    reply: Reply | None = None


class Task(greenlet.greenlet):
    """One begin of an action in one process."""

    def __init__(self, world: World, process: Process, work: Callable[[], None]) -> None:
        super().__init__(self._run_work, world.hub)
        self.process = process
        self.turn = 0
        self.begun: datetime | None = None
        self.interrupts = 0
        self.shielded = False
        self._work = work

    def _run_work(self) -> None:
        with suppress(Killed, KeyboardInterrupt):
            self._work()


@dataclass
class Told:
    """What a caller was told.

    Attributes:
        action: which action.
        at: when.
        verdict: "success" or the exception's class name.
        reference: the object's id, if it was a success.
        key: the idempotency key.
        sent: the numbers of all requests of this action that had been sent by then.
        replayed: whether it came from the record.
        unrecorded: whether the settlement could not be written.
    """

    action: str
    at: float
    verdict: str
    reference: str | None
    key: str | None
    sent: frozenset[int]
    replayed: bool
    unrecorded: bool


@dataclass
class World:
    """Everything there is."""

    scenario: Scenario
    choices: Choices
    now: float = 0.0
    store: SharedStore = field(default_factory=SharedStore)
    requests: list[Request] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    loose: Counter[str] = field(default_factory=Counter)
    uncertain: dict[str, set[Process]] = field(default_factory=dict)
    calm: bool = False
    told_before_calm: int = 0
    begun_in_calm: int = 0
    crashes: int = 0
    faults: int = 0
    switches: int = 0

    def __post_init__(self) -> None:
        self.hub = greenlet.getcurrent()
        self.api = API(self.scenario.behaviour)
        skews = self.scenario.skews or (0.0,)
        self.hosts = [Host(f"host{number}", skew=skews[number % len(skews)]) for number in range(self.scenario.hosts)]
        self.processes: list[Process] = []
        self._heap: list[tuple[float, int, Callable[[], Any]]] = []
        self._count = 0

    # --- time ------------------------------------------------------------------------------------------------

    def at(self, when: float, action: Callable[[], Any]) -> None:
        """Something will happen."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, action))

    def run(self) -> None:
        """Until nothing happens any more."""
        while self._heap:
            when, _, action = heapq.heappop(self._heap)
            self.now = max(self.now, when)
            action()

    def spawn(self, process: Process, work: Callable[[], None], when: float) -> None:
        """Starts a task."""
        task = Task(self, process, work)
        self.at(when, task.switch)

    def wait_until(self, when: float) -> None:
        """Lets the others go on until then, or until `wake`."""
        task = self.task
        task.turn += 1
        turn = task.turn
        self.at(when, lambda: task.switch() if task.turn == turn and not task.dead else None)
        self.hub.switch()
        task.turn += 1
        if task.process.dead:
            raise Killed

    def wake(self, task: Task) -> None:
        """Ends a task's wait."""
        turn = task.turn
        self.at(self.now, lambda: task.switch() if task.turn == turn and not task.dead else None)

    @property
    def task(self) -> Task:
        """The task that runs."""
        task = greenlet.getcurrent()
        assert isinstance(task, Task)
        return task

    # --- what goes wrong -------------------------------------------------------------------------------------

    def pause(self, where: str) -> None:
        """A step boundary: others may go on, the process may die, Ctrl-C may come."""
        task = self.task
        if task.process.dead:
            raise Killed
        if not self.calm:
            self._maybe_break(task.process, where)
        if task.process.dead:
            raise Killed
        if self._may_switch() and self.choices.chance(self.scenario.switching):
            self.switches += 1
            self.wait_until(self.now + self._delay())
        interrupts = 0.0 if self.calm or task.shielded else self.scenario.interrupts
        if interrupts and self.choices.chance(interrupts):
            self.reached["interrupt"] += 1
            task.interrupts += 1
            raise KeyboardInterrupt

    def interrupt_between_steps(self) -> None:
        """Ctrl-C where no step runs, once in a task."""
        interrupts, task = self.scenario.interrupts, self.task
        if interrupts and not self.calm and not task.interrupts and self.choices.chance(interrupts / 2):
            self.reached["interrupt between steps"] += 1
            task.interrupts += 1
            raise KeyboardInterrupt

    def fault(self, name: str) -> bool:
        """Whether the named fault happens now."""
        percent, most = self.scenario.faults.get(name, 0.0), self.scenario.most_faults
        if self.calm or not percent or (most is not None and self.faults >= most):
            return False
        if not self.choices.chance(percent):
            return False
        self.faults += 1
        self.reached[name] += 1
        return True

    def is_alive(self, holder: str | None, host: Host) -> bool:
        """Whether a process of that name runs, as far as `host` can tell."""
        if holder is None:
            return False
        if not holder.startswith(f"{host.boot_id}."):
            return True  # only its lease can tell
        return any(process.holder == holder and not process.dead for process in self.processes)

    def _may_switch(self) -> bool:
        most = self.scenario.most_switches
        return most is None or self.switches < most

    def _delay(self) -> float:
        delays = self.scenario.delays
        return delays[self.choices.pick(len(delays), (6, 4, 2, 1)[: len(delays)])] if len(delays) > 1 else delays[0]

    def _maybe_break(self, process: Process, where: str) -> None:
        scenario = self.scenario
        if self.crashes < scenario.crashes and self.choices.chance(scenario.crashing):
            self.crashes += 1
            self.reached[f"crash {where}"] += 1
            if scenario.power_losses and self.choices.chance(30):
                self._lose_power(process.host)
            process.dead = True
        if scenario.jumps and self.choices.chance(3):
            self.reached["clock_jump"] += 1
            process.host.skew = scenario.jumps[self.choices.pick(len(scenario.jumps))]

    def _lose_power(self, host: Host) -> None:
        self.reached["power_loss"] += 1
        for process in self.processes:
            if process.host is host:
                process.dead = True
        host.boot += 1
        host.booted_at = self.now
        skews = self.scenario.boot_skews
        host.skew = skews[self.choices.pick(len(skews))] if skews else 0.0
        self.store.lose_power()

    # --- processes -------------------------------------------------------------------------------------------

    def process(self, place: int) -> Process:
        """The process at a place; a new one if it is dead."""
        host = self.hosts[place % len(self.hosts)]
        for process in self.processes:
            if process.number % 10 == place and not process.dead:
                return process
        number = place + 10 * (len(self.processes) + 1)
        process = Process(number, host, unfinished=Unfinished())
        self.processes.append(process)
        return process

    # --- the network -----------------------------------------------------------------------------------------

    def transmit(self, request: Request, slot: Slot, task: Task) -> None:
        """A request leaves: it arrives now, late, or never."""
        self.requests.append(request)
        if self.fault("lost_request"):
            return
        delay = 0.0
        if self.fault("late"):
            delay = (3.0, 40.0, self.scenario.latest)[self.choices.pick(3)]
        self.at(self.now + delay, lambda: self._arrive(request, slot, task))

    def _arrive(self, request: Request, slot: Slot, task: Task) -> None:
        reply = self.api.arrive(request, self.now)
        if reply is not None:
            self._answer(reply, slot, task)
            return
        duration = 6.0 if self.fault("slow") else 0.0
        self.at(self.now + duration, lambda: self._finish(request, slot, task))

    def _finish(self, request: Request, slot: Slot, task: Task) -> None:
        outcome = "done"
        for name in self.scenario.outcomes:
            if self.fault(name):
                outcome = name
                break
        self._answer(self.api.finish(request, self.now, outcome), slot, task)

    def _answer(self, reply: Reply, slot: Slot, task: Task) -> None:
        if not self.fault("lost_reply"):
            slot.reply = reply
            self.wake(task)
