"""The failure matrix of `docs/how-to/going-live.md`, row by row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

import samekey
from samekey.testing import Fault, FlakyServer, ManualClock, assert_effects, crash_at
from tests.golive.payments import WINDOW, pay

ONCE = samekey.RetryPolicy(attempts=1)


def test_the_client_times_out_after_a_write_that_succeeded(samekey_server: FlakyServer) -> None:
    samekey_server.script(Fault.STALL)
    with pytest.raises(samekey.OutcomeUnknownError) as raised:
        pay(samekey_server.url, retry=ONCE, timeout=httpx.Timeout(5, read=0.2))
    assert raised.value.retry_safe
    assert pay(samekey_server.url).reference == samekey_server.effects[0].reference
    assert_effects(samekey_server, 1)


def test_a_double_submit(samekey_server: FlakyServer) -> None:
    with ThreadPoolExecutor(2) as pool, samekey_server.hold("before_reply") as held:
        both = [pool.submit(pay, samekey_server.url) for _ in range(2)]
        held.wait_for(1)
        held.release()
        references = {future.result().reference for future in both}
    assert references == {samekey_server.effects[0].reference}
    assert len(samekey_server.requests) == 1


def test_a_worker_that_repeats_a_job(samekey_server: FlakyServer) -> None:
    """Killed when the API had answered and nobody had been told; the queue gives the job to the next worker."""
    crash_at("after_reply", server=samekey_server)(pay, samekey_server.url)
    assert pay(samekey_server.url).reference == samekey_server.effects[0].reference
    assert_effects(samekey_server, 1)


@pytest.mark.parametrize("open_before", [True, False], ids=["open", "done"])
def test_a_payload_that_changed_under_the_same_key(samekey_server: FlakyServer, open_before: bool) -> None:
    if open_before:
        samekey_server.script(Fault.COMMIT_THEN_DROP)
        with pytest.raises(samekey.OutcomeUnknownError):
            pay(samekey_server.url, "19.99", retry=ONCE)
    else:
        pay(samekey_server.url, "19.99")
    with pytest.raises(samekey.KeyReusedError) as raised:
        pay(samekey_server.url, "29.99")
    assert raised.value.changed == ("/amount",)
    assert len(samekey_server.requests) == 1


@pytest.mark.parametrize("keyed", [True, False], ids=["window over", "no keys"])
def test_a_key_that_expires_too_soon(samekey_server: FlakyServer, samekey_clock: ManualClock, keyed: bool) -> None:
    api = {"window": WINDOW} if keyed else {"window": None, "provider": "keyless"}
    samekey_server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises((samekey.OutcomeUnknownError, samekey.NeedsReviewError)):
        pay(samekey_server.url, retry=ONCE, **api)
    samekey_clock.advance(timedelta(days=3))
    samekey_server.forget_keys()
    with pytest.raises(samekey.NeedsReviewError):
        pay(samekey_server.url, **api)
    assert_effects(samekey_server, 1)
    assert len(samekey_server.requests) == 1
