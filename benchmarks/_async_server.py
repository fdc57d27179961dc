"""The server of the asynchronous benchmark: the answers of `_server`, each after a delay, for hundreds of connections.

One event loop and bare protocols, in a process of its own; it keeps nothing. The delay stands for the API's own work:
without it all that a benchmark would show is how two event loops share a machine.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from _server import answer, body_length


class Connection(asyncio.Protocol):
    """One connection: a request at a time, each answered after the delay."""

    def __init__(self, numbers: Iterator[int], delay: float) -> None:
        self._numbers = numbers
        self._delay = delay
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found or len(rest) < (length := body_length(head)):
                return
            self._data = rest[length:]
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer(next(self._numbers)))


async def _main(delay: float) -> None:
    numbers = count(1)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(numbers, delay), "127.0.0.1", 0, backlog=512)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # ends with the process that started this one


@contextmanager
def delayed_server(delay: float) -> Iterator[str]:
    """Runs the server in a child process and gives its base URL; `delay` in seconds."""
    command = [sys.executable, __file__, str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.stdin.close()
            child.wait(10)


if __name__ == "__main__":
    asyncio.run(_main(float(sys.argv[1])))
