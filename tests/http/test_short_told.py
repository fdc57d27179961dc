"""What the short way tells of a request, which has no trace there: the same, and as soon."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from samekey.http import moulds, short
from samekey.http.exchange import Exchange, exchange, exchange_async
from tests.http.conftest import NOW, prepared
from tests.http.many import anyio_backend, asynchronous, built, serving
from tests.http.servers import Peer, Server
from tests.http.shortly import Build, Follower, answers, build, looks, post, request

if TYPE_CHECKING:
    from samekey.http.library import Library

__all__ = ["anyio_backend", "asynchronous", "build"]  # fixtures


@pytest.fixture(autouse=True)
def _no_moulds() -> Iterator[None]:
    yield
    moulds._moulds.clear()


def test_it_tells_what_happens_in_its_order(build: Build) -> None:
    with Server(answers) as server:
        client = build(server.url)
        follower = Follower()
        client.send(request(client, follower=follower))
        assert follower.told == []  # the first goes the pool's way
        client.send(request(client, follower=follower))
        assert follower.told == ["leaves", "is out", 200]


@pytest.mark.anyio
async def test_so_it_does_to_a_task(asynchronous: Library[Any, Any]) -> None:
    async with serving() as server, built(asynchronous, server.url) as client:
        follower = Follower()
        await client.send(request(client, follower=follower))
        assert follower.told == []
        await client.send(request(client, follower=follower))
        assert follower.told == ["leaves", "is out", 201]


def test_it_is_out_before_anything_of_its_answer_is_waited_for(build: Build) -> None:
    def once(peer: Peer) -> None:
        assert peer.read_request()
        peer.answer()
        assert peer.read_request()
        peer.reset()

    with Server(once) as server:
        client = build(server.url)
        post(client)
        follower = Follower()
        with pytest.raises(Exception, match=r"reset|disconnected"):
            client.send(request(client, follower=follower))
        assert follower.told == ["leaves", "is out"]


@pytest.mark.parametrize("veto", [KeyboardInterrupt(), ValueError("no")])
def test_what_must_not_leave_stays(build: Build, veto: BaseException) -> None:
    with Server(answers) as server:
        client = build(server.url)
        post(client)
        with pytest.raises(type(veto)):
            client.send(request(client, follower=Follower(veto=veto)))
        assert len(server.requests) == 1
        assert [post(client) for _ in range(2)] == [200, 200]
        assert [each.is_idle() for each in client._transport._pool.connections] == [True]


@pytest.mark.anyio
async def test_so_it_does_for_a_task(asynchronous: Library[Any, Any]) -> None:
    async with serving() as server, built(asynchronous, server.url) as client:
        await client.send(request(client))
        with pytest.raises(ValueError, match="no"):
            await client.send(request(client, follower=Follower(veto=ValueError("no"))))
        for _ in range(2):
            assert (await client.send(request(client))).status_code == 201
        assert server.opened == 1


def illegal(client: Any, follower: Follower) -> Any:
    made = request(client, follower=follower)
    made.headers["X-Note"] = "a\nb"
    return made


def test_a_head_that_is_refused_has_not_left(build: Build, module: Any) -> None:
    with Server(answers) as server:
        client = build(server.url)
        post(client)
        follower = Follower()
        with pytest.raises(module.LocalProtocolError):
            client.send(illegal(client, follower))
        assert follower.told == ["leaves", "LocalProtocolError"]
        assert post(client) == 200
        assert len(server.requests) == 2


@pytest.mark.anyio
async def test_nor_has_a_tasks(asynchronous: Library[Any, Any]) -> None:
    async with serving() as server, built(asynchronous, server.url) as client:
        await client.send(request(client))
        follower = Follower()
        with pytest.raises(asynchronous.module.LocalProtocolError):
            await client.send(illegal(client, follower))
        assert follower.told == ["leaves", "LocalProtocolError"]
        assert (await client.send(request(client))).status_code == 201


def test_one_that_has_left_is_not_called_refused(build: Build) -> None:
    def bodiless(peer: Peer) -> None:
        while peer.read_request():
            peer.answer()

    class Breaking:
        def __iter__(self) -> Iterator[bytes]:
            raise ValueError("in the body")

    with Server(bodiless) as server:
        client = build(server.url)
        post(client)
        follower = Follower()
        made = request(client, follower=follower)
        made.stream.__class__ = type("Stream", (Breaking, type(made.stream)), {})
        with pytest.raises(ValueError, match="in the body"):
            client.send(made)
        assert follower.told == ["leaves"]


def test_a_used_connection_is_left_alone_if_it_will_not_do(build: Build) -> None:
    with Server(answers) as server:
        client = build(server.url)
        post(client)
        seen = looks(client._transport._pool)
        follower = Follower(fresh=True)
        client.send(request(client, follower=follower))
        assert follower.told == []
        assert seen != []


@pytest.mark.anyio
async def test_nor_does_a_task_take_it(asynchronous: Library[Any, Any]) -> None:
    async with serving() as server, built(asynchronous, server.url) as client:
        await client.send(request(client))
        follower = Follower(fresh=True)
        await client.send(request(client, follower=follower))
        assert follower.told == []


def test_who_reads_httpcores_log_gets_it(build: Build, module: Any, caplog: pytest.LogCaptureFixture) -> None:
    log = module.__name__.replace("httpx", "httpcore") + ".http11"
    with Server(answers) as server:
        client = build(server.url)
        post(client)
        with caplog.at_level(logging.DEBUG, logger=log):
            post(client)
        told = [record.getMessage().partition(" ")[0] for record in caplog.records if record.name == log]
        assert "send_request_headers.started" in told
        assert "response_closed.complete" in told


def test_one_that_was_not_to_be_had_is_told_to_stay(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(answers) as server:
        client = build(server.url)
        post(client)
        pool = client._transport._pool
        line = pool.connections[0]._connection

        def unavailable(_request: Any) -> Any:
            monkeypatch.undo()
            raise pool.unavailable

        monkeypatch.setattr(line, "handle_request", unavailable)
        follower = Follower()
        client.send(request(client, follower=follower))
        assert follower.told == ["leaves", "stays"]
        assert [each.partition(b"\r\n\r\n")[2] for each in server.requests] == [b"{}", b"{}"]


def lines_of_the_way(act: Callable[[], object], *, stop_at: int) -> int:
    """Does something, with Ctrl-C at the so-manieth line that is run of the way to the connection; how many there were.

    A `with` is a line once more when it ends, before its lock is released; there no signal comes.
    """
    seen: set[tuple[object, int]] = set()

    def line(frame: Any, event: str, _argument: object) -> Any:
        here = frame, frame.f_lineno
        if event == "line" and here not in seen:
            seen.add(here)
            if len(seen) == stop_at:
                raise KeyboardInterrupt
        return line

    def call(frame: Any, _event: str, _argument: object) -> Any:
        mine = frame.f_code.co_filename == short.__file__ and frame.f_code.co_name not in {
            "close",
            "pass_on",
            "_let_go",
        }
        return line if mine else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        act()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return len(seen)


def test_ctrl_c_on_the_way_keeps_no_connection(build: Build, module: Any) -> None:
    with Server(answers) as server:
        client = build(server.url, limits=module.Limits(max_connections=1))
        client.timeout = module.Timeout(30, pool=1)
        post(client)
        at = 0
        while True:
            at += 1
            reached = lines_of_the_way(lambda: post(client), stop_at=at)
            assert post(client) == 200, at
            assert [each.is_idle() for each in client._transport._pool.connections] == [True], at
            if reached < at:
                break
        assert at > 30


# --- as the attempt tells it -----------------------------------------------------------------------------------


def attempts(client: Any, library: Any, **how: Any) -> Exchange[Any]:
    ready = prepared(client, json={"total": "2"})
    assert ready.alone
    given = {"clock": lambda: NOW, "not_after": NOW + timedelta(seconds=60), **how}
    return exchange(library, client, ready.request, auth=ready.auth, alone=True, **given)


def ticking(*, late_at: int) -> Callable[[], Any]:
    """A clock that is past the time when it is looked at for the so-manieth time."""
    looked: list[None] = []

    def now() -> Any:
        looked.append(None)
        return NOW + timedelta(seconds=100 * (len(looked) >= late_at))

    return now


def test_the_last_look_keeps_it_from_leaving(build: Build, library: Library[Any, Any]) -> None:
    with Server(answers) as server:
        client = build(server.url)
        prepared(client, json={"total": "1"})
        for _ in range(2):
            assert attempts(client, library).reply is not None
        seen = looks(client._transport._pool)
        done = attempts(client, library, clock=ticking(late_at=2))
        assert done.failure is not None
        assert (done.failure.sent, seen, len(server.requests)) == (False, [], 2)
        assert attempts(client, library).reply is not None
        assert len(server.requests) == 3


@pytest.mark.anyio
async def test_so_it_does_a_tasks(asynchronous: Library[Any, Any]) -> None:
    async with serving() as server, built(asynchronous, server.url) as client:
        prepared(client, json={"total": "1"})
        outcomes = []
        for late_at in (99, 99, 2, 99):
            ready = prepared(client, json={"total": "2"})
            done = await exchange_async(
                asynchronous,
                client,
                ready.request,
                auth=ready.auth,
                clock=ticking(late_at=late_at),
                not_after=NOW + timedelta(seconds=60),
                alone=True,
            )
            outcomes.append(done.reply.status if done.reply else done.failure and done.failure.sent)
        assert outcomes == [201, 201, False, 201]


def test_what_is_to_be_done_meanwhile_is_done(build: Build, library: Library[Any, Any]) -> None:
    meanwhile: list[int] = []
    with Server(answers) as server:
        client = build(server.url)
        prepared(client, json={"total": "1"})
        for _ in range(3):
            attempts(client, library, meanwhile=lambda: meanwhile.append(len(meanwhile)))
    assert meanwhile == [0, 1, 2]


def test_a_connection_that_ends_without_an_answer_has_taken_the_request(
    build: Build, library: Library[Any, Any]
) -> None:
    def second_dropped(peer: Peer) -> None:
        assert peer.read_request()
        peer.answer()
        peer.read_request()

    with Server(second_dropped) as server:
        client = build(server.url)
        prepared(client, json={"total": "1"})
        assert attempts(client, library).reply is not None
        done = attempts(client, library)
    assert done.failure is not None
    assert done.failure.sent


def test_one_that_goes_the_pools_way_after_all_is_sent_once(
    build: Build, library: Library[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(answers) as server:
        client = build(server.url)
        prepared(client, json={"total": "1"})
        assert attempts(client, library).reply is not None
        pool = client._transport._pool

        def unavailable(_request: Any) -> Any:
            monkeypatch.undo()
            raise pool.unavailable

        monkeypatch.setattr(pool.connections[0]._connection, "handle_request", unavailable)
        assert attempts(client, library).reply is not None
        assert len(server.requests) == 2
