"""What asynchronous actions cost when many run at once: samekey beside the plain clients, httpx and httpx2.

Each contender has a process of its own. In each round all of them make the same number of actions at each concurrency,
one contender after the other in shuffled order; figures are medians over the rounds, ratios are medians of the ratios
within a round. "In pools" is a plain client over the transport of the one that samekey builds; "default" is a client as
it comes, and "samekey, a given httpx" or "httpx2" is given such a one. Every samekey action is durable against a power loss
before it is sent. Exits with 1 if a bar does not hold.
"""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from _async_contenders import CONTENDERS, SLOW_FSYNC
from _async_server import delayed_server
from _common import MICRO, Bar, machine, parser, report, scratch

CONCURRENT = (1, 16, 64, 256)
SERVER_SECONDS = 0.02
"""How long the server takes for an answer where many actions run at once; a lone one is answered at once."""


@dataclass(frozen=True)
class Lap:
    """One contender's share of a round."""

    seconds: float
    actions: int
    rows: int
    commits: int
    """Of them only those that waited for the disk."""

    @property
    def each(self) -> float:
        """Seconds per action."""
        return self.seconds / self.actions


Laps = dict[tuple[str, int], list[Lap]]
"""By contender and concurrency, a lap per round."""


class Worker:
    """A contender in its child process; it works only when it is told to."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child
        self._next = 1

    def run(self, concurrent: int, actions: int) -> Lap:
        """Makes so many actions."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(concurrent, self._next, actions, file=self._child.stdin, flush=True)
        self._next += actions
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("a contender has ended; its error is above")
        seconds, rows, commits = line.split()
        return Lap(float(seconds), actions, int(rows), int(commits))


@contextmanager
def worker(name: str, url: str, directory: Path) -> Iterator[Worker]:
    command = [sys.executable, __file__, "--worker", name, url, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield Worker(child)
        finally:
            assert child.stdin is not None
            child.stdin.close()
            child.wait(30)


async def work(name: str, url: str, directory: Path) -> None:
    """The child: reads "concurrent first count", makes these actions, answers with seconds, rows and commits."""
    contender = CONTENDERS[name](url, directory)
    read = asyncio.get_running_loop().run_in_executor
    while line := await read(None, sys.stdin.readline):
        concurrent, first, count = map(int, line.split())
        numbers = iter(range(first, first + count))

        async def some(numbers: Iterator[int] = numbers) -> None:
            for number in numbers:
                await contender(number)

        rows, commits = contender.counts()
        before = time.perf_counter()
        if concurrent == 1:
            await some()
        else:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrent):
                    group.create_task(some())
        seconds = time.perf_counter() - before
        after_rows, after_commits = contender.counts()
        print(seconds, after_rows - rows, after_commits - commits, flush=True)
    await contender.aclose()


def measure(names: list[str], directory: Path, *, rounds: int, actions: int, concurrent: tuple[int, ...]) -> Laps:
    """Runs all rounds."""
    laps: Laps = {}
    with ExitStack() as stack:
        # A lone action against a server without delay, as in the synchronous benchmark; the many against a slower one.
        urls = {
            level: stack.enter_context(delayed_server(SERVER_SECONDS if level > 1 else 0.0))
            for level in {min(concurrent), max(concurrent)}
        }
        workers: dict[tuple[str, bool], Worker] = {}
        for name in names:
            for lone in {level == 1 for level in concurrent}:
                own = directory / f"{len(workers)}"
                own.mkdir()
                url = urls[1] if lone else urls[max(concurrent)]
                workers[name, lone] = stack.enter_context(worker(name, url, own))
        for number in range(-1, rounds):  # the first warms up
            for level in concurrent:
                for name in random.Random(f"{number} {level}").sample(names, len(names)):
                    if (lap := _lap(workers[name, level == 1], name, level, actions)) is not None and number >= 0:
                        laps.setdefault((name, level), []).append(lap)
    return laps


