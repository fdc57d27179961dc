"""The checklist for production, point by point; `docs/how-to/going-live.md` names these tests."""

from __future__ import annotations

import logging
from datetime import timedelta

import httpx
import pytest

import samekey
from samekey.providers import NAMES, load
from samekey.providers.facts import UNKNOWN, facts
from samekey.testing import LOST_REPLIES, Fault, FlakyServer, ManualClock, assert_effects, crash_at
from tests.golive.payments import WINDOW, pay

pytestmark = pytest.mark.usefixtures("samekey_no_sleep")


def test_the_same_key_and_payload_return_the_original_result(samekey_server: FlakyServer) -> None:
    first, again = pay(samekey_server.url), pay(samekey_server.url)
    assert (first.replayed, again.replayed) == (False, True)
    assert first.key == again.key
    assert first.reference == again.reference == samekey_server.effects[0].reference
    assert len(samekey_server.requests) == 1


def test_a_changed_payload_is_rejected(samekey_server: FlakyServer) -> None:
    pay(samekey_server.url, "19.99")
    with pytest.raises(samekey.KeyReusedError, match="with other data") as raised:
        pay(samekey_server.url, "29.99")
    assert raised.value.changed == ("/amount",)
    assert len(samekey_server.requests) == 1


@pytest.mark.parametrize("fault", [*LOST_REPLIES, Fault.DROP_BEFORE, Fault.RESET_BEFORE], ids=str)
def test_a_time_out_and_a_retry_make_no_duplicate(samekey_server: FlakyServer, fault: Fault) -> None:
    samekey_server.script(fault)
    paid = pay(samekey_server.url)
    assert len(samekey_server.requests) == 2
    assert len({seen.key for seen in samekey_server.requests}) == 1
    assert_effects(samekey_server, 1)
    assert paid.reference == samekey_server.effects[0].reference


def test_a_real_time_out_and_a_retry_make_no_duplicate(samekey_server: FlakyServer) -> None:
    samekey_server.script(Fault.STALL)
    paid = pay(samekey_server.url, timeout=httpx.Timeout(5, read=0.2))
    assert_effects(samekey_server, 1)
    assert paid.reference == samekey_server.effects[0].reference


@pytest.mark.parametrize("step", ["after_claim", "after_send", "after_reply", "after_settle"])
def test_a_background_jobs_retry_makes_no_second_side_effect(samekey_server: FlakyServer, step: str) -> None:
    crash_at(step, server=samekey_server)(pay, samekey_server.url)  # type: ignore[arg-type] # one of its boundaries
    paid = pay(samekey_server.url)
    assert_effects(samekey_server, 1)
    assert paid.reference == samekey_server.effects[0].reference


def test_a_key_that_has_expired_is_not_sent_again(samekey_server: FlakyServer, samekey_clock: ManualClock) -> None:
    once = samekey.RetryPolicy(attempts=1)
    samekey_server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError) as unknown:
        pay(samekey_server.url, retry=once)
    assert unknown.value.retry_until is not None

    samekey_clock.advance(WINDOW + timedelta(hours=1))
    with pytest.raises(samekey.NeedsReviewError, match="its key has expired") as raised:
        pay(samekey_server.url, retry=once)
    assert raised.value.reason == "window_closed"
    assert len(samekey_server.requests) == 1


@pytest.mark.parametrize("name", [name for name in NAMES if name != "keyless"])
def test_when_a_key_expires_is_documented_for_every_profile(name: str) -> None:
    """Each row of the reference states a window, from a source, or that nobody has: then a key is never sent late."""
    profile, row = load(name), dict(facts(load(name)))
    assert row["window"]
    if profile.window is None:
        assert UNKNOWN in row["window"]
        assert profile.profile().window_seconds is None
    else:
        assert profile.sources


def test_logs_show_the_prevention_and_nothing_sensitive(
    samekey_server: FlakyServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": "Bearer s3cret-token"}
    samekey_server.script(Fault.COMMIT_THEN_DROP)
    first = pay(samekey_server.url, headers=headers)
    again = pay(samekey_server.url, headers=headers)
    with pytest.raises(samekey.KeyReusedError):
        pay(samekey_server.url, "29.99", headers=headers)

    events = [record.__dict__.get("event") for record in caplog.records if record.name.startswith("samekey")]
    assert again.replayed
    assert {"wait", "replayed", "failure"} <= set(events)
    assert "pay_invoice: KeyReusedError" in caplog.text
    assert first.key
    said = "\n".join([caplog.text, *(repr(record.__dict__) for record in caplog.records)])
    for secret in ("s3cret-token", "DE02120300000000202051", "29.99", "inv-7", first.key):
        assert secret not in said, f"a log line shows {secret}"
