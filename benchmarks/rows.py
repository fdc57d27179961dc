"""What a million settled rows cost a claim: the store's verbs on an empty store and on a full one, interleaved.

The full store is made by SQL out of one genuine action: its settled row is copied with random identities and keys,
through the store's own schema. Actions then run through `samekey.Client` without a network; the store's verbs are
timed. Exits with 1 if a bar does not hold.
"""

import sqlite3
import sys
import time
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from _common import MICRO, Bar, machine, order, parser, report, scratch
from _server import ANSWER_BYTES

import samekey
from samekey.stores import SQLiteStore


class Timed(SQLiteStore):
    """The store, with a stop-watch on the two verbs of an action."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.claims: list[float] = []
        self.settlements: list[float] = []

    def claim(self, claim: Any) -> Any:
        """See `Store.claim`."""
        before = time.perf_counter()
        answer = super().claim(claim)
        self.claims.append(time.perf_counter() - before)
        return answer

    def settle(self, settlement: Any) -> Any:
        """See `Store.settle`."""
        before = time.perf_counter()
        answer = super().settle(settlement)
        self.settlements.append(time.perf_counter() - before)
        return answer


class Script:
    """A client over a timed store, and an API that answers at once."""

    def __init__(self, path: Path) -> None:
        self.store = Timed(path)
        self.client = samekey.Client(
            "https://api.test",
            window=timedelta(days=1),
            store=self.store,
            transport=httpx.MockTransport(self._answer),
        )
        self.operation = samekey.Operation("create_order", scope=("customer", "cart"), reference="/id")
        self.made = 0

    @staticmethod
    def _answer(request: httpx.Request) -> httpx.Response:
        del request
        return httpx.Response(201, json={"id": "ord_1", "note": "x" * (ANSWER_BYTES - 30)})

    def run(self, actions: int) -> tuple[float, float]:
        """Median seconds of a claim and of a settlement over so many actions."""
        self.store.claims.clear()
        self.store.settlements.clear()
        for _ in range(actions):
            self.made += 1
            scope: dict[str, Any] = {"customer": 42, "cart": f"c-{self.made}"}
            with self.client.action(self.operation, scope=scope) as action:
                action.post("/orders", json=order(self.made))
        return median(self.store.claims), median(self.store.settlements)

    def close(self) -> None:
        """Lets go of everything."""
        self.client.close()
        self.store.close()


def fill(path: Path, rows: int) -> None:
    """Copies the one row that is there until there are so many."""
    database = sqlite3.connect(path, isolation_level=None)
    # A benchmark's store may be lost: no log and no sync while it is filled.
    for pragma in (
        "journal_mode = OFF",
        "synchronous = OFF",
        "locking_mode = EXCLUSIVE",
        "cache_size = -400000",
    ):
        database.execute(f"PRAGMA {pragma}").fetchall()
    columns = [row[1] for row in database.execute("PRAGMA table_info(actions)") if row[1] != "id"]
    fresh = {
        "identity": "lower(hex(randomblob(32)))",
        "idempotency_key": "lower(hex(randomblob(18)))",
        "claim_nonce": "lower(hex(randomblob(16)))",
    }
    selected = ", ".join(fresh.get(name, name) for name in columns)
    database.execute(
        f"WITH RECURSIVE number(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM number WHERE n < ?) "
        f"INSERT INTO actions ({', '.join(columns)}) "
        f"SELECT {selected} FROM number CROSS JOIN (SELECT * FROM actions LIMIT 1)",
        (rows,),
    )
    found = database.execute("SELECT count(*) FROM actions").fetchone()[0]
    assert found == rows, f"{found} rows instead of {rows}"
    database.execute("PRAGMA locking_mode = NORMAL").fetchall()
    database.execute("PRAGMA journal_mode = WAL").fetchall()
    database.close()


def measure(directory: Path, rows: int, rounds: int, actions: int) -> tuple[dict[str, list[Any]], float]:
    """Medians by round for both stores, and the full file's bytes."""
    full_path = directory / "full.db"
    seed = Script(full_path)
    seed.run(1)
    seed.close()
    fill(full_path, rows)
    size = full_path.stat().st_size
    scripts = {"empty": Script(directory / "empty.db"), "full": Script(full_path)}
    scripts["full"].made = 1  # its first action is there already
    results: dict[str, list[Any]] = {name: [] for name in scripts}
    for script in scripts.values():
        script.run(200)
    for number in range(rounds):
        for name in sorted(scripts, reverse=number % 2 == 1):
            results[name].append(scripts[name].run(actions))
    for script in scripts.values():
        script.close()
    return results, size


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=1_000_000, help="settled rows of the full store (default 1000000)")
    options.add_argument("--rounds", type=int, default=60, help="rounds to take the median of (default 60)")
    options.add_argument("--actions", type=int, default=25, help="actions on each store in a round (default 25)")
    given = options.parse_args()
    rows = min(given.rows, 100_000) if given.quick else given.rows
    rounds = min(given.rounds, 20) if given.quick else given.rounds
    with scratch(given.dir) as directory:
        where = machine(directory)
        results, size = measure(directory, rows, rounds, given.actions)
    figures: dict[str, Any] = {"rows": rows, "bytes_per_row": size / rows}
    lines = ["", f"{rows:,} settled rows, {size / rows:.0f} bytes each", ""]
    for index, verb in enumerate(("claim", "settlement")):
        medians = {name: median(each[index] for each in rounds_) * MICRO for name, rounds_ in results.items()}
        quotient = median(
            full[index] / empty[index] for full, empty in zip(results["full"], results["empty"], strict=True)
        )
        figures[verb] = {**medians, "ratio": quotient}
        lines.append(f"{verb:12}{medians['empty']:8.0f} µs empty{medians['full']:8.0f} µs full   ratio {quotient:.3f}")
    bars = [Bar(f"claim at {rows:,} settled rows ÷ at none", figures["claim"]["ratio"], 1.3)]
    title = f"rows: {rounds} rounds of {given.actions} actions on each store; {where}"
    return report(title, figures, bars, lines, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
