"""The kill matrix: scripts that are killed and run again until all is settled, on every store, counted by the API itself.

    uv run python benchmarks/matrix.py --write              one round, some minutes
    uv run python benchmarks/matrix.py --minutes 60         rounds with other seeds, for an hour
    uv run python benchmarks/matrix.py --quick              a glance

A cell is a way to write the script (sync, asynchronous, threads), a store (SQLite, PostgreSQL, Redis: real servers), one
process or four that make the same orders at once, and an API that honours keys or takes none. The API is a real server that
loses answers by the seed, and the processes are killed (SIGKILL) at instants by the seed: before, during and after a request,
and between any two lines of Python. They are run again until nothing is open. Then the orders, what the script was told and
what the store says are compared with the API's own list of effects. Exits with 1 if a cell has a duplicate or a loss.
"""

import argparse
import collections
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from _common import placed, scratch

import samekey
from samekey.stores import open_store
from samekey.testing import LOST_REPLIES, Fault
from tests.acceptance.matrix import KillingServer, Matrix
from tests.acceptance.nursery import Nursery
from tests.acceptance.order_script import REVIEW
from tests.servers.postgres import Postgres
from tests.servers.redis import RedisServer

RESULTS = ROOT / "benchmarks" / "results" / "matrix.json"
PAGE = ROOT / "docs" / "explanation" / "guarantee.md"

SEED, ACTIONS, KILLS, RATE = 2026, 60, 8, 0.25
QUICK_ACTIONS, QUICK_KILLS = 20, 3
LOST = (*LOST_REPLIES, Fault.DROP_BEFORE, Fault.RESET_BEFORE)

SCRIPTS = {"sync": "order_script", "async": "async_order_script", "threads": "threads_order_script"}
STORES = ("sqlite", "postgres", "redis")
APIS = ("keyed", "keyless")
IMPORTED = ("psycopg", "redis.asyncio", "tests.acceptance.async_order_script")
COUNTS = ("actions", "kills", "faults", "requests", "effects", "duplicates", "lost", "needs_review")


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix."""

    api: str
    script: str
    store: str
    processes: int

    @property
    def name(self) -> str:
        return f"{self.api}-{self.script}-{self.store}-{self.processes}"


CELLS = tuple(itertools.starmap(Cell, itertools.product(APIS, SCRIPTS, STORES, (1, 4))))


@dataclass(frozen=True)
class Plan:
    """What is done in each cell."""

    seed: int
    actions: int
    kills: int


class Servers:
    """The stores' servers, started where a cell needs one, with a store of its own for each; and who bears the processes."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._numbers = itertools.count()
        self._postgres: Postgres | None = None
        self._redis: RedisServer | None = None
        self._nurseries: list[Nursery] = []
        self.versions: dict[str, str] = {}

    def nurseries(self, number: int) -> list[Nursery]:
        """So many; they outlive a cell."""
        while len(self._nurseries) < number:
            self._nurseries.append(self._stack.enter_context(Nursery(*IMPORTED)))
        return self._nurseries[:number]

    @contextmanager
    def store(self, kind: str) -> Iterator[tuple[str, Path]]:
        """The URL or path of an empty store, and a folder for the outputs."""
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            yield self._url(kind, folder), folder

    def _url(self, kind: str, folder: Path) -> str:
        if kind == "postgres":
            return self._database()
        if kind == "redis":
            return self._emptied()
        return str(folder / "samekey.db")

    def _database(self) -> str:
        if self._postgres is None:
            self._postgres = self._stack.enter_context(Postgres())
            self.versions["PostgreSQL"] = self._postgres.execute("SHOW server_version")[0][0]
        name = f"cell{next(self._numbers)}"
        self._postgres.execute(f"CREATE DATABASE {name}")
        return self._postgres.url.removesuffix("postgres") + name

    def _emptied(self) -> str:
        if self._redis is None:
            self._redis = self._stack.enter_context(RedisServer(self._folder / "redis"))
            told: Any = self._redis.client().info("server")
            self.versions["Redis"] = told["redis_version"]
        self._redis.client().flushall()
        return self._redis.url


