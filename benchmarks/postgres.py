"""Eight processes on distinct actions over one PostgreSQL server, against the bare two statements on the same server.

Both POST over httpx to a server in a process of its own. The bare contender inserts a row before and updates it after,
each a commit of its own: a row with one unique key and, as one text, what samekey's row has in it at that time, over one
connection per process. It is measured twice: with the server's own durability for both commits, and as samekey has it, where the
settlement does not wait for the disk. The bar is against the second, faster one. Rounds are interleaved; figures are medians. The
server's data is on disk (`--dir`), with its ordinary settings. Exits with 1 if a bar does not hold.
"""

import subprocess
import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
import psycopg
from _common import Bar, machine, order, parser, report, scratch
from _contenders import PATH, Httpx
from _server import server
from processes import _answer, _end, _tell

from tests.servers import postgres as servers

TIMEOUT = httpx.Timeout(30, connect=5)


class Bare(Httpx):
    """httpx and two statements."""

    INSERT = "INSERT INTO bare (key, facts) VALUES (%s, %s)"
    UPDATE = "UPDATE bare SET facts = %s WHERE key = %s"

    def __init__(self, url: str, address: str) -> None:
        super().__init__(url, Path())
        self.connection = psycopg.connect(address, autocommit=True)
        rows = self.connection.execute("SELECT facts FROM facts ORDER BY id").fetchall()
        (self.claimed,), (self.settled,) = rows

    def __call__(self, number: int) -> object:
        """Makes the action of this number."""
        key = str(uuid.uuid4())
        self.connection.execute(self.INSERT, (key, self.claimed))
        response = super().__call__(number)
        self.settle(key)
        return response

    def settle(self, key: str) -> None:
        """The second statement."""
        self.connection.execute(self.UPDATE, (self.settled, key))

    def close(self) -> None:
        """Lets go of everything."""
        self.connection.close()
        super().close()


class Soft(Bare):
    """The same, where the second commit does not wait for the disk, as samekey's does not."""

    UPDATE = (
        "WITH done AS (UPDATE bare SET facts = %s WHERE key = %s RETURNING 1) "
        "SELECT set_config('synchronous_commit', 'off', true) FROM done"
    )


class Samekey:
    """samekey over `PostgresStore`, its window declared."""

    def __init__(self, url: str, address: str) -> None:
        import samekey
        from samekey.stores import PostgresStore

        self.store = PostgresStore(address)
        self.client = samekey.Client(url, window=timedelta(days=1), store=self.store, timeout=TIMEOUT)
        self.operation = samekey.Operation("create_order", scope=("customer", "cart"), reference="/id")

    def __call__(self, number: int) -> object:
        """Makes the action of this number."""
        with self.client.action(self.operation, scope={"customer": 42, "cart": f"c-{number}"}) as action:
            action.post(PATH, json=order(number))
        assert not action.replayed
        return action.reference

    def close(self) -> None:
        """Lets go of everything."""
        self.client.close()
        self.store.close()


KINDS: dict[str, Any] = {"bare": Bare, "soft": Soft, "samekey": Samekey}


def work(number: int, kind: str, url: str, address: str) -> None:
    """The child: reads the seconds of a round, makes actions until they are over, answers with how many."""
    contender = KINDS[kind](url, address)
    made = number * 10_000_000 + list(KINDS).index(kind) * 1_000_000_000
    contender(made)
    print("ready", flush=True)
    for line in sys.stdin:
        start, until, first = time.monotonic(), float(line), made
        while time.monotonic() - start < until:
            made += 1
            contender(made)
        print(made - first, flush=True)
    contender.close()


def keep_facts(url: str, database: servers.Postgres) -> None:
    """Keeps what samekey's row of such an action has in it: when it is claimed, and when it is settled."""
    database.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, key text NOT NULL UNIQUE, facts text NOT NULL)")
    database.execute("CREATE TABLE facts (id bigserial PRIMARY KEY, facts text NOT NULL)")
    answer = "jsonb_build_object('response_body', convert_from(response_body, 'UTF8'))"
    values = f"SELECT string_agg(value, ' ') FROM jsonb_each_text(to_jsonb(a) || {answer})"
    look = f"INSERT INTO facts (facts) SELECT ({values}) FROM samekey.actions a"
    made = Samekey(url, database.url)
    settle = made.store.settle

    def look_and_settle(settlement: Any) -> Any:
        database.execute(look)
        return settle(settlement)

    made.store.settle = look_and_settle  # type: ignore[method-assign]
    made(0)
    database.execute(look)
    made.close()


def measure(processes: int, rounds: int, seconds: float, database: servers.Postgres) -> dict[str, list[list[int]]]:
    """Actions by kind, round and process."""
    counts: dict[str, list[list[int]]] = {kind: [] for kind in KINDS}
    with server() as url:
        keep_facts(url, database)
        children = {
            kind: [
                subprocess.Popen(
                    [sys.executable, __file__, "--worker", str(number), kind, url, database.url],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for number in range(1, processes + 1)
            ]
            for kind in KINDS
        }
        try:
            for group in children.values():
                for child in group:
                    _answer(child)
            for _ in range(rounds):
                for kind, group in children.items():
                    for child in group:
                        _tell(child, f"{seconds}\n")
                    counts[kind].append([int(_answer(child)) for child in group])
        finally:
            failed = sum(_end(child) != 0 for group in children.values() for child in group)
        assert not failed, f"{failed} processes failed"
    return counts


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--processes", type=int, default=8)
    options.add_argument("--rounds", type=int, default=5, help="rounds to take the median of (default 5)")
    options.add_argument("--seconds", type=float, default=3.0, help="length of a round (default 3)")
    given = options.parse_args()
    rounds, seconds = (2, 2.0) if given.quick else (given.rounds, given.seconds)
    with scratch(given.dir) as directory:
        where = machine(directory)
        directory.chmod(0o755)
        servers.MEMORY = str(directory)
        with servers.Postgres(shared_buffers="256MB", autovacuum_naptime="1min") as database:
            counts = measure(given.processes, rounds, seconds, database)
    rate = {kind: median(sum(each) for each in rounds_) / seconds for kind, rounds_ in counts.items()}
    share = median(min(each) * len(each) / max(sum(each), 1) for each in counts["samekey"])
    lines = [""]
    lines += [f"{kind:10}{rate[kind]:8.0f} actions a second" for kind in KINDS]
    lines += [
        f"samekey, round {number}: {' '.join(map(str, each))}" for number, each in enumerate(counts["samekey"], 1)
    ]
    bars = [
        Bar("samekey ÷ bare statements, as durable", rate["samekey"] / rate["soft"], 0.7, at_least=True),
        Bar("slowest worker ÷ fair share", share, 0.5, at_least=True),
    ]
    title = f"postgres: {given.processes} processes, {rounds} rounds of {seconds:g} s each; {where}"
    return report(
        title, {"actions_per_second": rate, "share": share, "counts": counts}, bars, lines, as_json=given.json
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(int(sys.argv[2]), *sys.argv[3:6])
        sys.exit(0)
    sys.exit(main())
