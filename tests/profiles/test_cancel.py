"""Operations that ask for an action to be cancelled by its key, with the APIs that can and with those that cannot."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

import samekey
from samekey.provider import Provider
from samekey.providers import load
from tests.client.conftest import AT_ONCE, fake_clock
from tests.profiles.apis import Api
from tests.profiles.conftest import Build, having, make, make_thing

CANCELS = [name for name in having("lookup") if load(name).lookup.kind == "cancel"]  # type: ignore[union-attr]
HOUR = timedelta(hours=1)

cancelled = make_thing.replace(reconcile="cancel")


@pytest.mark.parametrize("name", CANCELS)
def test_an_operation_that_asks_for_it_is_cancelled_by_its_key_and_left_to_a_person(api: Api, build: Build) -> None:
    api.script = ["lost"]
    with pytest.raises(samekey.NeedsReviewError) as early:
        make(build(retry=AT_ONCE), operation=cancelled)
    assert (early.value.reason, api.effects, len(api.requests)) == ("look_up_inconclusive", [], 1)
    api.script = ["lost"]
    with pytest.raises(samekey.OutcomeUnknownError):
        make(build(window=HOUR), 8, operation=cancelled)
    late = build(window=HOUR)
    fake_clock(late).passed = HOUR.total_seconds()
    with pytest.raises(samekey.NeedsReviewError) as raised:
        make(late, 8, operation=cancelled)
    record = late.record(cancelled, scope={"thing": 8})
    assert record is not None
    assert (raised.value.reason, api.effects, len(api.requests)) == ("look_up_absent", [], 2)
    assert (record.error_summary or "").endswith("/v2/payments/cancel: HTTP 200: cancelled by its key")
    assert [str(read.url) for read in api.reads] == ["https://api.example/v2/payments/cancel"] * 2


@pytest.mark.parametrize("name", CANCELS)
def test_a_cancellation_that_fails_tells_nothing(api: Api, build: Build) -> None:
    api.script = ["lost"]
    api.cancel = lambda key: httpx.Response(404, json={})  # type: ignore[method-assign]
    with pytest.raises(samekey.NeedsReviewError) as raised:
        make(build(retry=AT_ONCE), operation=cancelled)
    assert (raised.value.reason, len(api.effects), len(api.reads)) == ("look_up_inconclusive", 1, 5)


@pytest.mark.parametrize("name", CANCELS)
def test_nothing_is_cancelled_for_an_operation_that_does_not_ask_for_it(api: Api, build: Build) -> None:
    api.script = ["lost"]
    with pytest.raises(samekey.NeedsReviewError):
        make(build())
    assert (api.reads, len(api.effects)) == ([], 1)


@pytest.mark.parametrize("name", CANCELS)
def test_what_the_api_says_has_happened_is_never_cancelled(api: Api, build: Build) -> None:
    done = {"status": 409, "code_at": "done", "id_at": "id"}
    provider = Provider("both", carrier=api.provider.carrier, already_done=[done], lookup=api.provider.lookup)
    api.effects.append("")
    api.honest = lambda request: httpx.Response(409, json={"done": True, "id": "obj_9"})  # type: ignore[method-assign]
    action = make(build(provider=provider, window=HOUR), operation=cancelled)
    assert (action.reference, action.status, api.reads) == ("obj_9", samekey.Status.SUCCEEDED, [])


@pytest.mark.parametrize("name", ["stripe-v1", "increase"])
def test_a_recheck_sends_no_cancellation_to_an_api_that_has_none(api: Api, build: Build) -> None:
    api.script = ["lost", "lost"]
    api.read = lambda request: httpx.Response(503)  # type: ignore[method-assign]
    with pytest.raises((samekey.OutcomeUnknownError, samekey.NeedsReviewError)):
        make(build())
    client = build(operations=[cancelled])
    record = client.record(cancelled, scope={"thing": 7})
    assert record is not None
    reads = len(api.reads)
    with pytest.raises(samekey.UsageError, match="has no look-up"):
        client.recheck(record)
    assert (len(api.requests), len(api.reads)) == (1, reads)


@pytest.mark.parametrize("name", ["stripe-v1", "modern-treasury"])
def test_what_cannot_be_cancelled_by_key_is_not_begun(api: Api, build: Build) -> None:
    with pytest.raises(samekey.UsageError, match=f"{api.provider.name} has no way to cancel by key"):
        make(build(), operation=cancelled)
    assert api.requests == []