def measure(cell: Cell, plan: Plan, servers: Servers) -> dict[str, Any]:
    """Runs a cell until all is settled, and counts."""
    keyless = cell.api == "keyless"
    begun = time.monotonic()
    with (
        KillingServer(plan.seed, keys="ignore" if keyless else "honour") as server,
        servers.store(cell.store) as (store, folder),
    ):
        server.chaos(RATE, LOST)
        matrix = Matrix(
            server,
            folder,
            seed=plan.seed,
            kills=plan.kills,
            processes=cell.processes,
            store=store,
            script=f"tests.acceptance.{SCRIPTS[cell.script]}",
            actions=plan.actions,
            keyless=keyless,
            nurseries=servers.nurseries(cell.processes),
        )
        told = matrix.run()
        server.wait_idle()
        effects = collections.defaultdict(list)
        for effect in server.effects:
            effects[json.loads(effect.body)["order"]].append(effect.reference)
        opened = open_store(store)
        records = {int(record.scope["order"]): record for record in opened.find()}
        opened.close()
        duplicates = {number: found for number, found in effects.items() if len(found) > 1}
        lost = [
            number
            for number in range(plan.actions)
            if not is_known(effects.get(number, []), told.get(number, set()), records.get(number))
        ]
        return {
            "actions": plan.actions,
            "kills": sum(matrix.killed.values()),
            "faults": sum(seen.fault is not Fault.NONE for seen in server.requests),
            "requests": len(server.requests),
            "effects": len(server.effects),
            "duplicates": sum(len(found) - 1 for found in duplicates.values()),
            "lost": len(lost),
            "needs_review": sum(record.status is samekey.Status.NEEDS_REVIEW for record in records.values()),
            "instants": {where.name.lower(): count for where, count in sorted(matrix.killed.items(), key=str)},
            "seconds": round(time.monotonic() - begun, 1),
            "wrong": [f"order {n}: {effects.get(n)}, told {told.get(n)}" for n in sorted({*duplicates, *lost})],
        }


def is_known(effects: list[str], told: set[str], record: samekey.Record | None) -> bool:
    """Whether script and store say what became of an order: its effect, or that a person must look."""
    if record is None:
        return False
    if record.status is samekey.Status.NEEDS_REVIEW:
        return told == {REVIEW}
    done = record.status is samekey.Status.SUCCEEDED and record.response_reference in effects
    return done and told == {record.response_reference}


def run(cells: tuple[Cell, ...], plan: Plan, minutes: float, folder: Path) -> dict[str, Any]:
    """All cells once, or again with other seeds until the time is over."""
    until = time.monotonic() + 60 * minutes
    rows: dict[Cell, dict[str, Any]] = {}
    with ExitStack() as stack:
        servers = Servers(stack, folder)
        for number in itertools.count():
            this = replace(plan, seed=plan.seed + number)
            for cell in cells:
                if number and time.monotonic() >= until:
                    break
                found = measure(cell, this, servers)
                told = ", ".join(f"{found[name]} {name}" for name in ("kills", "duplicates", "lost", "needs_review"))
                print(f"seed {this.seed} {cell.name:26} {told}, {found['seconds']} s", file=sys.stderr)
                for line in found["wrong"]:
                    print(f"  {line}; again: --seed {this.seed} --only {cell.name}", file=sys.stderr)
                rows[cell] = added(rows.get(cell), found)
            if time.monotonic() >= until:
                break
        versions = {name: version(name) for name in ("samekey", "httpx", "psycopg", "redis")} | servers.versions
    return {
        "benchmark": "matrix",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "python": ".".join(map(str, sys.version_info[:3])),
            "system": sys.platform,
            "cores": os.cpu_count(),
        },
        "plan": {**vars(plan), "rate": RATE, "minutes": minutes, "rounds": number + 1},
        "versions": versions,
        "rows": [vars(cell) | row for cell, row in rows.items()],
    }


