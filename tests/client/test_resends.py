"""Every resend is byte for byte what was sent first; only credentials are of today."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import samekey
from samekey.testing import Fault, FlakyServer, Seen
from tests.client.conftest import BODY, ONCE, Connect, Flavour, create_order, post, synchronous

CREDENTIALS = {"authorization", "cookie", "x-api-key"}


def raw(seen: Seen) -> tuple[Any, ...]:
    """Everything of a request but its credentials, in order."""
    headers = [item for item in seen.headers if item[0].lower() not in CREDENTIALS]
    return seen.method, seen.target, headers, seen.body


def same(server: FlakyServer, number: int) -> None:
    assert len(server.requests) == number
    first = raw(server.requests[0])
    assert [raw(seen) for seen in server.requests] == [first] * number


def lose(server: FlakyServer, client: samekey.Client, **options: Any) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, **options)


def test_resends_in_one_run_have_the_same_bytes_and_headers(server: FlakyServer, client: samekey.Client) -> None:
    server.script(Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_5XX, Fault.TRUNCATE)
    post(client, headers={"X-Order-Source": "shop"}, params={"expand": "lines"})
    same(server, 4)


def test_a_rerun_sends_the_same_bytes_and_headers(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE))
    post(connect())
    same(server, 2)


def test_a_rerun_with_another_user_agent_sends_the_first_one(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE, headers={"User-Agent": "script/1"}))
    post(connect(headers={"User-Agent": "script/2"}))
    same(server, 2)


def test_only_the_credentials_are_of_today(server: FlakyServer, connect: Connect) -> None:
    old = {"Authorization": "Bearer a.b.c", "Cookie": "session=1"}
    new = {"Authorization": "Bearer d.e.f", "Cookie": "session=2"}
    lose(server, connect(retry=ONCE, headers=old))
    post(connect(headers=new))
    same(server, 2)
    assert [seen.header("authorization") for seen in server.requests] == ["Bearer a.b.c", "Bearer d.e.f"]
    assert [seen.header("cookie") for seen in server.requests] == ["session=1", "session=2"]


def test_basic_authentication_goes_out_with_every_attempt(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE, auth=("user", "one")))
    post(connect(auth=("user", "two")))
    first, second = (seen.header("authorization") for seen in server.requests)
    assert first is not None
    assert second is not None
    assert first != second


def test_the_spelling_of_the_json_may_differ_and_the_frozen_bytes_go_out(server: FlakyServer, connect: Connect) -> None:
    json: dict[str, Any] = {"headers": {"Content-Type": "application/json"}}
    lose(server, connect(retry=ONCE), content=b'{"a": 1, "b": 2}', **json)
    post(connect(), content=b'{"b":2,"a":1}', **json)
    same(server, 2)


def test_a_volatile_field_may_differ_and_the_frozen_bytes_go_out(server: FlakyServer, connect: Connect) -> None:
    timed = create_order.replace(volatile=["/sent_at"])
    lose(server, connect(retry=ONCE), operation=timed, json=BODY | {"sent_at": "05:10"})
    post(connect(), operation=timed, json=BODY | {"sent_at": "05:11"})
    same(server, 2)
    assert b"05:10" in server.requests[1].body


def test_other_data_is_a_conflict_that_names_the_fields(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE))
    with pytest.raises(samekey.KeyReusedError, match=r"with other data \(/total\) and may have happened") as raised:
        post(connect(), json=BODY | {"total": "20.00"})
    assert (raised.value.by, raised.value.changed) == ("local", ("/total",))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"url": "/other"}, ("url",)),
        ({"json": BODY | {"new": 1}}, ("/new",)),
        ({"params": {"a": 1}}, ("url",)),
    ],
)
def test_another_url_or_field_is_a_conflict_too(
    server: FlakyServer, client: samekey.Client, options: Any, changed: tuple[str, ...]
) -> None:
    post(client)
    with pytest.raises(samekey.KeyReusedError, match="has succeeded as order_1") as raised:
        post(client, **options)
    assert raised.value.changed == changed
    assert len(server.requests) == 1


def test_a_value_that_looks_like_a_time_brings_a_hint(client: samekey.Client) -> None:
    post(client, json=BODY | {"sent_at": "2026-11-24T05:10:00Z"})
    with pytest.raises(samekey.KeyReusedError, match="if /sent_at differs on every run, declare it volatile"):
        post(client, json=BODY | {"sent_at": "2026-11-24T05:11:00Z"})


def test_another_origin_is_a_conflict(server: FlakyServer, connect: Connect) -> None:
    post(connect())
    with FlakyServer() as elsewhere:
        with pytest.raises(samekey.KeyReusedError, match="and its key means nothing at") as raised:
            post(connect(elsewhere.url))
        assert raised.value.changed == ("origin",)
        assert not elsewhere.requests
    assert post(connect(), order=2).reference == "order_2"


def test_another_actor_is_another_action(server: FlakyServer, connect: Connect) -> None:
    post(connect())
    post(connect(actor="second"))
    assert len({seen.key for seen in server.requests}) == 2


def test_multipart_bodies_have_the_same_bytes_on_every_run(server: FlakyServer, connect: Connect) -> None:
    upload: dict[str, Any] = {"files": {"scan": ("scan.pdf", b"\x00\r\n%PDF")}, "data": {"order": "7"}}
    lose(server, connect(retry=ONCE), **upload)
    post(connect(), **upload)
    same(server, 2)
    assert "boundary=samekey-" in str(server.requests[0].header("content-type"))


def test_form_bodies_have_the_same_bytes_on_every_run(server: FlakyServer, connect: Connect) -> None:
    lose(server, connect(retry=ONCE), data={"order": "7", "total": "19.99"})
    post(connect(), data={"order": "7", "total": "19.99"})
    same(server, 2)


def test_the_clients_own_parameters_are_added_again_and_not_stored(server: FlakyServer, connect: Connect) -> None:
    with_key: dict[str, Any] = {"params": {"api_key": "s3cret", "v": "2"}}
    lose(server, connect(retry=ONCE, **with_key), params={"expand": "lines"})
    client = connect(**with_key)
    record = client.record(create_order, scope={"order": 1})
    assert record is not None
    assert b"s3cret" not in (record.frozen_request or b"")
    assert "s3cret" not in record.url
    post(client, params={"expand": "lines"})
    same(server, 2)
    assert server.requests[1].target == "/orders?api_key=s3cret&v=2&expand=lines"


# where nothing is frozen


def test_without_a_frozen_body_a_rerun_that_brings_the_same_bytes_goes_on(
    server: FlakyServer, connect: Connect
) -> None:
    lose(server, connect(retry=ONCE, freeze="nothing"))
    post(connect(freeze="nothing"))
    same(server, 2)


def test_without_a_frozen_body_other_bytes_are_refused(server: FlakyServer, connect: Connect) -> None:
    json: dict[str, Any] = {"headers": {"Content-Type": "application/json"}}
    lose(server, connect(retry=ONCE, freeze="nothing"), content=b'{"a": 1}', **json)
    with pytest.raises(samekey.KeyReusedError) as raised:
        post(connect(freeze="nothing"), content=b'{"a":1}', **json)
    assert raised.value.changed == ("body",)
    assert len(server.requests) == 1


def test_without_a_frozen_body_resends_in_one_run_work(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_DROP)
    post(connect(freeze="nothing"))
    same(server, 3)


def chunks() -> Iterator[bytes]:
    yield b"one "
    yield b"two"


@synchronous
def test_a_stream_goes_out_once_and_its_fingerprint_stands_for_it(server: FlakyServer, connect: Connect) -> None:
    client = connect(freeze="nothing")
    action = post(client, content=chunks(), fingerprint="sha256:1")
    assert server.requests[0].body == b"one two"
    assert post(client, content=chunks(), fingerprint="sha256:1").reference == action.reference
    with pytest.raises(samekey.KeyReusedError):
        post(client, content=chunks(), fingerprint="sha256:2")
    assert len(server.requests) == 1


@synchronous
def test_a_stream_that_got_no_answer_is_not_read_twice_but_can_be_brought_again(
    server: FlakyServer, connect: Connect
) -> None:
    client = connect(freeze="nothing")
    lose(server, client, content=chunks(), fingerprint="sha256:1")
    assert len(server.requests) == 1
    assert post(client, content=chunks(), fingerprint="sha256:1").recovered
    assert [seen.body for seen in server.requests] == [b"one two", b"one two"]
    assert len(server.effects) == 1


def test_a_large_body_is_fine_where_it_need_not_be_kept(server: FlakyServer, connect: Connect) -> None:
    large = b"x" * (2 << 20)
    post(connect(freeze="nothing"), content=large)
    assert server.requests[0].body == large


def test_redirects_are_not_followed(server: FlakyServer, connect: Connect, flavour: Flavour) -> None:
    server.script(Fault.REDIRECT(307))
    client = connect(follow_redirects=True)
    with pytest.raises(samekey.ActionRejectedError, match="turned it away with HTTP 307") as raised:
        post(client)
    assert raised.value.retry_safe
    assert isinstance(raised.value.response, flavour.module.Response)
    assert [seen.path for seen in server.requests] == ["/orders"]
    with pytest.raises(samekey.UsageError, match="a write never follows redirects"):
        post(client, follow_redirects=True)
