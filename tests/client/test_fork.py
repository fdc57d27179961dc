"""A client that is forked: the child is another process, and neither disturbs the other."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import samekey
from samekey.testing import FlakyServer
from tests.client.conftest import BODY, DAY, FLAVOURS, ONCE, Connect, Flavour, create_order, post


@pytest.fixture
def flavour() -> Flavour:
    """Processes are forked from a thread, not from an event loop."""
    return FLAVOURS["sync"]


def in_child(work: Callable[[], object]) -> int:
    """Runs `work` in a forked child; its exit code."""
    with warnings.catch_warnings():
        # Python 3.12 warns of the server's threads, which the child does not touch.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_parent_and_child_use_one_client_side_by_side(server: FlakyServer, client: samekey.Client) -> None:
    post(client, "before")

    def work() -> None:
        assert post(client, "before").replayed
        assert post(client, "in the child").reference

    assert in_child(work) == 0
    assert post(client, "in the child").replayed
    post(client, "after")
    assert len(server.effects) == len(server.requests) == 3


def test_a_child_never_sends_on_its_parents_connection(server: FlakyServer, client: samekey.Client) -> None:
    post(client, "before")  # and keeps the connection
    events: list[str] = []

    def trace(name: str, _info: object) -> None:
        events.append(name)

    def work() -> None:
        post(client, "in the child", extensions={"trace": trace})
        assert "connection.connect_tcp.complete" in events

    assert in_child(work) == 0
    post(client, "after", extensions={"trace": trace})
    assert "connection.connect_tcp.complete" not in events
    assert len(server.effects) == len(server.requests) == 3


def test_a_client_for_event_loops_that_was_built_before_the_fork_works_in_the_children(
    server: FlakyServer, path: Path
) -> None:
    """As a server with pre-forked workers has it: built at import, used in each worker's own loop."""
    client = samekey.AsyncClient(server.url, window=DAY, store=path, retry=ONCE, verify=False)

    async def order() -> None:
        async with client, client.action(create_order, scope={"order": 1}) as action:
            await action.post("/orders", json=BODY)

    assert [in_child(lambda: asyncio.run(order())) for _ in range(3)] == [0, 0, 0]
    assert len(server.effects) == len(server.requests) == 1
    asyncio.run(order())
    assert len(server.requests) == 1


def test_a_child_that_closes_the_client_takes_nothing_from_its_parent(
    server: FlakyServer, client: samekey.Client
) -> None:
    post(client, 1)
    assert in_child(client.store.close) == 0
    assert post(client, 1).replayed
    post(client, 2)
    assert len(server.effects) == 2


def test_what_the_parent_holds_is_not_the_childs(server: FlakyServer, connect: Connect) -> None:
    """The child is forked in the middle of the parent's request, and finds a live holder that is not itself."""
    client = connect()
    codes: list[int] = []
    impatient = create_order.replace(on_in_progress="raise")

    def work() -> None:
        with pytest.raises(samekey.ActionInProgressError, match=f"process {os.getppid()} "):
            post(client, 1, operation=impatient)

    def trace(event: str, _info: object) -> None:
        if event == "http11.send_request_body.complete":
            codes.append(in_child(work))

    post(client, 1, extensions={"trace": trace})
    assert codes == [0]
    assert len(server.requests) == 1


def test_the_death_of_a_child_says_nothing_about_its_parent(server: FlakyServer, connect: Connect) -> None:
    client = connect()
    alive: list[bool] = []

    def trace(event: str, _info: object) -> None:
        if event == "http11.send_request_body.complete":
            assert in_child(lambda: None) == 0
            record = connect().record(create_order, scope={"order": 1})
            assert record is not None
            existing = connect().store.get(record.identity)
            assert existing is not None
            alive.append(existing.alive)

    post(client, 1, extensions={"trace": trace})
    assert alive == [True]
