"""One script's way through its orders: run, killed, run again, until it says that it is through."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from samekey.cli.demo.nursery import Nursery, StoppedError
from samekey.cli.demo.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Callable

    from samekey.cli.demo.plan import Plan

ORDERS: Final = "orders.json"

MOST_RERUNS: Final = 12
"""Reruns beside those after a kill, until a script counts as one that does not get through."""


@dataclass(frozen=True, slots=True)
class Script:
    """A way to place orders.

    Attributes:
        name: what people see.
        what: what it does, in a sentence.
        file: the script.
        way: its first argument, if it has several ways.
        memory: the file in which it remembers, below the demo's directory.
    """

    name: str
    what: str
    file: str
    way: str | None
    memory: str

    @property
    def log(self) -> str:
        """The file with its error output, below the demo's directory."""
        return f"{Path(self.memory).stem}.log"


SCRIPTS: Final = (
    Script(
        "no key",
        "retries until it has an answer, and keeps a file of finished orders",
        "plain.py", "no-key", "no-key.txt",
    ),
    Script(
        "new key per call",
        "the same, and all retries of a call carry one key; started again, the script makes a new key",
        "plain.py", "key-per-call", "key-per-call.txt",
    ),
    Script(
        "no retry",
        "notes an order as finished before it sends it, and never sends it again",
        "plain.py", "note-first", "no-retry.txt",
    ),
    Script(
        "samekey",
        "one key per order, on disk before the order is sent, and the same one when started again",
        "with_samekey.py", None, "samekey.db",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the orders of one script.

    Attributes:
        script: which one.
        intended: orders that it was given.
        created: orders that the shop made.
        duplicated: orders that the shop made again, after the first one of the same cart.
        lost: orders that the shop never made.
        unanswered: orders whose id the script never learned, or learned wrongly, or differently in two runs.
        kills: how often it was killed.
        reruns: how often it was started again.
        requests: requests that arrived at the shop.
        through: whether its last run said that all is done.
    """

    script: Script
    intended: int
    created: int
    duplicated: int
    lost: int
    unanswered: int
    kills: int
    reruns: int
    requests: int
    through: bool

    @property
    def flawless(self) -> bool:
        """Whether every order was made one time and its id is known."""
        return self.through and not (self.duplicated or self.lost or self.unanswered)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        names = [name for name in self.__slots__ if name != "script"]
        return {"script": self.script.name, "what": self.script.what} | {name: getattr(self, name) for name in names}


class Race:
    """Runs one script against a shop of its own.

    Args:
        script: which one.
        plan: its orders, and what goes wrong.
        directory: for the orders, the script's memory and its error output.
        progress: is told how many orders are placed, and how many kills there were.
    """

    def __init__(self, script: Script, plan: Plan, directory: Path, progress: Callable[[int, int], None]) -> None:
        self._script = script
        self._plan = plan
        self._directory = directory
        self._progress = progress
        self._shop = Shop(plan, self._strike)
        self._nursery: Nursery | None = None
        self._stopped = False
        self._told: set[tuple[str, str]] = set()

    def run(self) -> Outcome:
        """Runs the script until it is through.

        Raises:
            StoppedError: `stop` was called.
        """
        log = self._directory / self._script.log
        with (
            self._shop,
            log.open("a", encoding="utf-8") as errors,
            Nursery(self._script.file, self._arguments(), errors) as self._nursery,
        ):
            return self._count(*self._run_until_through(self._nursery))

    def stop(self) -> None:
        """Ends it early, from another thread; `run` then raises."""
        self._stopped = True
        if self._nursery is not None:
            self._nursery.stop()

    def _run_until_through(self, nursery: Nursery) -> tuple[int, bool]:
        runs, code = 0, 1
        while code != 0 and runs <= len(self._plan.kills) + MOST_RERUNS:
            if self._stopped:
                raise StoppedError
            code = nursery.run(self._hear)
            runs += 1
            self._shop.wait_idle()
            self._report()
        return runs, code == 0

    def _arguments(self) -> list[str]:
        way = [] if self._script.way is None else [self._script.way]
        return [
            *way,
            self._shop.url,
            str(self._directory / ORDERS),
            str(self._directory / self._script.memory),
        ]

    def _hear(self, line: str) -> None:
        """Takes down what the script says that it was told."""
        words = line.split()
        if len(words) == 3 and words[0] == "placed":
            self._told.add((words[1], words[2]))
            self._report()

    def _report(self) -> None:
        self._progress(len({cart for cart, _ in self._told}), self._kills())

    def _kills(self) -> int:
        return len(self._plan.kills) - self._shop.kills_to_come

    def _strike(self) -> None:
        if self._nursery is not None:
            self._nursery.strike()

    def _count(self, runs: int, through: bool) -> Outcome:
        made = self._shop.orders_by_cart()
        carts = {order["cart"] for order in self._plan.orders}
        right = self._told & self._shop.references()
        known = [cart for cart in carts if sum(told == cart for told, _ in self._told) == 1]
        return Outcome(
            script=self._script,
            intended=len(carts),
            created=made.total(),
            duplicated=sum(number - 1 for number in made.values()),
            lost=len(carts - made.keys()),
            unanswered=len(carts) - sum(cart in known for cart, _ in right),
            kills=self._kills(),
            reruns=runs - 1,
            requests=len(self._shop.requests),
            through=through,
        )


def write_orders(plan: Plan, directory: Path) -> None:
    """Puts the orders where the scripts read them."""
    (directory / ORDERS).write_text(json.dumps(list(plan.orders), indent=1), encoding="utf-8")
