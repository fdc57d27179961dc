"""A scheduler that runs a script again with another try number, or twice at once: one effect per business object."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from samekey.testing import Fault, FlakyServer, assert_effects, crash_at, run_script
from tests.servers.redis import RedisServer

TASK = """
import os, sys
import samekey

pay_invoice = samekey.Operation("pay_invoice", scope=("invoice",), reference="/id")

def run(url: str, invoice: str) -> None:
    with samekey.Client(url, provider="stripe-v1") as client:
        with client.action(pay_invoice, scope={"invoice": invoice}, correlation_id=os.environ.get("TRY")) as action:
            action.post("/payments", json={"invoice": invoice})
        print(action.reference)

if __name__ == "__main__":
    try:
        run(*sys.argv[1:])
    except samekey.SamekeyError as error:
        sys.exit(75 if error.retry_safe else 70)  # 75: the scheduler may try again
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    path = tmp_path / "task.py"
    path.write_text(TASK)
    return path


@pytest.mark.usefixtures("samekey_store")
def test_a_killed_try_and_its_retry_under_another_number_are_one_payment(
    task: Path, samekey_server: FlakyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRY", "1")
    crash_at("after_send", server=samekey_server).script(task, samekey_server.url, "inv-7")
    monkeypatch.setenv("TRY", "2")
    samekey_server.script(Fault.COMMIT_THEN_DROP)
    assert run_script(task, samekey_server.url, "inv-7") == "payment_1\n"

    assert_effects(samekey_server, 1)
    assert {seen.key for seen in samekey_server.requests} == {samekey_server.effects[0].key}


@pytest.mark.usefixtures("samekey_store")
def test_two_runs_that_overlap_as_cron_lets_them_are_one_payment(task: Path, samekey_server: FlakyServer) -> None:
    with samekey_server.hold("before_effect") as hold, ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run_script, task, samekey_server.url, "inv-7") for _ in range(2)]
        hold.wait_for(1, timeout=30)
        hold.release()
        said = [run.result() for run in runs]

    assert said == ["payment_1\n", "payment_1\n"]
    assert len(samekey_server.requests) == 1
    assert_effects(samekey_server, 1)


@pytest.mark.usefixtures("samekey_store")
def test_apscheduler_runs_that_overlap_are_one_payment(samekey_server: FlakyServer) -> None:
    from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
    from apscheduler.schedulers.background import BackgroundScheduler

    import samekey

    ended: list[Any] = []

    def pay() -> str:
        with samekey.Client(samekey_server.url, provider="stripe-v1") as client:
            with client.action("pay_invoice", scope={"invoice": "inv-7"}) as action:
                action.post("/payments", json={"invoice": "inv-7"})
            return action.reference or str(action.key)

    scheduler = BackgroundScheduler()
    scheduler.add_listener(ended.append, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    with samekey_server.hold("before_effect") as hold:
        for name in ("first", "second"):
            scheduler.add_job(pay, id=name)
        scheduler.start()
        hold.wait_for(1, timeout=30)
        hold.release()
        until = time.monotonic() + 30
        while len(ended) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    scheduler.shutdown()

    assert [event.exception for event in ended] == [None, None]
    assert_effects(samekey_server, 1)


CELERY = """
import os, pathlib
from celery import Celery
import samekey

folder = pathlib.Path(__file__).parent
app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(folder / "queue"), "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"), "store_processed": False,
    },
    task_acks_late=True, task_reject_on_worker_lost=True, worker_hijack_root_logger=False,
)
pay_invoice = samekey.Operation("pay_invoice", scope=("invoice",), reference="/id")

@app.task
def pay(url, invoice):
    with samekey.Client(url, provider="stripe-v1") as client:
        with client.action(pay_invoice, scope={"invoice": invoice}) as action:
            action.post("/payments", json={"invoice": invoice})
    (folder / "done.txt").write_text(action.reference)
"""


def worker(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--without-gossip",
               "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]  # fmt: skip
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.usefixtures("samekey_store")
def test_a_celery_worker_killed_before_its_acknowledgement_and_the_redelivery_are_one_payment(
    tmp_path: Path, samekey_server: FlakyServer
) -> None:
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    (tmp_path / "tasks.py").write_text(CELERY)
    send = f"import tasks; tasks.pay.delay({samekey_server.url!r}, 'inv-7')"
    subprocess.run([sys.executable, "-c", send], cwd=tmp_path, check=True)
    (message,) = (tmp_path / "queue").iterdir()
    delivery = message.read_bytes()

    with samekey_server.hold("before_reply") as hold:
        first = worker(tmp_path)
        hold.wait_for(1, timeout=60)
        first.send_signal(signal.SIGKILL)  # the payment is made; nobody was told, and nothing was acknowledged
        first.wait()
    assert not (tmp_path / "done.txt").exists()
    message.write_bytes(delivery)  # kombu's folders forget an unacknowledged message; a broker delivers it again
    second = worker(tmp_path)
    until = time.monotonic() + 60
    while not (tmp_path / "done.txt").exists() and time.monotonic() < until:
        time.sleep(0.05)
    second.terminate()
    second.wait(30)

    assert (tmp_path / "done.txt").read_text() == "payment_1"
    assert len(samekey_server.requests) == 2
    assert_effects(samekey_server, 1)


RQ = """
import samekey

pay_invoice = samekey.Operation("pay_invoice", scope=("invoice",), reference="/id")

def pay(url, invoice):
    with samekey.Client(url, provider="stripe-v1") as client:
        with client.action(pay_invoice, scope={"invoice": invoice}) as action:
            action.post("/payments", json={"invoice": invoice})
        return action.reference
"""


@pytest.mark.usefixtures("samekey_store")
def test_an_rq_worker_killed_in_its_job_and_the_retry_of_the_abandoned_job_are_one_payment(
    tmp_path: Path, samekey_server: FlakyServer
) -> None:
    from rq import Queue, Retry
    from rq.registry import StartedJobRegistry

    (tmp_path / "tasks.py").write_text(RQ)
    with RedisServer(tmp_path / "redis") as redis, redis.client() as connection:
        command = [sys.executable, "-c", "from rq.cli import main; main()", "worker", "--burst", "--url", redis.url,
                   "--worker-class", "rq.worker.SimpleWorker", "--path", str(tmp_path)]  # fmt: skip
        queue = Queue(connection=connection)
        job = queue.enqueue("tasks.pay", samekey_server.url, "inv-7", retry=Retry(max=3))

        with samekey_server.hold("before_reply") as hold:
            first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            hold.wait_for(1, timeout=60)
            first.send_signal(signal.SIGKILL)  # the payment is made, and RQ believes that the job is running
            first.wait()
        assert queue.job_ids == []
        StartedJobRegistry(queue=queue).cleanup(time.time() + 86_400)  # what RQ does once the job's heartbeat is missed
        assert queue.job_ids == [job.id]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

        assert job.return_value() == "payment_1"
    assert len(samekey_server.requests) == 2
    assert_effects(samekey_server, 1)
