"""The sentences users read, and how values show themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from samekey._core import words
from samekey._core.freezing import unfreeze
from samekey._core.model import Record, later
from samekey._core.plan import Contract, Profile
from samekey._core.reading import result_of
from samekey._core.states import Status
from samekey._core.verbs import Existing
from samekey.errors import KeyReusedError, SamekeyError, StoreFormatError, StoreUnavailableError
from tests.core.driving import GENERIC, KEYLESS, T0, answer, at, outgoing, plan, record

C = "create_order(customer=42, cart='c-9'): "
ROW = replace(
    record(status=Status.UNKNOWN),
    attempts=3,
    correlation_id="job-7",
    response_reference="ord_9",
    completed_at=T0,
)
SECRETS = outgoing(
    url="https://api.example/orders?token=t0ken",
    body=b'{"total":"payl0ad"}',
    credentials=(("authorization", "Bearer sk_1"),),
)

SENTENCES: list[Callable[[], SamekeyError]] = [
    lambda: words.key_reused(plan(request=SECRETS), ROW, ("/total",)),
    lambda: words.key_reused(plan(request=SECRETS), ROW, ("origin",)),
    lambda: words.key_reused(plan(request=SECRETS), ROW, ("credential",)),
    lambda: words.key_moved(plan(), ROW),
    lambda: words.key_moved(plan(profile=KEYLESS), ROW),
    lambda: words.key_reused_by_server(ROW),
    lambda: words.in_progress(Existing(ROW, alive=True), at(5)),
    lambda: words.server_in_progress(ROW, 2.5),
    lambda: words.duplicate(plan(), ROW, at(180)),
    lambda: words.scope_names_differ(plan(), ("a",)),
    lambda: words.scope_names_differ(plan(), ()),
    lambda: words.rejected(ROW, summary="HTTP 422", stored=True, in_front=False),
    lambda: words.rejected(ROW, summary="HTTP 401", stored=False, in_front=True),
    lambda: words.rejected(ROW, summary="HTTP 422", stored=False, in_front=False),
    lambda: words.not_sent(ROW, summary="HTTP 429", attempts=2, spent=3.0, retry_after=120.0),
    lambda: words.not_sent(ROW, summary="connection refused", attempts=1, spent=0.0, retry_after=None),
    lambda: words.unknown(ROW, summary="HTTP 503", retry_after=1.0, retry_until=T0),
    lambda: words.unknown(ROW, summary="HTTP 503", retry_after=None, retry_until=None),
    *[lambda reason=reason: words.needs_review(ROW, reason) for reason in (*words.REASONS, "new")],
    lambda: words.abandoned(ROW),
    lambda: words.store_failed(plan(), StoreUnavailableError("full."), ROW, uncertain=True),
    lambda: words.store_failed(plan(), StoreFormatError("damaged."), None, uncertain=False),
]


@pytest.mark.parametrize("make", SENTENCES)
def test_every_sentence_names_the_action_and_ends_with_a_full_stop(make: Callable[[], SamekeyError]) -> None:
    error = make()
    assert str(error).startswith(C)
    assert str(error).endswith(".")
    assert "  " not in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("make", SENTENCES)
def test_no_sentence_holds_a_secret(make: Callable[[], SamekeyError]) -> None:
    assert not any(secret in str(make()) + repr(vars(make())) for secret in ("t0ken", "payl0ad", "sk_1"))


@pytest.mark.parametrize("make", SENTENCES)
def test_every_error_says_which_action_it_is_about(make: Callable[[], SamekeyError]) -> None:
    error = make()
    assert (error.operation_name, error.actor_id) == ("create_order", "default")
    assert error.scope == {"customer": "42", "cart": "c-9"}


def test_an_error_carries_the_facts_of_the_record() -> None:
    error = words.unknown(ROW, summary="x", retry_after=1.5, retry_until=T0)
    assert (error.key, error.attempts, error.status) == (ROW.idempotency_key, 3, Status.UNKNOWN)
    assert (error.correlation_id, error.started_at, error.reference) == ("job-7", T0, "ord_9")
    assert (error.retry_after, error.retry_until, error.retry_safe) == (1.5, T0, True)


@pytest.mark.parametrize(
    ("status", "middle"),
    [
        (Status.IN_FLIGHT, "and is being sent, so"),
        (Status.SUCCEEDED, "and has succeeded as ord_9, so"),
        (Status.UNKNOWN, "and may have happened, so"),
        (Status.NEEDS_REVIEW, "and waits for review, so"),
        (Status.ABANDONED, "and was closed, so"),
    ],
)
def test_a_conflict_says_what_became_of_the_first_one(status: Status, middle: str) -> None:
    assert middle in str(words.key_reused(plan(), replace(ROW, status=status), ("/total",)))


def test_a_conflict_over_a_time_suggests_to_declare_it_volatile() -> None:
    timed = plan(request=outgoing(body=b'{"sent_at":"2026-11-24T05:10:00Z","a":1}'))
    error = words.key_reused(timed, ROW, ("/sent_at", "/a"))
    assert str(error).endswith("; if /sent_at differs on every run, declare it volatile.")
    assert error.changed == ("/sent_at", "/a")


def test_a_conflict_names_at_most_eight_fields_and_carries_all() -> None:
    error = words.key_reused(plan(), ROW, tuple(f"/f{n}" for n in range(20)))
    assert isinstance(error, KeyReusedError)
    assert "/f7)" in str(error)
    assert len(error.changed) == 20


def test_another_origin_is_shown_without_its_default_port() -> None:
    elsewhere = plan(request=outgoing(origin="http://api.example:80"))
    error = words.key_reused(elsewhere, replace(ROW, origin="https://sandbox.example:8443"), ("origin",))
    assert "at https://sandbox.example:8443, and its key means nothing at http://api.example, so" in str(error)


@pytest.mark.parametrize(
    ("holder", "who"),
    [
        ("h.4711.x", "process 4711 has"),
        ("h.x.y", "another process has"),
        ("h", "another process has"),
        (None, "another process"),
    ],
)
def test_a_live_holder_is_named_by_its_process(holder: str | None, who: str) -> None:
    assert who in str(words.in_progress(Existing(replace(ROW, holder=holder), alive=True), at(5)))


def test_a_holder_without_a_lease_is_asked_again_in_a_second() -> None:
    error = words.in_progress(Existing(replace(ROW, lease_expires_at=None), alive=True), at(5))
    assert error.retry_after == 1.0


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1 s"), (2.5, "2.5 s"), (12.3, "12 s"), (0, "0 s"), (float("inf"), "inf s")]
)
def test_seconds_are_rounded_as_people_do(value: float, text: str) -> None:
    assert words.seconds(value) == text


def test_a_time_is_told_to_the_minute() -> None:
    assert words.clock(T0) == "2026-11-24 05:10 UTC"
    assert words.clock(None) == "at an unknown time"


def test_an_origin_without_a_host_is_shown_as_it_is() -> None:
    assert words.host(replace(ROW, origin="odd")) == "odd"


# Values


def test_a_record_shows_itself_without_body_url_or_whole_key() -> None:
    row = record(plan(request=SECRETS), response_reference="ord_9", response_body=b"payl0ad")
    shown = repr(row)
    assert shown == (
        "<Record create_order(customer=42, cart='c-9') generation=1 in_flight 2026-11-24 05:10Z "
        f"reference='ord_9' key={row.idempotency_key[:8]}…>"
    )
    assert row.label == "create_order(customer=42, cart='c-9')"


@pytest.mark.parametrize("status", Status)
def test_a_record_is_settled_when_its_outcome_is_final(status: Status) -> None:
    row: Record = record(status=status)
    assert row.settled is (status in {Status.SUCCEEDED, Status.REJECTED, Status.ABANDONED})


def test_values_do_not_show_bodies_or_secrets() -> None:
    reply = answer(200, b"payl0ad", (("set-cookie", "t0ken"),))
    values = [plan(request=SECRETS, contract=Contract()), reply, result_of(reply, None, whole=True)]
    shown = repr([*values, unfreeze(plan(request=SECRETS).frozen())])
    assert not any(secret in shown for secret in ("sk_1", "t0ken", "payl0ad", repr(b"s" * 32)))


def test_a_key_goes_out_bare_unless_the_profile_says_quoted() -> None:
    assert GENERIC.carried("k") == "k"
    assert Profile(name="x", quoted=True).carried("k") == '"k"'


def test_a_later_moment_is_later() -> None:
    assert later(T0, 60) > T0
