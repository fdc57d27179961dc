"""Each fault, as the client sees it and as the ledger sees it: over a socket, and without one."""

from __future__ import annotations

import contextlib
import dataclasses
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

import httpx
import pytest

from samekey.testing import LOST_REPLIES, Fault, FaultTransport, FlakyServer, ModelAPI

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from samekey.testing.faults import CutJson, Truncate

KEY = {"Idempotency-Key": "k-1"}
NOW = 1_800_000_000.0

Open = contextlib.AbstractContextManager[tuple[ModelAPI, httpx.Client]]
Kit = Literal["socket", "transport"]


@contextlib.contextmanager
def over_socket() -> Iterator[tuple[ModelAPI, httpx.Client]]:
    with (
        FlakyServer(clock=lambda: NOW) as server,
        httpx.Client(base_url=server.url, timeout=httpx.Timeout(10, read=5)) as client,
    ):
        yield server, client


@contextlib.contextmanager
def without_socket() -> Iterator[tuple[ModelAPI, httpx.Client]]:
    transport = FaultTransport(clock=lambda: NOW)
    with httpx.Client(base_url="http://api.example", transport=transport) as client:
        yield transport, client


@pytest.fixture(params=[over_socket, without_socket], ids=["socket", "transport"])
def kit(request: pytest.FixtureRequest) -> Iterator[tuple[ModelAPI, httpx.Client]]:
    opening: Callable[[], Open] = request.param
    with opening() as pair:
        yield pair


def post(client: httpx.Client, timeout: float = 10) -> httpx.Response:
    return client.post("/orders", json={"total": 1}, headers=KEY, timeout=timeout)


NO_ANSWER = [
    (Fault.COMMIT_THEN_DROP, httpx.RemoteProtocolError, 1),
    (Fault.COMMIT_THEN_RESET, httpx.ReadError, 1),
    (Fault.DROP_BEFORE, httpx.RemoteProtocolError, 0),
    (Fault.RESET_BEFORE, httpx.ReadError, 0),
    (Fault.TRUNCATE, httpx.RemoteProtocolError, 1),
    (Fault.GARBAGE, httpx.RemoteProtocolError, 1),
    (Fault.EXECUTE_LATE, httpx.RemoteProtocolError, 0),
]


@pytest.mark.parametrize(("fault", "error", "effects"), NO_ANSWER, ids=str)
def test_a_lost_answer_is_an_httpx_error_and_the_ledger_knows_whether_the_effect_happened(
    kit: tuple[ModelAPI, httpx.Client], fault: Fault, error: type[Exception], effects: int
) -> None:
    api, client = kit
    api.script(fault)
    with pytest.raises(error):
        post(client)
    assert len(api.effects) == effects
    assert [seen.fault for seen in api.requests] == [fault]

    retried = post(client)
    assert retried.status_code == 201
    assert len(api.effects) == 1
    assert retried.headers.get("Idempotent-Replayed") == ("true" if effects else None)


@pytest.mark.parametrize(("fault", "effects"), [(Fault.STALL, 1), (Fault.STALL_BEFORE, 0)], ids=str)
def test_a_stall_is_a_read_timeout(kit: tuple[ModelAPI, httpx.Client], fault: Fault, effects: int) -> None:
    api, client = kit
    api.script(fault)
    with pytest.raises(httpx.ReadTimeout):
        post(client, timeout=0.1)
    assert len(api.effects) == effects
    assert post(client).status_code == 201


WRONG_ANSWER = [
    (Fault.COMMIT_THEN_5XX, 500, "application/json", 1),
    (Fault.COMMIT_THEN_5XX(502), 502, "application/json", 1),
    (Fault.HTML_200, 200, "text/html; charset=utf-8", 1),
    (Fault.HTML_200(effect=False), 200, "text/html; charset=utf-8", 0),
    (Fault.CUT_JSON, 200, "application/json", 1),
    (Fault.BUSY, 409, "application/json", 0),
    (Fault.BUSY(425), 425, "application/json", 0),
    (Fault.RATE_LIMIT, 429, "application/json", 0),
    (Fault.REJECT, 400, "application/json", 0),
    (Fault.REJECT(402, {"error": "card_declined"}), 402, "application/json", 0),
    (Fault.UNAVAILABLE, 503, "text/plain", 0),
    (Fault.REDIRECT, 307, None, 0),
    (Fault.NONE, 201, "application/json", 1),
    (Fault.FORGET_KEY, 201, "application/json", 1),
]


@pytest.mark.parametrize(("fault", "status", "content_type", "effects"), WRONG_ANSWER)
def test_a_wrong_answer_is_complete_and_the_ledger_knows_whether_the_effect_happened(
    kit: tuple[ModelAPI, httpx.Client], fault: Fault, status: int, content_type: str | None, effects: int
) -> None:
    api, client = kit
    api.script(fault)
    response = post(client)
    assert response.status_code == status
    assert response.headers.get("Content-Type") == content_type
    assert int(response.headers["Content-Length"]) == len(response.content)
    assert parsedate_to_datetime(response.headers["Date"]).timestamp() == NOW
    assert len(api.effects) == effects


