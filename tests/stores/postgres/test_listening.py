"""Who waits for another process is told, in a process with very many files too, and if the listener is in trouble."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
from collections.abc import Iterator

import psycopg
import pytest

from samekey.stores._postgres_listen import AsyncListener, Listener
from tests.servers.postgres import SECONDS, Postgres
from tests.stores.builders import descriptors

MOST_OF_SELECT = 1024


def is_hearing(listener: Listener | AsyncListener) -> bool:
    return listener.hearing


@pytest.fixture
def many_files() -> Iterator[None]:
    """All descriptors that `select` can watch are taken."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[1], 4 * MOST_OF_SELECT), limits[1]))
    files: list[int] = []
    try:
        while not files or files[-1] < MOST_OF_SELECT:
            files.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("many_files")
def test_in_a_process_with_very_many_files_it_is_heard(postgres: Postgres) -> None:
    listener = Listener(postgres.url, "many")
    turn = listener.turn("a", listen=True)
    turn = listener.wait("a", turn, SECONDS)  # it hears from now on
    assert listener.hearing
    postgres.execute("SELECT pg_notify('many', 'a')")
    assert listener.wait("a", turn, SECONDS) == turn + 1
    listener.close()


def test_an_unforeseen_error_ends_no_listener_and_wakes_who_waits(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener(postgres.url, "broken")
    with monkeypatch.context() as patched:
        patched.setattr(psycopg, "connect", lambda *_, **__: 1 // 0)
        turn = listener.turn("a", listen=True)
        heard = listener.wait("a", turn, SECONDS)
        assert heard > turn
        assert not listener.hearing  # so the row is looked at more often
    assert "failed with ZeroDivisionError" in caplog.text
    while not is_hearing(listener):
        heard = listener.wait("a", heard, SECONDS)
    listener.close()


def test_without_a_thread_left_nobody_listens_and_nothing_fails(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    listener = Listener(postgres.url, "none")
    before = descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        listener.turn("a", listen=True)
    assert not listener.hearing
    assert "failed with RuntimeError" in caplog.text
    assert not descriptors() - before
    listener.close()


def test_it_ends_although_a_child_has_its_descriptors(postgres: Postgres) -> None:
    listener = Listener(postgres.url, "forked")
    listener.wait("a", listener.turn("a", listen=True), SECONDS)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    closing = threading.Thread(target=listener.close, daemon=True)
    closing.start()
    closing.join(SECONDS)
    stuck = closing.is_alive()
    os.close(writer)
    os.waitpid(child, 0)
    assert not stuck


def test_for_event_loops_neither(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        listener = AsyncListener(postgres.url, "loop")
        with monkeypatch.context() as patched:
            patched.setattr(psycopg.AsyncConnection, "connect", fails)
            event = listener.join("a", listen=True)
            await asyncio.wait_for(event.wait(), SECONDS)
            assert not listener.hearing
        while not is_hearing(listener):
            event.clear()
            await asyncio.wait_for(event.wait(), SECONDS)
        await listener.close()

    asyncio.run(main())
    assert "failed with ZeroDivisionError" in caplog.text
