"""A thread that waits for disks and locks in place of an event loop."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

_Queue = SimpleQueue[Callable[[], None] | None]


class Worker:
    """Does one thing after the other in a thread of its own, which starts with the first and never keeps the process alive.

    Not to be used over a fork: a child takes a new one.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queue: _Queue | None = None
        self._thread: threading.Thread | None = None

    def put(self, call: Callable[[], None]) -> None:
        """Has something done after what was put before; it must not raise.

        Raises:
            RuntimeError: the system gives no thread.
        """
        with self._guard:
            queue = self._queue
            if queue is None:
                queue = SimpleQueue()
                # The thread knows its queue and nothing else, so a store that is forgotten can be collected.
                thread = threading.Thread(target=_serve, args=(queue,), name="samekey-store-disk", daemon=True)
                thread.start()
                self._queue, self._thread = queue, thread
            queue.put(call)

    def end(self) -> threading.Thread | None:
        """Has the thread end after what was put before; returns it, to be joined. A later `put` starts another one."""
        with self._guard:
            queue, self._queue = self._queue, None
            thread, self._thread = self._thread, None
            if queue is not None:
                queue.put(None)
            return thread


def _serve(queue: _Queue) -> None:
    while (call := queue.get()) is not None:
        call()
        del call  # else what it belongs to would live until the next one