@pytest.mark.parametrize(
    ("fault", "header", "value"),
    [
        (Fault.RATE_LIMIT(2.2), "Retry-After", "3"),
        (Fault.RATE_LIMIT(0.25, form="ms"), "retry-after-ms", "250"),
        (Fault.RATE_LIMIT(30, form="date"), "Retry-After", "Fri, 15 Jan 2027 08:00:30 GMT"),
        (Fault.UNAVAILABLE(retry_after=7), "Retry-After", "7"),
        (Fault.REDIRECT(303, "/orders/order_1"), "Location", "/orders/order_1"),
    ],
)
def test_a_hint_comes_in_the_form_that_was_asked_for(
    kit: tuple[ModelAPI, httpx.Client], fault: Fault, header: str, value: str
) -> None:
    api, client = kit
    api.script(fault)
    assert post(client).headers[header] == value


def test_a_rate_limit_can_come_without_a_hint(kit: tuple[ModelAPI, httpx.Client]) -> None:
    api, client = kit
    api.script(Fault.RATE_LIMIT(form="none"))
    response = post(client)
    assert response.status_code == 429
    assert not [name for name in response.headers if "retry" in name]


def test_cut_json_has_its_right_length_and_does_not_parse(kit: tuple[ModelAPI, httpx.Client]) -> None:
    api, client = kit
    api.script(Fault.CUT_JSON(keep=0.9))
    response = post(client)
    assert response.text.startswith('{"id": "order_1"')
    with pytest.raises(ValueError, match="char 35"):
        response.json()


def test_a_truncated_body_arrives_in_part(kit: tuple[ModelAPI, httpx.Client]) -> None:
    api, client = kit
    api.script(Fault.TRUNCATE(keep=0.3))
    received: list[bytes] = []

    def download() -> None:
        with client.stream("POST", "/orders", json={"total": 1}, headers=KEY) as response:
            received.extend(response.iter_raw())

    with pytest.raises(httpx.RemoteProtocolError, match="received 11 bytes, expected 39"):
        download()
    assert received == [b'{"id": "ord']


def test_a_late_request_has_its_effect_when_it_is_run(kit: tuple[ModelAPI, httpx.Client]) -> None:
    api, client = kit
    api.script(Fault.EXECUTE_LATE)
    with pytest.raises(httpx.RemoteProtocolError):
        post(client)
    assert api.effects == []
    assert api.run_late() == 1
    assert len(api.effects_for("k-1")) == 1
    assert api.run_late() == 0


def test_a_late_request_whose_key_was_used_meanwhile_has_no_second_effect(
    kit: tuple[ModelAPI, httpx.Client],
) -> None:
    api, client = kit
    api.script(Fault.EXECUTE_LATE)
    with pytest.raises(httpx.RemoteProtocolError):
        post(client)
    assert post(client).status_code == 201
    assert api.run_late() == 1
    assert len(api.effects) == 1


def test_a_forgotten_key_doubles_the_effect(kit: tuple[ModelAPI, httpx.Client]) -> None:
    api, client = kit
    post(client)
    api.script(Fault.FORGET_KEY)
    assert "Idempotent-Replayed" not in post(client).headers
    assert api.duplicates() == {b'{"total":1}': 2}


def test_under_a_known_key_a_fault_costs_the_answer_and_not_a_second_effect(
    kit: tuple[ModelAPI, httpx.Client],
) -> None:
    api, client = kit
    api.script(*LOST_REPLIES)
    for _ in LOST_REPLIES:
        with contextlib.suppress(httpx.TransportError):
            post(client)
    assert post(client).json() == {"id": "order_1", "data": {"total": 1}}
    assert len(api.effects) == 1
    assert len(api.requests) == len(LOST_REPLIES) + 1


def test_lost_replies_are_seven_and_each_has_its_effect() -> None:
    assert len(set(LOST_REPLIES)) == 7
    for fault in LOST_REPLIES:
        with without_socket() as (api, client):
            api.script(fault)
            with contextlib.suppress(httpx.TransportError):
                assert post(client).status_code != 201
            assert len(api.effects) == 1


def test_a_fault_of_ones_own_is_an_instance(kit: tuple[ModelAPI, httpx.Client]) -> None:
    api, client = kit
    gone = dataclasses.replace(Fault.REJECT(410), name="GONE")
    api.script(gone)
    assert post(client).status_code == 410
    assert str(api.requests[0].fault) == "GONE"


@pytest.mark.parametrize("fault", [Fault.CUT_JSON, Fault.TRUNCATE])
def test_all_of_a_body_is_no_part_of_it(fault: CutJson | Truncate) -> None:
    with pytest.raises(ValueError, match=r"0 <= keep < 1"):
        fault(keep=1.0)


@pytest.mark.parametrize("fault", [Fault.CONNECT_REFUSED, Fault.CONNECT_TIMEOUT], ids=str)
def test_a_socket_server_says_that_it_cannot_refuse_single_connections(server: FlakyServer, fault: Fault) -> None:
    with pytest.raises(ValueError, match="needs FaultTransport"):
        server.script(fault)
    with pytest.raises(ValueError, match="needs FaultTransport"):
        server.chaos(0.5, [fault])
