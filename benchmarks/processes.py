"""Eight processes that write through one store at once: nobody fails, and nobody starves.

Each is a script that makes one action after the other, as fast as it can, for some seconds; the server is a process of
its own. Fairness is the actions of the slowest process divided by those of the fastest, and the figure is the median
over the rounds. Exits with 1 if a bar does not hold.
"""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

from _common import Bar, machine, parser, report, scratch
from _contenders import Samekey
from _server import server


def work(number: int, url: str, directory: Path) -> None:
    """The child: reads the seconds of a round, makes actions until they are over, answers with how many."""
    contender = Samekey(url, directory)
    made = number * 10_000_000  # scopes of its own
    contender(made)
    print("ready", flush=True)
    for line in sys.stdin:
        start, until = time.monotonic(), float(line)
        first = made
        slowest = 0.0
        while (before := time.monotonic()) - start < until:
            made += 1
            contender(made)
            slowest = max(slowest, time.monotonic() - before)
        print(made - first, slowest, flush=True)
    contender.close()


def measure(processes: int, rounds: int, seconds: float, directory: Path) -> tuple[list[list[int]], float, int]:
    """Actions by round and process, the slowest action in seconds, and how many processes failed."""
    with server() as url:
        Samekey(url, directory).close()
        children = [
            subprocess.Popen(
                [sys.executable, __file__, "--worker", str(number), url, str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(1, processes + 1)
        ]
        counts: list[list[int]] = []
        slowest = 0.0
        try:
            for child in children:
                _answer(child)
            for _ in range(rounds):
                for child in children:
                    _tell(child, f"{seconds}\n")
                answers = [_answer(child).split() for child in children]
                counts.append([int(answer[0]) for answer in answers if answer])
                slowest = max([slowest, *(float(answer[1]) for answer in answers if answer)])
        finally:
            failed = sum(_end(child) != 0 for child in children)
    return counts, slowest, failed


def _tell(child: "subprocess.Popen[str]", text: str) -> None:
    assert child.stdin is not None
    with suppress(BrokenPipeError):  # it has failed, which its exit status tells
        child.stdin.write(text)
        child.stdin.flush()


def _answer(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline()


def _end(child: "subprocess.Popen[str]") -> int:
    with child:
        assert child.stdin is not None
        with suppress(BrokenPipeError):
            child.stdin.close()
        return child.wait(60)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--processes", type=int, default=8)
    options.add_argument("--rounds", type=int, default=5, help="rounds to take the median of (default 5)")
    options.add_argument("--seconds", type=float, default=4.0, help="length of a round (default 4)")
    given = options.parse_args()
    rounds, seconds = (2, 2.0) if given.quick else (given.rounds, given.seconds)
    with scratch(given.dir) as directory:
        where = machine(directory)
        counts, slowest, failed = measure(given.processes, rounds, seconds, directory)
    fairness = median(min(round_) / max(*round_, 1) for round_ in counts if round_)
    per_second = median(sum(round_) for round_ in counts) / seconds
    figures = {
        "fairness": fairness,
        "actions_per_second": per_second,
        "slowest_action_seconds": slowest,
        "counts": counts,
        "failed": failed,
    }
    lines = [
        "",
        *(f"round {number}: {' '.join(map(str, round_))}" for number, round_ in enumerate(counts, 1)),
        f"{per_second:.0f} actions a second in all; the slowest action took {slowest * 1000:.0f} ms",
    ]
    bars = [
        Bar("processes that failed", failed, 0),
        Bar("slowest writer ÷ fastest", fairness, 0.8, at_least=True),
    ]
    title = f"processes: {given.processes} on one store, {rounds} rounds of {seconds:g} s; {where}"
    return report(title, figures, bars, lines, as_json=given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
        sys.exit(0)
    sys.exit(main())