def added(row: dict[str, Any] | None, found: dict[str, Any]) -> dict[str, Any]:
    """A cell's counts over the rounds."""
    if row is None:
        return found
    summed = {name: row[name] + found[name] for name in (*COUNTS, "wrong")}
    instants = collections.Counter(row["instants"]) + collections.Counter(found["instants"])
    return summed | {"instants": dict(instants), "seconds": round(row["seconds"] + found["seconds"], 1)}


def table(facts: dict[str, Any]) -> str:
    """A row per cell, and one for all."""
    shown = [name for name in COUNTS if name not in {"requests", "effects"}]
    heads = [name.replace("_", " ") for name in shown]
    lines = [f"| API | script | store | processes | {' | '.join(heads)} |", "|---|---|---|--:|" + "--:|" * len(shown)]
    lines += [
        f"| {row['api']} | {row['script']} | {row['store']} | {row['processes']} | "
        f"{' | '.join(str(row[name]) for name in shown)} |"
        for row in facts["rows"]
    ]
    sums = [str(sum(row[name] for row in facts["rows"])) for name in shown]
    return "\n".join([*lines, f"| **all** | | | | {' | '.join(sums)} |"])


def run_line(facts: dict[str, Any]) -> str:
    """When, where and with what it ran."""
    plan, machine = facts["plan"], facts["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    instants: collections.Counter[str] = collections.Counter()
    for row in facts["rows"]:
        instants.update(row["instants"])
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(instants.items()))
    return (
        f"Run of {facts['date']}: seed {plan['seed']}, {plan['rate']:.0%} of the requests meet a fault; Python "
        f"{machine['python']}, {machine['system']}, {machine['cores']} cores; {versions}. Kills by instant: {told}."
    )


def sections(facts: dict[str, Any]) -> dict[str, str]:
    """What stands between the marks of the page."""
    return {"matrix": table(facts), "matrix run": run_line(facts)}


def is_stale(facts: dict[str, Any]) -> bool:
    """Whether the page says something else than the results."""
    text = PAGE.read_text()
    return placed(text, sections(facts)) != text or any(f"figures: {name} -->" not in text for name in sections(facts))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED, help=f"faults and instants (default {SEED})")
    parser.add_argument("--actions", type=int, help=f"orders per cell (default {ACTIONS})")
    parser.add_argument("--kills", type=int, help=f"kills per cell (default {KILLS})")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on with other seeds for so long, at least once")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ACTIONS} orders and {QUICK_KILLS} kills a cell")
    parser.add_argument("--only", nargs="+", metavar="PART", help="only cells with all of these in their names")
    parser.add_argument("--write", action="store_true", help="write results and page anew")
    parser.add_argument("--pages", action="store_true", help="only write the page, from the committed results")
    parser.add_argument("--check", action="store_true", help="only compare the page with the committed results")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    if given.check:
        stale = is_stale(json.loads(RESULTS.read_text()))
        print(f"{PAGE.name} differs from {RESULTS.name}" if stale else "all as measured")
        return int(stale)
    if given.pages:
        facts = json.loads(RESULTS.read_text())
    else:
        cells = tuple(cell for cell in CELLS if all(part in f"{cell.name}-" for part in given.only or ()))
        if not cells:
            print(f"no cell has {' and '.join(given.only)} in its name; one is {CELLS[0].name}", file=sys.stderr)
            return 2
        actions = given.actions or (QUICK_ACTIONS if given.quick else ACTIONS)
        plan = Plan(given.seed, actions, given.kills or (QUICK_KILLS if given.quick else KILLS))
        with scratch(None) as folder:
            facts = run(cells, plan, given.minutes, folder)
    if given.write:
        RESULTS.write_text(json.dumps(facts, indent=1) + "\n")
    if given.write or given.pages:
        PAGE.write_text(placed(PAGE.read_text(), sections(facts)))
    print(json.dumps(facts) if given.json else f"{table(facts)}\n\n{run_line(facts)}")
    return int(any(row["duplicates"] or row["lost"] for row in facts["rows"]))


if __name__ == "__main__":
    sys.exit(main())
