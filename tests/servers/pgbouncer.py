"""PgBouncer before a PostgreSQL server, in transaction mode: each transaction gets whichever session is free."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.servers.postgres import SECONDS, Postgres, free_port

BINARY = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
"""Debian's; no package index has one."""

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 500
logfile = {folder}/log
"""


class PgBouncer:
    """A pooler; it starts and ends with the `with` block.

    Args:
        server: what lies behind.
        sessions: how many of the server's it shares out.
    """

    def __init__(self, server: Postgres, *, sessions: int) -> None:
        self._server = server
        self._sessions = sessions
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        assert BINARY is not None
        self._folder = Path(tempfile.mkdtemp(prefix="samekey-pgbouncer-"))
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(
            SETTINGS.format(server=self._server.port, port=self.port, sessions=self._sessions, folder=self._folder)
        )
        who: dict[str, Any] = {}
        if os.geteuid() == 0:  # which it refuses to run as
            who = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            for path in (self._folder, settings):
                shutil.chown(path, "nobody", "nogroup")
        self._process = subprocess.Popen(
            [BINARY, "-q", str(settings)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **who
        )
        until = time.monotonic() + SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < until, (self._folder / "log").read_text()
                threading.Event().wait(0.01)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)
