"""What one synchronous action costs: samekey beside plain httpx, the bare commits it cannot do without, and its peers.

Each contender has a process of its own and makes a few actions in each round; figures are medians over the rounds, and
ratios are medians of the ratios within a round, so that a noisy neighbour meets all of them. The server is a process
of its own too. Where in memory a process happens to lie makes it some per cent faster or slower for as long as it
lives, so all of them are started anew a few times. Exits with 1 if a bar does not hold.
"""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from _common import MICRO, Bar, machine, parser, report, scratch
from _contenders import CONTENDERS
from _server import server

FLOOR = "httpx + two commits"
WARM_UP = 150
"""Actions before the first round: by then SQLite writes over its log and no longer makes it longer."""

STARTS = 4
"""How often all processes are started, each time for a part of the rounds."""

Rounds = dict[str, list[float]]
"""Seconds per action in each round, by contender."""


class Worker:
    """A contender in its child process; it works only when it is told to."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child
        self._next = 1

    def run(self, actions: int) -> float:
        """Seconds per action."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(self._next, actions, file=self._child.stdin, flush=True)
        self._next += actions
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("a contender has ended; its error is above")
        return float(line) / actions


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


def work(name: str, url: str, directory: Path) -> None:
    """The child: reads "first count", makes these actions, answers with the seconds."""
    contender = CONTENDERS[name](url, directory)
    for line in sys.stdin:
        first, count = map(int, line.split())
        before = time.perf_counter()
        for number in range(first, first + count):
            contender(number)
        print(time.perf_counter() - before, flush=True)
    contender.close()


def measure(names: list[str], directory: Path, *, rounds: int, starts: int, actions: int, warm_up: int) -> Rounds:
    results: Rounds = {name: [] for name in names}
    for start in range(starts):
        own = directory / f"start-{start}"
        own.mkdir()
        some = range(rounds * start // starts, rounds * (start + 1) // starts)
        for name, seconds in measure_once(names, own, rounds=some, actions=actions, warm_up=warm_up).items():
            results[name] += seconds
    return results


def measure_once(names: list[str], directory: Path, *, rounds: range, actions: int, warm_up: int) -> Rounds:
    results: Rounds = {name: [] for name in names}
    with ExitStack() as stack:
        url = stack.enter_context(server())
        workers = {}
        for number, name in enumerate(names):
            own = directory / str(number)
            own.mkdir()
            workers[name] = stack.enter_context(worker(name, url, own))
        for each in workers.values():
            each.run(warm_up)
        for number in rounds:
            order = random.Random(number).sample(names, len(names))
            for name in order:
                results[name].append(workers[name].run(actions))
    return results


def ratio(results: Rounds, name: str, to: str, less: str | None = None) -> float:
    """The median ratio within a round; with `less`, of what each costs beyond that."""
    rest = results[less] if less else [0.0] * len(results[name])
    return median((a - c) / (b - c) for a, b, c in zip(results[name], results[to], rest, strict=True))


def overhead(results: Rounds, name: str) -> float:
    """Median seconds per action beyond plain httpx in the same round."""
    return median(a - b for a, b in zip(results[name], results["httpx"], strict=True))


def bars(results: Rounds) -> list[Bar]:
    def relative(name: str) -> float:
        return overhead(results, "samekey") / overhead(results, name)

    found = [Bar("samekey ÷ (httpx + two bare commits)", ratio(results, "samekey", FLOOR), 1.15)]
    if "justonce (FULL)" in results:
        found.append(Bar("overhead over httpx: samekey ÷ justonce at FULL", relative("justonce (FULL)"), 1.0))
    if "dbos (SQLite)" in results:
        found.append(Bar("overhead over httpx: samekey ÷ dbos on SQLite", relative("dbos (SQLite)"), 0.1))
    return found


def table(results: Rounds) -> list[str]:
    lines = [f"{'':24}{'µs per action':>14}{'over httpx':>12}{'÷ floor':>9}", ""]
    for name, seconds in results.items():
        lines.append(
            f"{name:24}{median(seconds) * MICRO:14.0f}{overhead(results, name) * MICRO:+12.0f}"
            f"{ratio(results, name, FLOOR):9.3f}"
        )
    return [*lines, "", f"the floor is {FLOOR!r}: rows of a like size, one commit at FULL and one at NORMAL"]


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=60, help="rounds to take the median of (default 60)")
    options.add_argument("--actions", type=int, default=25, help="actions of each contender in a round (default 25)")
    options.add_argument("--only", nargs="+", default=[], metavar="NAME", help="leave out all contenders but these")
    options.add_argument("--starts", type=int, default=STARTS, help=f"starts of all processes (default {STARTS})")
    given = options.parse_args()
    rounds = min(given.rounds, 12) if given.quick else given.rounds
    starts = min(1 if given.quick else given.starts, rounds)
    needed = {"httpx", FLOOR, "samekey"}
    names = [name for name in CONTENDERS if not given.only or name in needed or name in given.only]
    with scratch(given.dir) as directory:
        where = machine(directory)
        results = measure(names, directory, rounds=rounds, starts=starts, actions=given.actions, warm_up=WARM_UP)
    figures = {
        name: {
            "microseconds": median(seconds) * MICRO,
            "over_httpx": overhead(results, name) * MICRO,
            "to_floor": ratio(results, name, FLOOR),
        }
        for name, seconds in results.items()
    }
    title = f"sync: {rounds} rounds of {given.actions} actions, {starts} starts; {where}"
    return report(title, figures, bars(results), table(results), as_json=given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
        sys.exit(0)
    sys.exit(main())
