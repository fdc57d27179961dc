"""What a probe says of a real server that honours keys, ignores them, or does something else."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

import samekey
from samekey.errors import UsageError
from samekey.stores import MemoryStore
from samekey.testing import Fault, FlakyServer, ProbePlan, ProbeResult, ProbeSend, Reply
from tests.client.conftest import AT_ONCE
from tests.testing.probing import (
    AGREES,
    DIFFERS,
    MISMATCH,
    NOT_SEEN,
    UNKNOWN,
    client_of,
    flaky,
    order,
    probe,
    seen,
    verdicts,
)

DAY = date(2026, 11, 24)


def drafted(result: ProbeResult) -> samekey.Provider:
    draft = result.draft(DAY)
    assert draft is not None
    return samekey.Provider(**json.loads(json.dumps(draft)))


def test_a_server_that_does_what_its_profile_says(server: FlakyServer) -> None:
    result = probe(flaky(), order(server))
    assert verdicts(result) == {
        "the same again": AGREES,
        "its answer": UNKNOWN,
        "replayed answer": AGREES,
        "other data under the key": AGREES,
        "two at once": AGREES,
        "still running": NOT_SEEN,
    }
    assert (result.agrees, result.effects, len(server.effects), result.stopped) == (True, 2, 2, "")
    assert [send.step for send in result.sends] == ["first", "again", "other", "together", "together"]
    assert seen(result, "its answer") == "HTTP 201, the same body, the same reference"


def test_what_goes_out_is_one_write_twice_then_changed_then_two_at_once(server: FlakyServer) -> None:
    probe(flaky(), order(server))
    writes = [request for request in server.requests if request.method == "POST"]
    first, again, other, *together = writes
    assert (again.body, again.headers) == (first.body, first.headers)
    assert (other.key, json.loads(other.body)) == (first.key, {"total": "20.99"})
    assert len({request.key for request in together}) == 1 != len({first.key, together[0].key})
    assert {request.body for request in together} == {other.body}


def test_no_write_has_a_cookie_of_an_earlier_answer(server: FlakyServer) -> None:
    reply = Reply.json(201, {"id": "a"}, (("Set-Cookie", "node=1"),))
    server.script(*[Fault(name="sticky", reply=reply)] * 5)
    probe(flaky(), order(server, counted=False))
    assert len(server.requests) == 5
    assert not [request for request in server.requests if request.header("Cookie")]


def test_no_write_goes_over_a_connection_that_may_be_stale() -> None:
    connections: list[Any] = []

    class Counting(FlakyServer):
        def _adopt(self, sock: Any) -> None:
            connections.append(sock)
            super()._adopt(sock)

    with Counting() as server:
        probe(flaky(), order(server, counted=False))
    assert len(connections) == 5


def test_a_server_that_ignores_keys_differs_and_its_draft_never_sends_twice() -> None:
    with FlakyServer(keys="ignore") as server:
        result = probe(flaky(), order(server))
        assert not result.agrees
        assert [name for name, verdict in verdicts(result).items() if verdict is DIFFERS] == [
            "the same again", "other data under the key", "two at once",
        ]  # fmt: skip
        assert (result.effects, len(server.effects)) == (5, 5)
        assert drafted(result).carrier.kind == "none"
        assert seen(result, "two at once") == "2 effects"


def test_without_a_count_the_references_tell_and_the_report_says_that_it_is_weaker() -> None:
    with FlakyServer(keys="ignore") as server:
        result = probe(flaky(), order(server, counted=False))
    assert seen(result, "the same again") == "a second effect (not counted: another reference)"
    assert seen(result, "two at once") == "2 effects (not counted: different references)"
    assert (result.effects, any(fact.counted for fact in result.facts)) == (None, False)
    with FlakyServer(replay_header=None) as server:
        result = probe(flaky(replay_marker=None), order(server, counted=False))
    assert seen(result, "the same again") == "no second effect (not counted: the same reference)"
    assert (result.agrees, drafted(result).carrier.kind) == (True, "header")


@pytest.mark.parametrize("reference", ["/data/total", "/nothing"])
def test_references_that_do_not_tell_one_object_from_another_are_no_evidence(reference: str) -> None:
    with FlakyServer(replay_header=None) as server:
        wanted = order(server, counted=False, other={"total": "19.99", "more": 1}, change=None, reference=reference)
        result = probe(flaky(replay_marker=None), wanted)
    assert verdicts(result)["the same again"] is verdicts(result)["two at once"] is NOT_SEEN
    assert "the answers do not tell one object from another" in seen(result, "two at once")
    assert (result.agrees, result.draft(DAY)) == (True, None)


def test_a_doubled_effect_behind_a_perfect_replay_is_counted() -> None:
    """The answers alone would not show it."""
    effects: list[str] = []

    def handler(request: Any) -> Any:
        if request.method == "GET":
            return httpx.Response(200, json=len(effects))
        effects.append(request.headers["Idempotency-Key"])
        return httpx.Response(201, json={"id": effects.index(effects[-1])})

    with client_of(handler) as http:
        request = order("https://api.example", count={"url": "https://api.example/n"})
        result = probe(samekey.Provider("a"), request, http=http)
    assert verdicts(result)["the same again"] is DIFFERS
    assert (seen(result, "the same again"), result.effects) == ("a second effect", 5)


class Busy(FlakyServer):
    """Its first request under the second key is being carried out until the other one was answered."""

    def start(self) -> Any:
        self.on_request = self._look
        return super().start()

    def _look(self, seen: Any) -> None:
        if len(self.requests) == 4:
            self.held = self.hold(limit=1)

    def handle(self, *request: Any) -> Any:
        delivery = super().handle(*request)
        if delivery.reply is not None and delivery.reply.status in {409, 425}:
            self.held.release()
        return delivery


def test_while_the_first_is_running_the_second_of_two_at_once_is_told_so() -> None:
    with Busy() as server:
        result = probe(flaky(), order(server))
    assert verdicts(result)["still running"] is verdicts(result)["two at once"] is AGREES
    assert seen(result, "still running").startswith("HTTP 409")
    assert (result.effects, drafted(result).in_progress[0].status) == (2, 409)


@pytest.mark.parametrize(("stated", "verdict"), [([{"status": 423}], DIFFERS), ([], UNKNOWN)])
def test_an_answer_while_running_that_the_profile_does_not_know(stated: Any, verdict: Any) -> None:
    with Busy() as server:
        result = probe(flaky(in_progress=stated), order(server))
    assert verdicts(result)["still running"] is verdict
    learned = drafted(result).in_progress[0]
    assert (learned.status, learned.code_at) == (409, "error.code")


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({}, AGREES),
        ({"mismatch": [{"status": 400}]}, DIFFERS),
        ({"mismatch": ()}, UNKNOWN),
        ({"mismatch": (), "silent_mismatch": True}, DIFFERS),
    ],
)
def test_other_data_under_the_key(server: FlakyServer, facts: dict[str, Any], verdict: Any) -> None:
    result = probe(flaky(**facts), order(server))
    assert verdicts(result)["other data under the key"] is verdict
    assert seen(result, "other data under the key") == "HTTP 422, error.type = idempotency_error"
    assert [each.model_dump(exclude_defaults=True) for each in drafted(result).mismatch] == [MISMATCH]


def test_a_refusal_of_other_data_says_nothing_if_they_are_refused_under_a_new_key_too(server: FlakyServer) -> None:
    server.script(Fault.NONE, Fault.NONE, Fault.REJECT(422), Fault.REJECT(422), Fault.REJECT(422))
    result = probe(flaky(mismatch=[{"status": 422}]), order(server))
    assert verdicts(result)["other data under the key"] is NOT_SEEN
    assert verdicts(result)["two at once"] is verdicts(result)["still running"] is NOT_SEEN
    assert result.draft(DAY) is None


@pytest.mark.parametrize(
    ("sent", "stated", "verdict"),
    [
        (("Idempotent-Replayed", "true"), ("Idempotent-Replayed", "true"), AGREES),
        (None, ("Idempotent-Replayed", "true"), DIFFERS),
        (("X-Idempotency-Lookup", "hit"), None, UNKNOWN),
        (None, None, NOT_SEEN),
    ],
)
def test_the_mark_of_a_replayed_answer(sent: Any, stated: Any, verdict: Any) -> None:
    with FlakyServer(replay_header=sent) as server:
        result = probe(flaky(replay_marker=stated), order(server))
    assert verdicts(result)["replayed answer"] is verdict
    found = drafted(result).replay_marker
    assert (found and (found[0].lower(), found[1])) == (sent and (sent[0].lower(), sent[1]))


def test_a_mark_that_the_first_answer_has_too_marks_nothing() -> None:
    def handler(_request: Any) -> Any:
        return httpx.Response(201, json={"id": "a"}, headers={"Idempotent-Replayed": "true"})

    with client_of(handler) as http:
        result = probe(flaky(), order("https://api.example", counted=False), http=http)
    assert verdicts(result)["replayed answer"] is NOT_SEEN  # nothing shows that it was replayed
    assert verdicts(result)["the same again"] is NOT_SEEN


# --- retention ---------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("remembers", "stated", "asked", "saw", "verdict"),
    [
        (3600, 3600, 1800, "still known", AGREES),
        (7200, 3600, 5400, "still known", AGREES),
        (3600, None, 1800, "still known", UNKNOWN),
        (3600, 7200, 5400, "carried out anew", DIFFERS),
        (3600, 3600, 5400, "carried out anew", UNKNOWN),
        (3600, None, 5400, "carried out anew", UNKNOWN),
    ],
)
def test_after_some_time_the_first_write_once_more(
    remembers: int, stated: int | None, asked: int, saw: str, verdict: Any
) -> None:
    clock = Clock()
    with FlakyServer(window=remembers, clock=clock) as server:
        window = None if stated is None else timedelta(seconds=stated)
        result = probe(flaky(window=window), order(server), retention=asked, sleep=clock.sleep)
        writes = [request for request in server.requests if request.method == "POST"]
    assert clock.slept == [asked]
    assert result.sends[-1].step == "later"
    assert (writes[-1].key, writes[-1].body, writes[-1].headers) == (writes[0].key, writes[0].body, writes[0].headers)
    name = result.facts[-1].name
    assert name == {1800: "after 30 min", 5400: "after 90 min"}[asked]
    assert (seen(result, name), verdicts(result)[name]) == (saw, verdict)
    draft = drafted(result)
    assert draft.window is None
    assert draft.after_expiry == ("executes_as_new" if saw == "carried out anew" else None)


@pytest.mark.parametrize(
    ("stated", "verdict"), [("executes_as_new", AGREES), ("rejected", DIFFERS), ("not_guaranteed", AGREES)]
)
def test_what_the_profile_says_of_an_old_key(stated: Any, verdict: Any) -> None:
    clock = Clock()
    with FlakyServer(window=60, clock=clock) as server:
        profile = flaky(window=timedelta(seconds=60), after_expiry=stated)
        result = probe(profile, order(server), retention=90, sleep=clock.sleep)
    assert verdicts(result)["after 90 s"] is verdict
    assert (result.plan.expected, result.plan.writes, result.effects) == (3, 6, 3)


@pytest.mark.parametrize("asked", [0, -1, float("nan"), float("inf"), True, "60"])
def test_a_retention_that_is_no_time_is_refused_before_anything_is_sent(server: FlakyServer, asked: Any) -> None:
    with pytest.raises(UsageError, match="retention"):
        probe(flaky(), order(server), retention=asked)
    with pytest.raises(UsageError, match="retention"):
        probe("keyless", order(server), retention=60)
    assert not server.requests


# --- an API without keys -------------------------------------------------------------------------------------------


def test_without_keys_two_writes_are_two_effects(server: FlakyServer) -> None:
    result = probe("keyless", order(server, change=None))
    assert verdicts(result) == {"the same again": AGREES, "its answer": UNKNOWN}
    assert (result.effects, len(server.effects), [seen.key for seen in server.requests]) == (2, 2, [None, None])
    assert drafted(result).carrier.kind == "none"


# --- the plan and the draft ----------------------------------------------------------------------------------------


def test_the_plan_is_told_before_anything_is_sent_and_can_end_it(server: FlakyServer) -> None:
    plans: list[ProbePlan] = []

    def refuse(plan: ProbePlan) -> None:
        plans.append(plan)
        raise PermissionError

    with pytest.raises(PermissionError):
        probe(flaky(), order(server), before=refuse)
    (plan,) = plans
    assert (plan.origin, plan.writes, plan.expected, plan.most, plan.reads) == (server.url, 5, 2, 5, 5)
    assert not server.requests


def test_the_plan_counts_what_is_really_sent(server: FlakyServer) -> None:
    result = probe(flaky(), order(server), retention=1, sleep=lambda _seconds: None)
    assert result.plan.writes == len(result.sends) == len(server.requests) == 6


def test_every_write_is_told_as_it_is_made(server: FlakyServer) -> None:
    told: list[ProbeSend] = []
    result = probe(flaky(), order(server), on_send=told.append)
    assert tuple(told) == result.sends


def test_a_draft_states_what_was_seen_with_day_and_place_and_nothing_else(server: FlakyServer) -> None:
    result = probe(flaky(window=timedelta(hours=1), after_5xx="resend", scope="account"), order(server))
    draft = result.draft(DAY)
    assert draft is not None
    assert draft.keys() == {"name", "carrier", "methods", "replay_marker", "mismatch", "tier", "sources"}
    assert (draft["name"], draft["tier"], draft["methods"]) == ("flaky-probed", "probed", ["POST"])
    assert draft["sources"] == [
        f"samekey probe, 2026-11-24, {server.url}, effects counted: {name}"
        for name in ("carrier", "methods", "replay_marker", "mismatch")
    ]


def test_a_draft_drives_a_client_and_agrees_with_its_server() -> None:
    with Busy() as server:
        draft = drafted(probe(flaky(), order(server)))
    with FlakyServer() as server:
        assert probe(draft, order(server)).agrees
        made = len(server.effects)
        store = MemoryStore()
        with samekey.Client(
            server.url, provider=draft, window=timedelta(hours=1), store=store, retry=AT_ONCE
        ) as client:
            server.script(Fault.COMMIT_THEN_DROP, Fault.BUSY)
            with client.action("order", scope={"cart": 1}) as action:
                action.post("/orders", json={"total": "1.00"})
        assert (action.status, len(server.effects)) == (samekey.Status.SUCCEEDED, made + 1)
