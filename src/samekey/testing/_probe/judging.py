"""What was seen, beside what the profile says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from samekey._core.classify import Kind, recognises
from samekey.providers import facts as words
from samekey.testing._probe.codes import path_of
from samekey.testing._probe.values import ProbeFact, ProbeVerdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samekey.provider import Provider
    from samekey.testing._probe.story import Made, Story
    from samekey.testing._probe.wire import Answer, Wire

_MARKERS: Final = re.compile(r"idempoten|replay|repeatab|duplicate", re.IGNORECASE)
_MARK: Final = re.compile(r"[A-Za-z][A-Za-z-]{0,31}")
"""A word, such as `true` or `hit`: a mark is the same for every key."""

_SILENT: Final = "says nothing about the key"

AGREES, DIFFERS = ProbeVerdict.AGREES, ProbeVerdict.DIFFERS
NOT_SEEN, UNKNOWN = ProbeVerdict.NOT_SEEN, ProbeVerdict.UNKNOWN


class Judge:
    """Compares a story with a profile.

    Args:
        provider: the profile.
        wire: how it was spoken to.
        story: what happened.
        retention: seconds that were waited before the last write.
    """

    def __init__(self, provider: Provider, wire: Wire, story: Story, retention: float | None) -> None:
        self._provider = provider
        self._wire = wire
        self._story = story
        self._retention = retention
        self._said = dict(words.facts(provider))

    def facts(self) -> Iterator[ProbeFact]:
        """Every fact that the story came to."""
        done = self._story.rounds
        keyed = self._wire.profile.keyed
        if "again" in done:
            yield self._again()
            yield self._repeated()
            if keyed:
                yield self._marked()
        if "together" in done:
            yield self._other()
            yield self._together()
            yield self._running()
        if "later" in done:
            yield self._later()

    @property
    def honours(self) -> bool | None:
        """Whether the API carries out a key once, whatever comes with it and when; None if it cannot be told."""
        story, keyed = self._story, self._wire.profile.keyed
        again = story.made("again").number
        other = story.made("other").number if keyed else None
        together = story.made_together().number if keyed else None
        if again or other or (together or 0) > 1:
            return False
        known = story.only("again").succeeded or self.done() is not None
        return True if (again, together) == (0, 1) and known and self.at_once else None

    @property
    def at_once(self) -> bool:
        """Whether the answers to two at once say anything about the key."""
        return all(answer.tells for answer in self._story.rounds["together"].answers)

    @property
    def other_is_valid(self) -> bool:
        """Whether the API takes the changed body, under a key of its own."""
        return any(answer.succeeded for answer in self._story.rounds["together"].answers)

    def loser(self) -> Answer | None:
        """Of two at once, the one that was turned away while the other was carried out."""
        both = self._story.rounds["together"].answers
        losers = [answer for answer in both if not answer.succeeded]
        return losers[0] if len(losers) == 1 else None

    def done(self) -> tuple[str, str, str] | None:
        """Where a refusal of the repetition has its code, the code, and where it names the object that the first made.

        Any other refusal may be about the data: an API without keys may refuse two customers of one name.
        """
        again, reference = self._story.only("again"), self._story.first.reference
        if again.kind is not Kind.REFUSED or again.reply is None or again.code is None or reference is None:
            return None
        place = path_of(again.reply, reference)
        return None if place is None or self._wire.secrets.in_(place) else (*again.code, place)

    def marker(self) -> tuple[str, str] | None:
        """A header that only the repeated answer has, and that reads like a mark."""
        first, again = self._story.first.reply, self._story.only("again").reply
        if first is None or again is None:
            return None
        for name, value in again.headers:
            tells = _MARKERS.search(name) and _MARK.fullmatch(value) and first.header(name) != value
            if tells and not self._wire.secrets.in_(value):
                return name, value
        return None

    def expired(self) -> bool:
        """Whether the late repetition was answered with what the profile calls a key too old."""
        reply = self._story.only("later").reply
        return reply is not None and any(recognises(each, reply) for each in self._wire.profile.expired)

    def still_known(self) -> bool:
        """Whether the late repetition was answered as the early one was."""
        later, again = self._story.only("later"), self._story.only("again")
        return later.tells and later.kind is again.kind and self._story.made("later").number == 0

    # One fact each

    def _again(self) -> ProbeFact:
        made = self._story.made("again")
        keyed = self._wire.profile.keyed
        says = "no second effect" if keyed else "no keys: a second effect"
        if made.number is None:
            return _fact("the same again", says, _unclear(made, self._story.only("again")), NOT_SEEN, made)
        if made.number:
            return _fact("the same again", says, f"a second effect{made}", DIFFERS if keyed else AGREES, made)
        answer = self._story.only("again")
        if not answer.tells:
            return _fact("the same again", says, f"{answer.send.told}, which {_SILENT}", NOT_SEEN, made)
        return _fact("the same again", says, f"no second effect{made}", AGREES if keyed else UNKNOWN, made)

    def _repeated(self) -> ProbeFact:
        first, again = self._story.first, self._story.only("again")
        says = self._said.get("already done", words.UNKNOWN)
        saw = again.send.told
        if again.send.status != first.send.status:
            saw += f" instead of {first.send.status}"
        if first.reply is not None and again.reply is not None:
            saw += f", {'the same' if first.reply.body == again.reply.body else 'another'} body"
        if again.reference is not None and first.reference is not None:
            saw += f", {'the same' if again.reference == first.reference else 'another'} reference"
        verdict = UNKNOWN
        if self._wire.profile.already_done:
            verdict = AGREES if again.kind is Kind.DONE_BEFORE else DIFFERS
        return ProbeFact(name="its answer", says=says, saw=saw, verdict=verdict)

    def _marked(self) -> ProbeFact:
        first, again = self._story.first, self._story.only("again")
        says = self._said["replayed answer"]
        known = self._provider.replay_marker
        name = "replayed answer"
        if again.kind is not Kind.SUCCESS or self._story.made("again").number != 0:
            return ProbeFact(name=name, says=says, saw="nothing was replayed", verdict=NOT_SEEN)
        if known is None:
            found = self.marker()
            saw = "no header that marks it" if found is None else ": ".join(found)
            return ProbeFact(name=name, says=says, saw=saw, verdict=NOT_SEEN if found is None else UNKNOWN)
        if first.marked:
            return ProbeFact(name=name, says=says, saw="the first answer has the mark too", verdict=DIFFERS)
        saw = ": ".join(known) if again.marked else "no such mark"
        return ProbeFact(name=name, says=says, saw=saw, verdict=AGREES if again.marked else DIFFERS)

    def _other(self) -> ProbeFact:
        name, says = "other data under the key", self._said["other data under the key"]
        answer, made = self._story.only("other"), self._story.made("other")
        if not self.other_is_valid:
            saw = f"{answer.send.told}; the other data were not taken under a new key either"
            return _fact(name, says, saw, NOT_SEEN, made)
        if made.number:
            return _fact(name, says, f"{answer.send.told}: carried out{made}", DIFFERS, made)
        # "Still running", of a write that has its result, is meant for the other data.
        running = answer.kind is Kind.IN_PROGRESS and not self._story.only("again").succeeded
        if running or not answer.tells:
            return _fact(name, says, answer.send.told, NOT_SEEN, made)
        if answer.kind is Kind.MISMATCH:
            return _fact(name, says, answer.send.told, AGREES, made)
        if answer.kind is Kind.SUCCESS:
            if made.number is None:
                return _fact(name, says, _unclear(made, answer), NOT_SEEN, made)
            verdict = AGREES if self._provider.silent_mismatch else DIFFERS if self._provider.mismatch else UNKNOWN
            return _fact(name, says, f"{answer.send.told}: the first result, without a word{made}", verdict, made)
        declared = self._provider.mismatch or self._provider.silent_mismatch
        return _fact(name, says, answer.send.told, DIFFERS if declared else UNKNOWN, made)

    def _together(self) -> ProbeFact:
        made = self._story.made_together()
        both = " and ".join(answer.send.told for answer in self._story.rounds["together"].answers)
        if made.number == 1 and self.at_once:
            return _fact("two at once", "one effect", f"one effect{made}", AGREES, made)
        if made.number and made.number > 1:
            return _fact("two at once", "one effect", f"{made.number} effects{made}", DIFFERS, made)
        saw = f"{both}: cannot be told{made}" if made.number is None else f"{both}, which {_SILENT}"
        return _fact("two at once", "one effect", saw, NOT_SEEN, made)

    def _running(self) -> ProbeFact:
        name, says = "still running", self._said["still running"]
        loser = self.loser()
        if loser is None:
            won = all(answer.succeeded for answer in self._story.rounds["together"].answers)
            saw = "both were answered with a result" if won else "neither was carried out"
            return ProbeFact(name=name, says=says, saw=saw, verdict=NOT_SEEN)
        if loser.kind is Kind.IN_PROGRESS:
            return ProbeFact(name=name, says=says, saw=loser.send.told, verdict=AGREES)
        if not loser.tells:
            saw = f"{loser.send.told}, which {_SILENT}"
            return ProbeFact(name=name, says=says, saw=saw, verdict=NOT_SEEN)
        verdict = DIFFERS if self._provider.in_progress else UNKNOWN
        return ProbeFact(name=name, says=says, saw=loser.send.told, verdict=verdict)

    def _later(self) -> ProbeFact:
        seconds = self._retention or 0.0
        name = f"after {words.span(seconds, ' ')}"
        says = f"window {self._said['window']}"
        if self._provider.after_expiry:
            says += f", then {self._said['afterwards']}"
        made, answer = self._story.made("later"), self._story.only("later")
        window = None if self._provider.window is None else self._provider.window.total_seconds()
        if self.expired():
            saw, end = f"{answer.send.told}: too old", "rejected"
        elif made.number:
            saw, end = f"carried out anew{made}", "executes_as_new"
        elif self.still_known():
            return _fact(name, says, f"still known{made}", UNKNOWN if window is None else AGREES, made)
        else:
            return _fact(name, says, _unclear(made, answer), NOT_SEEN, made)
        # The window began with the first write.
        if window is not None and seconds + self._story.lead < window:
            return _fact(name, says, saw, DIFFERS, made)
        stated = self._provider.after_expiry
        verdict = UNKNOWN if stated is None else AGREES if stated in {end, "not_guaranteed"} else DIFFERS
        return _fact(name, says, saw, verdict, made)


def _fact(name: str, says: str, saw: str, verdict: ProbeVerdict, made: Made) -> ProbeFact:
    return ProbeFact(name=name, says=says, saw=saw, verdict=verdict, counted=made.counted)


def _unclear(made: Made, answer: Answer) -> str:
    return f"{answer.send.told}: cannot be told{made}" if made.number is None else answer.send.told
