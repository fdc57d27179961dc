"""Answers that are small on the wire and huge in memory, headers without end, redirects that ask for the key."""

from __future__ import annotations

import gzip
import resource
import tracemalloc
import zlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import samekey
from samekey.http.limit import MAX_RESPONSE_BYTES
from samekey.stores import MemoryStore
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import ONCE, Connect, create_order, known, post
from tests.security.raw import RawServer, answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
WINDOW = timedelta(days=1)


def packed(kind: str, size: int) -> bytes:
    """As many zeros, packed."""
    pack = zlib.compressobj(9, wbits=31 if kind == "gzip" else 15)
    block = bytes(MIB)
    return b"".join([pack.compress(block) for _ in range(size // MIB)]) + pack.flush()


def endless(kind: str, size: int) -> bytes:
    """The same at a thousandth of the time: one packed mebibyte again and again. Its end, which nobody reaches, is missing."""
    pack = zlib.compressobj(9, wbits=31 if kind == "gzip" else 15)
    first, again = (pack.compress(bytes(MIB)) + pack.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * (size // MIB - 1)


def test_a_bomb_is_what_it_is_said_to_be() -> None:
    for kind, wbits in (("gzip", 31), ("deflate", 15)):
        assert zlib.decompressobj(wbits).decompress(endless(kind, 3 * MIB)) == bytes(3 * MIB)


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
def test_what_unpacks_without_end_is_not_unpacked(path: Path, kind: str) -> None:
    bomb = endless(kind, 1024 * MIB)
    assert len(bomb) < 2 * MIB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        RawServer(answer(bomb, ("Content-Encoding", kind))) as server,
        samekey.Client(server.url, window=WINDOW, store=path, retry=ONCE, verify=False) as client,
    ):
        with pytest.raises(samekey.OutcomeUnknownError, match="HTTP 201, and an answer too long"):
            post(client)
        assert known(client).status is samekey.Status.UNKNOWN
        assert len(server.requests) == 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 2 * MAX_RESPONSE_BYTES / MIB + 64


class _AtOnce(httpx.SyncByteStream):
    """All of an answer in one piece, as another transport than httpx's own may give it."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self.body


def test_no_piece_of_an_answer_is_unpacked_that_is_larger_than_a_few_kilobytes() -> None:
    # The library unpacks in one go what it is given.
    bomb = endless("gzip", 512 * MIB)
    wire = httpx.MockTransport(
        lambda _request: httpx.Response(201, headers={"Content-Encoding": "gzip"}, stream=_AtOnce(bomb))
    )
    with samekey.Client("https://x", window=WINDOW, store=MemoryStore(), retry=ONCE, transport=wire) as client:
        tracemalloc.start()
        try:
            with pytest.raises(samekey.OutcomeUnknownError, match=r"last: an answer too long to be read\)"):
                post(client)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < MAX_RESPONSE_BYTES + 32 * MIB


def test_an_answer_of_a_usual_size_is_unpacked(path: Path) -> None:
    text = b'{"id": "order_1", "padding": "' + b"x" * 3 * MIB + b'"}'
    with (
        RawServer(
            answer(gzip.compress(text), ("Content-Encoding", "gzip"), ("Content-Type", "application/json"))
        ) as server,
        samekey.Client(server.url, window=WINDOW, store=path, retry=ONCE, verify=False) as client,
        client.action(create_order, scope={"order": 1}) as action,
    ):
        response: httpx.Response = action.post("/orders", json={})
    assert response.content == text
    assert action.reference == "order_1"
    assert response.elapsed > timedelta(0)


def test_a_long_answer_that_is_not_packed_ends_too(path: Path) -> None:
    with (
        RawServer(answer(bytes(MAX_RESPONSE_BYTES + 1))) as server,
        samekey.Client(server.url, window=WINDOW, store=path, retry=ONCE, verify=False) as client,
        pytest.raises(samekey.OutcomeUnknownError, match="too long"),
    ):
        post(client)


def test_a_transport_takes_no_more_than_it_was_told_packed_or_unpacked(path: Path) -> None:
    with RawServer(answer(packed("gzip", 8 * MIB), ("Content-Encoding", "gzip"))) as server:
        for most, fits in ((4 * MIB, False), (9 * MIB, True)):
            transport = samekey.Transport(window=WINDOW, store=path, max_response=most, retry=ONCE, verify=False)
            with httpx.Client(transport=transport, base_url=server.url) as http:
                try:
                    with samekey.action("x", scope={"most": most}):
                        assert len(http.post("/x", json={}).content) == 8 * MIB
                except samekey.OutcomeUnknownError:
                    assert not fits
                else:
                    assert fits


def test_headers_without_end_are_refused(path: Path) -> None:
    with (
        RawServer(answer(b"{}", *[(f"X-{number}", "y" * 1000) for number in range(1000)])) as server,
        samekey.Client(server.url, window=WINDOW, store=path, retry=ONCE, verify=False) as client,
        pytest.raises(samekey.OutcomeUnknownError),
    ):
        post(client)


# --- redirects -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("auth", [None, ("me", "s3cret"), httpx.DigestAuth("me", "s3cret")])
def test_no_redirect_takes_the_key_the_body_or_a_credential_elsewhere(path: Path, status: int, auth: Any) -> None:
    with RawServer(answer(b"{}")) as elsewhere:
        away = ("Location", f"{elsewhere.url}/orders")
        with (
            RawServer(answer(b"{}", away, ("Refresh", f"0; url={elsewhere.url}"), status=status)) as server,
            samekey.Client(server.url, window=WINDOW, store=path, retry=ONCE, verify=False, auth=auth) as client,
        ):
            client.http.follow_redirects = True  # for reads; writes never do
            with pytest.raises(samekey.SamekeyError):
                post(client)
            assert len(server.requests) == 1
        assert not elsewhere.requests


def test_an_authentication_flow_answers_its_challenge_and_no_redirect(path: Path) -> None:
    challenge = ("WWW-Authenticate", 'Digest realm="x", nonce="1", qop="auth", algorithm=MD5')
    with RawServer(answer(b"{}")) as elsewhere:
        script = [
            answer(b"{}", challenge, status=401),
            answer(b"{}", ("Location", f"{elsewhere.url}/orders"), status=307),
        ]
        auth = httpx.DigestAuth("me", "s3cret")
        with (
            RawServer(*script) as server,
            samekey.Client(server.url, window=WINDOW, store=path, retry=ONCE, verify=False, auth=auth) as client,
        ):
            with pytest.raises(samekey.SamekeyError):
                post(client)
            assert len(server.requests) == 2
        assert not elsewhere.requests


# --- what cannot be in a header ------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["x\r\nX-Evil: 1", "x\ny", "x\0y", "né", "x\u2028y", ""])
def test_a_key_that_no_store_of_ours_has_written_is_never_sent(
    server: FlakyServer, connect: Connect, path: Path, bad: str
) -> None:
    import sqlite3

    client = connect(retry=ONCE)
    server.script(Fault.DROP_BEFORE)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client)
    client.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE actions SET idempotency_key = ?", (bad,))
    database.close()
    client = connect(retry=ONCE)
    with pytest.raises(samekey.StoreFormatError, match="is no key"):
        post(client)
    assert len(server.requests) == 1


@pytest.mark.parametrize("bad", ["x\r\nX-Evil: 1", "x\0y", "né"])
def test_names_of_places_for_a_key_cannot_carry_anything_else(bad: str) -> None:
    with pytest.raises(samekey.UsageError):
        samekey.Provider("x", carrier={"name": bad})
    with pytest.raises(samekey.UsageError):
        samekey.Provider("x", carrier={"first_sent": bad})


def test_what_a_caller_says_for_logs_goes_into_no_header(server: FlakyServer, connect: Connect) -> None:
    client = connect()
    evil = "x\r\nX-Evil: 1"
    with client.action(create_order, scope={"order": evil}, correlation_id=evil) as action:
        action.post("/orders", json={})
    (sent,) = server.requests
    assert sent.header("X-Evil") is None
    assert not [value for _, value in sent.headers if "Evil" in value]


@pytest.mark.parametrize("stamp", ["metadata.x\r\nX-Evil: 1", "m\0", "né"])
def test_a_stamp_is_text_in_the_body_and_nothing_else(server: FlakyServer, connect: Connect, stamp: str) -> None:
    client = connect()
    with client.action(create_order.replace(stamp=stamp), scope={"order": 1}) as action:
        action.post("/orders", json={})
    (sent,) = server.requests
    assert sent.header("X-Evil") is None
    assert str(action.key).encode() in sent.body


def test_a_request_whose_body_is_too_large_is_refused_before_anything_is_stored(connect: Connect, path: Path) -> None:
    client = connect()
    for body in ({"content": bytes(1024 * 1024 + 1)}, {"json": "x" * (1024 * 1024)}):
        with pytest.raises(samekey.UsageError, match="1,048,"):
            post(client, **body)
    assert client.record(create_order, scope={"order": 1}) is None
