"""Every situation with every profile: what goes on the wire, what the caller gets, what the record says."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import httpx
import pytest

import samekey
from samekey.providers import load
from samekey.reconcile import looks_up
from tests.client.conftest import AT_ONCE, ONCE, fake_clock
from tests.profiles.apis import Api
from tests.profiles.conftest import KEYED, MUTATION, Build, having, make, make_thing

WITH_WINDOW = [name for name in KEYED if load(name).window is not None]
LOOKED_UP = [name for name in KEYED if looks_up(make_thing, load(name).lookup)]
WITHOUT = [name for name in KEYED if load(name).window is None and name not in {*LOOKED_UP, "gocardless"}]
HOUR = timedelta(hours=1)


def same_bytes(requests: list[httpx.Request]) -> bool:
    return len({(r.method, str(r.url), r.content, tuple(r.headers.raw)) for r in requests}) == 1


@pytest.mark.parametrize("name", KEYED)
def test_the_key_travels_as_the_profile_says_and_the_result_is_the_objects(api: Api, build: Build) -> None:
    action = make(build())
    assert api.keys == [action.key]
    assert (action.reference, action.status, action.replayed) == ("obj_1", samekey.Status.SUCCEEDED, False)
    again = make(build())
    assert (again.reference, again.replayed, len(api.requests)) == ("obj_1", True, 1)


@pytest.mark.parametrize("name", KEYED)
def test_corrected_data_after_a_refusal_get_another_key(api: Api, build: Build) -> None:
    api.script = ["refused"]
    with pytest.raises(samekey.ActionRejectedError):
        make(build())
    with pytest.raises(samekey.ActionRejectedError):
        make(build())
    assert len(api.requests) == 1
    make(build(), amount=2)
    first, second = api.keys
    assert first != second


@pytest.mark.parametrize("name", WITH_WINDOW)
@pytest.mark.parametrize("first", ["lost", "never_came"])
def test_within_the_window_the_same_bytes_go_out_again(api: Api, build: Build, first: str) -> None:
    api.script = [first]
    with pytest.raises(samekey.OutcomeUnknownError):
        make(build())
    action = make(build())
    assert (action.reference, action.recovered) == ("obj_1", True)
    assert (len(api.requests), len(api.effects)) == (2, 1)
    assert same_bytes(api.requests)


@pytest.mark.parametrize("name", WITH_WINDOW)
def test_beyond_the_window_nothing_is_sent(api: Api, build: Build) -> None:
    api.script = ["lost"]
    with pytest.raises(samekey.OutcomeUnknownError):
        make(build())
    late = build()
    assert api.provider.window is not None
    fake_clock(late).passed = api.provider.window.total_seconds()
    with pytest.raises(samekey.NeedsReviewError) as raised:
        make(late)
    assert (raised.value.reason, len(api.requests)) == ("window_closed", 1)


@pytest.mark.parametrize("name", WITHOUT)
def test_a_window_that_nobody_has_stated_permits_no_resend_until_it_is_declared(api: Api, build: Build) -> None:
    api.script = ["lost"]
    with pytest.raises(samekey.NeedsReviewError):
        make(build(retry=AT_ONCE))
    with pytest.raises(samekey.NeedsReviewError, match="nobody has said how long this API remembers a key") as raised:
        make(build())
    assert (raised.value.reason, len(api.requests)) == ("window_unknown", 1)
    action = make(build(window=HOUR))
    assert (action.reference, len(api.effects), same_bytes(api.requests)) == ("obj_1", 1, True)


@pytest.mark.parametrize("name", having("in_progress"))
def test_an_answer_that_says_still_running_is_waited_for(api: Api, build: Build) -> None:
    api.script = ["lost", "running", "running"]
    window = {} if api.provider.window else {"window": HOUR}
    client = build(retry=samekey.RetryPolicy(attempts=9, deadline=200, budget=None), **window)
    clock = fake_clock(client)
    assert make(client).reference == "obj_1"
    assert (len(api.requests), len(api.effects), same_bytes(api.requests)) == (4, 1, True)
    assert min(clock.slept[1:]) >= api.provider.min_wait.total_seconds()


@pytest.mark.parametrize("name", [name for name in having("mismatch") if name not in LOOKED_UP])
def test_a_mismatch_about_our_own_bytes_is_for_a_person(api: Api, build: Build) -> None:
    api.script = ["never_came", "mismatch"]
    window = {} if api.provider.window else {"window": HOUR}
    with pytest.raises(samekey.OutcomeUnknownError):
        make(build(**window))
    with pytest.raises(samekey.NeedsReviewError) as raised:
        make(build(**window))
    assert (raised.value.reason, raised.value.status) == ("server_conflict", samekey.Status.NEEDS_REVIEW)
    with pytest.raises(samekey.NeedsReviewError):
        make(build(**window))
    assert len(api.requests) == 2


@pytest.mark.parametrize("name", having("mismatch"))
def test_a_mismatch_to_the_first_send_is_a_conflict(api: Api, build: Build) -> None:
    api.script = ["mismatch"]
    with pytest.raises(samekey.KeyReusedError) as raised:
        make(build())
    assert (raised.value.by, len(api.requests)) == ("server", 1)


@pytest.mark.parametrize("name", KEYED)
def test_other_data_under_an_open_key_never_leave(api: Api, build: Build) -> None:
    api.script = ["lost"]
    with suppress(samekey.OutcomeUnknownError, samekey.NeedsReviewError):  # a look-up by key finds it at once
        make(build())
    with pytest.raises(samekey.KeyReusedError) as raised:
        make(build(), amount=2)
    changed = ("/Count",) if api.provider.carrier.kind == "form" else ("/amount",)
    assert (raised.value.by, raised.value.changed, len(api.requests)) == ("local", changed, 1)


@pytest.mark.parametrize("name", KEYED)
def test_a_5xx_is_sent_again_only_by_the_profiles_word(api: Api, build: Build) -> None:
    api.script = ["failed"]
    window = {} if api.provider.window else {"window": HOUR}
    client = build(retry=AT_ONCE, **window)
    if api.provider.after_5xx == "resend":
        assert make(client).reference == "obj_1"
        assert (len(api.requests), same_bytes(api.requests)) == (2, True)
        return
    with pytest.raises(samekey.NeedsReviewError) as raised:
        make(client)
    absent = api.provider.name in LOOKED_UP
    assert (raised.value.reason, len(api.requests)) == ("look_up_absent" if absent else "server_error", 1)


@pytest.mark.parametrize("name", having("already_done"))
def test_already_done_is_a_success_with_the_object_that_the_api_names(api: Api, build: Build) -> None:
    api.script = ["lost"]
    with pytest.raises(samekey.OutcomeUnknownError):
        make(build(window=HOUR))
    client = build(window=HOUR)
    with client.action(make_thing, scope={"thing": 7}) as action:
        response = action.post("/things", json={"query": MUTATION, "amount": 1})
    assert (action.reference, action.status, response.json()["id"]) == ("obj_1", samekey.Status.SUCCEEDED, "obj_1")
    assert ([str(read.url) for read in api.reads], len(api.effects)) == (["https://api.example/things/obj_1"], 1)


@pytest.mark.parametrize("name", having("already_done"))
@pytest.mark.parametrize("status", [404, 500, 302])
def test_already_done_stays_a_success_where_the_object_cannot_be_read(api: Api, build: Build, status: int) -> None:
    api.effects.append("")
    api.honest = lambda request: httpx.Response(409, json=body)  # type: ignore[method-assign]
    api.read = lambda request: httpx.Response(status)  # type: ignore[method-assign]
    error = {"reason": "idempotent_creation_conflict", "links": {"conflicting_resource_id": "obj_9"}}
    body = {"error": {"errors": [error]}}
    action = make(build(window=HOUR))
    assert (action.reference, action.status, len(api.requests)) == ("obj_9", samekey.Status.SUCCEEDED, 1)
    again = make(build(window=HOUR))
    assert (again.reference, again.replayed, len(api.requests)) == ("obj_9", True, 1)


@pytest.mark.parametrize("name", having("expired"))
def test_a_key_that_the_api_calls_too_old(api: Api, build: Build) -> None:
    api.script = ["expired"]
    with pytest.raises(samekey.ActionRejectedError):
        make(build())  # the first send: nothing was done, most likely a clock is wrong
    api.script = ["lost", "expired"]
    api.requests.clear()
    with pytest.raises(samekey.OutcomeUnknownError):
        make(build(), 8)
    with pytest.raises(samekey.NeedsReviewError) as raised:
        make(build(), 8)
    assert (raised.value.reason, len(api.requests), len(api.effects)) == ("window_closed", 2, 1)


@pytest.mark.parametrize("name", having("unavailable"))
def test_a_key_store_that_is_down_has_done_nothing(api: Api, build: Build) -> None:
    api.script = ["unavailable"]
    assert make(build(retry=AT_ONCE)).reference == "obj_1"
    assert (len(api.requests), len(api.effects), same_bytes(api.requests)) == (2, 1, True)


BY_KEY = [name for name in having("lookup") if load(name).lookup.kind == "by_key"]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", LOOKED_UP)
def test_the_profiles_own_look_up_settles_what_is_unknown(api: Api, build: Build) -> None:
    api.script = ["lost"]
    action = make(build())
    assert (action.reference, action.status, len(api.requests)) == ("obj_1", samekey.Status.SUCCEEDED, 1)
    assert [list(read.url.params.values()) for read in api.reads] == [[action.key]]
    api.script = ["never_came"]
    other = samekey.Operation("other_thing", scope=("thing",))
    with pytest.raises(samekey.NeedsReviewError) as raised:
        make(build(), operation=other)
    assert raised.value.reason == "look_up_absent"


@pytest.mark.parametrize("name", having("failed"))
@pytest.mark.parametrize("script", [["ended"], ["lost", "ended"]])
def test_what_failed_for_good_is_a_refusal_and_only_another_key_begins_it_anew(
    api: Api, build: Build, script: list[str]
) -> None:
    api.script = list(script)
    client = build(window=HOUR, retry=AT_ONCE)
    with pytest.raises(samekey.ActionRejectedError, match=r"the API refused it with HTTP 200 \(failed\) and") as raised:
        make(client)
    assert (raised.value.status, raised.value.response.status_code) == (samekey.Status.REJECTED, 200)
    with pytest.raises(samekey.ActionRejectedError, match=r"with HTTP 200 \(failed\) on .* was not asked again"):
        make(client)
    assert len(api.requests) == len(script)
    action = make(client, operation=make_thing.replace(on_rejected="new_generation"))
    assert (action.reference, len(api.effects), len(set(api.keys))) == ("obj_1", 1, 2)


@pytest.mark.parametrize("name", having("hint_header"))
def test_the_apis_own_word_on_retries_counts_before_the_status(api: Api, build: Build) -> None:
    api.script = ["told_to_retry", "told_to_retry"]
    assert make(build(retry=AT_ONCE)).reference == "obj_1"
    assert (len(api.requests), len(api.effects), same_bytes(api.requests)) == (3, 1, True)
    api.script = ["told_to_stop"]
    with pytest.raises(samekey.NotSentError):
        make(build(retry=AT_ONCE), 8)
    assert len(api.requests) == 4


@pytest.mark.parametrize("name", having("refused"))
def test_errors_in_a_200_are_a_refusal(api: Api, build: Build) -> None:
    api.script = ["refused_with_200"]
    with pytest.raises(samekey.ActionRejectedError) as raised:
        make(build())
    assert raised.value.status is samekey.Status.REJECTED
    api.script = ["lost", "refused_with_200"]
    with pytest.raises(samekey.NeedsReviewError) as told:
        make(build(retry=AT_ONCE), 8)
    assert (told.value.reason, len(api.effects)) == ("refused_after_unknown", 1)


@pytest.mark.parametrize("name", [name for name in KEYED if load(name).repeat == "rejected"])
def test_a_repeat_that_is_rejected_is_looked_up_and_not_told_as_a_failure(api: Api, build: Build) -> None:
    api.script = ["lost"]
    read, api.read = api.read, lambda request: httpx.Response(503)  # type: ignore[method-assign]
    client = build(window=HOUR, retry=ONCE)
    with pytest.raises(samekey.OutcomeUnknownError):
        make(client)
    api.read = read  # type: ignore[method-assign]
    action = make(client)
    assert (action.reference, action.status) == ("obj_1", samekey.Status.SUCCEEDED)
    assert (len(api.requests), len(api.reads), len(api.effects)) == (2, 1, 1)


@pytest.mark.parametrize("name", [name for name in BY_KEY if load(name).lookup.items_at is not None])  # type: ignore[union-attr]
def test_a_list_that_is_not_there_says_nothing_of_what_would_be_in_it(api: Api, build: Build) -> None:
    api.script = ["lost"]
    api.read = lambda request: httpx.Response(404)  # type: ignore[method-assign]
    stamp = api.provider.lookup.stamp if api.provider.lookup else None
    client = build(window=timedelta(seconds=1))
    with (
        client.action(make_thing.replace(stamp=stamp), scope={"thing": 7}) as action,
        pytest.raises(samekey.NeedsReviewError) as raised,
    ):
        action.post("/things", data={"amount": 1})
    assert raised.value.reason == "look_up_inconclusive"


STAMPED = [name for name in BY_KEY if load(name).lookup.stamp is not None]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", STAMPED)
def test_a_stamped_action_is_found_by_its_stamp_when_its_window_is_over(api: Api, build: Build) -> None:
    stamped = make_thing.replace(stamp="metadata[samekey]")
    api.script = ["lost", "lost"]
    for operation in (stamped, samekey.Operation("unstamped", scope=("thing",))):
        with build().action(operation, scope={"thing": 7}) as action, pytest.raises(samekey.OutcomeUnknownError):
            action.post("/things", data={"amount": 1})
    late = build()
    fake_clock(late).passed = 100_000.0
    with late.action(stamped, scope={"thing": 7}) as action:
        action.post("/things", data={"amount": 1})
    assert (action.reference, action.status, len(api.requests)) == ("obj_1", samekey.Status.SUCCEEDED, 2)
    with late.action("unstamped", scope={"thing": 7}) as action, pytest.raises(samekey.NeedsReviewError) as raised:
        action.post("/things", data={"amount": 1})
    assert (raised.value.reason, len(api.reads)) == ("window_closed", 1)


@pytest.mark.parametrize("name", [name for name in KEYED if load(name).carrier.first_sent])
def test_the_time_of_the_first_send_does_not_change(api: Api, build: Build) -> None:
    api.script = ["lost"]
    with pytest.raises(samekey.OutcomeUnknownError):
        make(build())
    later = build()
    fake_clock(later).passed = 20.0
    make(later)
    stamps = [request.headers.get_list(api.provider.carrier.first_sent) for request in api.requests]
    assert stamps[0] == stamps[1]
    assert len(stamps[0]) == 1
    assert stamps[0][0].endswith(" GMT")
