"""Clients that were made before the processes that use them: pools of multiprocessing, and a server's workers."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import samekey
from samekey.stores import AsyncMemoryStore, AsyncSQLiteStore, MemoryStore, PostgresStore, RedisStore, SQLiteStore
from samekey.testing import FlakyServer

ROOT = Path(__file__).parent.parent.parent
SECONDS = 60
NUMBERS = range(12)
Made = tuple[int, str, int, bool]


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def environment(request: pytest.FixtureRequest, server: FlakyServer, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "SHOP_API": server.url,
        "SHOP_STORE": str(tmp_path / "store" / "actions.db"),
        "SHOP_CLIENT": request.param,
    }


def check(made: list[Made], server: FlakyServer) -> None:
    """Every order was made once, whoever asked; all got its reference, and none over another's connection."""
    server.wait_idle()
    references = {json.loads(effect.body)["order"]: effect.reference for effect in server.effects}
    assert len(server.effects) == len(references)
    assert {(number, reference) for number, reference, _, _ in made} == set(references.items())
    assert [each for each in made if not each[3]] == []


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_the_processes_of_a_pool_make_each_order_once(
    method: str, environment: dict[str, str], server: FlakyServer
) -> None:
    (Path(environment["SHOP_STORE"]).parent).mkdir()
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.processes.shop", method]
    ran = subprocess.run(
        command,
        check=False,
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    made: list[Made] = [(number, reference, pid, own) for number, reference, pid, own in json.loads(ran.stdout)]
    assert sorted({number for number, *_ in made}) == list(NUMBERS)
    check(made, server)
    assert len({process for _, _, process, _ in made}) > 1


@contextmanager
def gunicorn(environment: dict[str, str], folder: Path, *, threads: int) -> Iterator[httpx.Client]:
    """The program under gunicorn: it is loaded once, and three workers are forked from what was loaded."""
    socket, log = folder / "socket", folder / "log"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=3", f"--threads={threads}"]
    command += [f"--bind=unix:{socket}", "--no-control-socket", "tests.processes.shop:application"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        try:
            with httpx.Client(
                transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://shop", timeout=SECONDS
            ) as shop:
                while not socket.exists():
                    assert process.poll() is None, log.read_text()
                    threading.Event().wait(0.01)
                yield shop
        finally:
            process.terminate()
            process.wait(SECONDS)


def answered(response: httpx.Response) -> Made:
    assert response.status_code == 200, response.text
    number, reference, process, own = response.json()
    return number, reference, process, own


@pytest.mark.parametrize("threads", [1, 2])
def test_pre_forked_workers_make_each_order_once_and_one_that_is_killed_leaves_its_order_to_the_next(
    threads: int, environment: dict[str, str], server: FlakyServer, tmp_path: Path
) -> None:
    if environment["SHOP_CLIENT"] == "async" and threads > 1:
        pytest.skip("a client for event loops serves one loop at a time, and here each thread has its own")
    folder = Path(environment["SHOP_STORE"]).parent
    folder.mkdir()
    with gunicorn(environment, tmp_path, threads=threads) as shop, ThreadPoolExecutor(8) as pool:
        with server.hold("before_reply") as held:
            asked = [pool.submit(shop.get, f"/{number}") for number in (*NUMBERS, *NUMBERS)]
            held.wait_for(2)
            held.release()
        made = [answered(each.result()) for each in asked]
        check(made, server)
        with server.hold("before_reply") as held:
            lost = pool.submit(shop.get, "/99")
            held.wait_for(1)
            os.kill(int((folder / "worker-99").read_text()), signal.SIGKILL)
            with pytest.raises(httpx.TransportError):
                lost.result()
            held.release()
        again = answered(shop.get("/99"))
        check([*made, again], server)
        assert len({process for _, _, process, _ in [*made, again]}) > 1


def _things(folder: Path) -> Iterator[Any]:
    url, day = "https://api.example", timedelta(days=1)
    client = samekey.Client(url, window=day, store=folder / "a.db")
    yield client
    yield samekey.AsyncClient(url, window=day, store=folder / "a.db")
    yield samekey.Transport(window=day, store=folder / "a.db")
    yield samekey.AsyncTransport(window=day, store=folder / "a.db")
    yield client.action("create_order", scope={"order": 1})
    yield SQLiteStore(folder / "a.db")
    yield AsyncSQLiteStore(folder / "a.db")
    yield MemoryStore()
    yield AsyncMemoryStore()
    yield RedisStore("redis://host")
    yield PostgresStore("postgresql://host/database")


def test_what_belongs_to_one_process_says_so_when_it_is_handed_to_another(tmp_path: Path) -> None:
    for thing in _things(tmp_path):
        name = type(thing).__name__
        for work in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(
                samekey.UsageError, match=f"{name} cannot be pickled or copied.*make one in each process"
            ):
                work(thing)
        process = multiprocessing.get_context("spawn").Process(target=print, args=(thing,))
        with pytest.raises(samekey.UsageError, match=name):
            process.start()
    assert not any(tmp_path.iterdir())
