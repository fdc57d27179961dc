"""What a probe has learned, as the fields of a profile. What was not seen is not stated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from samekey._core.classify import Kind, recognises
from samekey._core.reading import is_json
from samekey.providers import facts as words

if TYPE_CHECKING:
    from samekey.provider import Provider
    from samekey.testing._probe.judging import Judge
    from samekey.testing._probe.story import Story
    from samekey.testing._probe.wire import Answer, Wire

_CONFLICTS: Final = frozenset({409, 423})
"""Statuses that mean "still running" without a code, to one of two equal requests."""


def learn(provider: Provider, wire: Wire, story: Story, judge: Judge, retention: float | None) -> dict[str, Any]:
    """The fields of a `Provider` that were seen, for JSON; none if it cannot be told whether the key is honoured."""
    honours = None if story.stopped else judge.honours
    if honours is None:
        return {}
    found: dict[str, Any] = {}
    notes: list[str] = []
    first = story.first.reply
    if honours:
        found["carrier"] = provider.carrier.model_dump(mode="json", exclude_defaults=True) | {
            "kind": provider.carrier.kind,
            "name": provider.carrier.name,
        }
        found["methods"] = [wire.method]
        repeated = _repeated(provider, story, judge)
        found |= repeated | _answers(provider, story, judge, notes)
        _part(found, notes)
        if "later" in story.rounds:
            found |= _expiry(provider, story, judge, retention or 0.0, notes)
    else:
        found["carrier"] = {"kind": "none"}
        if wire.profile.keyed:
            notes.append(f"The key ({words.carrier(provider.carrier)}) did not prevent a second effect.")
    if first is not None and first.body and not is_json(first.header("content-type")):
        found["answers"] = "any"
    if notes:
        found["notes"] = notes
    return found


def _repeated(provider: Provider, story: Story, judge: Judge) -> dict[str, Any]:
    again = story.only("again")
    if again.kind is Kind.DONE_BEFORE:
        return {"already_done": _known(provider, "already_done", again)}
    done = judge.done()
    if done is not None:
        return {"already_done": [{"status": again.send.status, "code_at": done[0], "code": done[1], "id_at": done[2]}]}
    if again.marked and not story.first.marked and provider.replay_marker is not None:
        return {"replay_marker": list(provider.replay_marker)}
    marker = judge.marker()
    return {} if marker is None else {"replay_marker": list(marker)}


def _answers(provider: Provider, story: Story, judge: Judge, notes: list[str]) -> dict[str, Any]:
    mismatch, running = _mismatch(provider, story, judge, notes), _running(provider, judge, notes)
    found: dict[str, Any] = {}
    if mismatch:
        found["mismatch"] = mismatch
    elif story.only("other").kind is Kind.SUCCESS and story.made("other").number == 0 and judge.other_is_valid:
        found["silent_mismatch"] = True
    if running:
        found["in_progress"] = running
    return found


def _part(found: dict[str, Any], notes: list[str]) -> None:
    """Takes out what cannot be told apart: one answer has one meaning."""

    def alike(one: str, other: str) -> bool:
        first, second = (
            [{name: value for name, value in each.items() if name != "id_at"} for each in found.get(field, ())]
            for field in (one, other)
        )
        return any(each in second for each in first)

    if alike("in_progress", "mismatch") or alike("in_progress", "already_done"):
        notes.append("A request that is still running is answered like another one under a known key.")
        del found["in_progress"]
        found.pop("mismatch", None)
        found.pop("already_done", None)
    elif alike("mismatch", "already_done"):
        # What is sent again under a key is always the same, so it means that.
        notes.append("Other data under a key are answered like the same data.")
        del found["mismatch"]


def _mismatch(provider: Provider, story: Story, judge: Judge, notes: list[str]) -> list[dict[str, Any]]:
    other = story.only("other")
    if not judge.other_is_valid or story.made("other").number != 0:
        return []
    if other.kind is Kind.MISMATCH:
        return _known(provider, "mismatch", other)
    if other.kind is not Kind.REFUSED:
        return []
    if other.code is None:
        notes.append(f"Other data under a key are answered with {other.send.told}, which has no code to know it by.")
        return []
    return [_by_code(other)]


def _running(provider: Provider, judge: Judge, notes: list[str]) -> list[dict[str, Any]]:
    loser = judge.loser()
    if loser is None:
        return []
    if loser.kind is Kind.IN_PROGRESS and provider.in_progress:
        return _known(provider, "in_progress", loser)
    if loser.kind is not Kind.REFUSED:
        return []
    if loser.code is None:
        if loser.send.status in _CONFLICTS:
            return [{"status": loser.send.status}]
        notes.append(f"The second of two at once was answered with {loser.send.told}, which has no code to know it by.")
        return []
    return [_by_code(loser)]


def _expiry(provider: Provider, story: Story, judge: Judge, seconds: float, notes: list[str]) -> dict[str, Any]:
    later, made = story.only("later"), story.made("later")
    span = words.span(seconds, " ")
    if judge.expired():
        notes.append(f"After {span} the key was too old.")
        return {"after_expiry": "rejected", "expired": _known(provider, "expired", later)}
    if made.number:
        notes.append(f"After {span} the key was forgotten.")
        return {"after_expiry": "executes_as_new"}
    if judge.still_known():
        notes.append(f"After {span} the key was still known; how long it is, is for the API's documentation to say.")
    return {}


def _known(provider: Provider, field: str, answer: Answer) -> list[dict[str, Any]]:
    """Those of the profile's own answers that recognise this one."""
    known = zip(getattr(provider, field), getattr(provider.profile(), field), strict=True)
    return [
        stated.model_dump(mode="json", exclude_defaults=True)
        for stated, detector in known
        if answer.reply is not None and recognises(detector, answer.reply)
    ]


def _by_code(answer: Answer) -> dict[str, Any]:
    if answer.code is None:  # pragma: no cover - asked before
        raise AssertionError
    return {"status": answer.send.status, "code_at": answer.code[0], "code": answer.code[1]}