def _lap(worker: Worker, name: str, level: int, actions: int) -> Lap | None:
    if (level == 1) != name.endswith("(sync)") and name.endswith("(sync)"):
        return None
    return worker.run(level, actions if level > 1 else max(20, actions // 8))


def ratio(laps: Laps, level: int, name: str, to: str) -> float:
    """Throughput of one ÷ throughput of another: the median within a round."""
    return median(b.each / a.each for a, b in zip(laps[name, level], laps[to, level], strict=True))


def cost(laps: Laps, name: str, plain: str) -> float:
    """Median seconds of a lone action beyond its plain client."""
    return median(a.each - b.each for a, b in zip(laps[name, 1], laps[plain, 1], strict=True))


def bars(laps: Laps, concurrent: tuple[int, ...]) -> list[Bar]:
    found = []
    if 64 in concurrent:
        for library in ("httpx", "httpx2"):
            plain = f"{library}, in pools"
            found.append(
                Bar(
                    f"64 at once, samekey ÷ plain {library}, the same transport",
                    ratio(laps, 64, f"samekey, {library}", plain),
                    0.85,
                    at_least=True,
                )
            )
            slow = f"samekey, {library}, fsync + 2 ms"
            found.append(
                Bar(
                    f"the same, each fsync slowed by 2 ms ({library})",
                    ratio(laps, 64, slow, plain),
                    0.8,
                    at_least=True,
                )
            )
            commits = median(lap.commits / lap.actions for lap in laps[f"samekey, {library}", 64])
            found.append(Bar(f"fsyncs per action, 64 at once ({library})", commits, 0.1))
    found += [
        Bar(
            f"{level} at once, samekey over httpx2 ÷ plain httpx.AsyncClient()",
            ratio(laps, level, "samekey, httpx2", "httpx, default"),
            1.0,
            at_least=True,
        )
        for level in (64, 256)
        if level in concurrent
    ]
    if 1 in concurrent:
        lone = cost(laps, "samekey, httpx", "httpx, in pools") / cost(laps, "samekey (sync)", "httpx (sync)")
        found.append(Bar("one alone: cost over httpx, async ÷ sync", lone, 1.3))
    return found


def table(laps: Laps, names: list[str], concurrent: tuple[int, ...]) -> list[str]:
    lines = [f"{'actions per second at once:':32}" + "".join(f"{level:>10}" for level in concurrent), ""]
    for name in names:
        cells = [
            f"{1 / median(lap.each for lap in laps[name, level]):10.0f}" if (name, level) in laps else f"{'-':>10}"
            for level in concurrent
        ]
        lines.append(f"{name:32}{''.join(cells)}")
    lines += ["", f"{'rows per commit to disk:':32}"]
    for name in names:
        if name.startswith("samekey, "):
            cells = [
                f"{median(lap.rows / max(lap.commits, 1) for lap in laps[name, level]):10.1f}" for level in concurrent
            ]
            lines.append(f"{name:32}{''.join(cells)}")
    return lines


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=15, help="rounds to take the median of (default 15)")
    options.add_argument("--actions", type=int, default=512, help="actions of each contender in a round (default 512)")
    options.add_argument("--concurrent", type=int, nargs="+", default=list(CONCURRENT), help="how many at once")
    given = options.parse_args()
    rounds = min(given.rounds, 3) if given.quick else given.rounds
    concurrent = tuple(sorted(given.concurrent))
    names = list(CONTENDERS)
    with scratch(given.dir) as directory:
        where = machine(directory)
        laps = measure(names, directory, rounds=rounds, actions=given.actions, concurrent=concurrent)
    figures = {
        f"{name} at {level}": {
            "per_second": 1 / median(lap.each for lap in found),
            "microseconds": median(lap.each for lap in found) * MICRO,
            "commits_per_action": median(lap.commits / lap.actions for lap in found),
        }
        for (name, level), found in laps.items()
    }
    title = (
        f"async: {rounds} rounds of {given.actions} actions, server {SERVER_SECONDS * 1000:.0f} ms, "
        f"slow fsync + {SLOW_FSYNC * 1000:.0f} ms; {where}"
    )
    return report(title, figures, bars(laps, concurrent), table(laps, names, concurrent), as_json=given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        asyncio.run(work(sys.argv[2], sys.argv[3], Path(sys.argv[4])))
        sys.exit(0)
    sys.exit(main())
