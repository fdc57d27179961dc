"""What happened in a probe, and how many effects each part of it had."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from samekey._core.classify import Kind

if TYPE_CHECKING:
    from samekey.testing._probe.values import ProbeSend, Step
    from samekey.testing._probe.wire import Answer

_TURNED_AWAY = frozenset({Kind.REFUSED, Kind.MISMATCH, Kind.IN_PROGRESS, Kind.IN_FRONT, Kind.DONE_BEFORE})
"""Answers that say of themselves that this request made nothing."""


@dataclass(frozen=True, slots=True)
class Round:
    """One write, or two at once, and its effects.

    Attributes:
        answers: one for each write.
        made: the effects that were counted; None if they were not.
    """

    answers: tuple[Answer, ...]
    made: int | None


@dataclass(frozen=True, slots=True)
class Made:
    """How many effects a part of the probe had.

    Attributes:
        number: None if it cannot be told.
        counted: whether they were counted.
        why: by what they were told if not.
    """

    number: int | None
    counted: bool
    why: str = ""

    def __str__(self) -> str:
        return "" if self.counted else f" (not counted: {self.why})"


@dataclass(slots=True)
class Story:
    """What has happened so far.

    Attributes:
        rounds: by step.
        sends: every write.
        notes: what else there is to know.
        stopped: why the probe ended early.
        lead: seconds between the first write and the wait for the retention.
        start: what the look-up said at first.
        total: what it said last; None if it is not to be had, or of no use.
    """

    rounds: dict[Step, Round] = field(default_factory=dict)
    sends: list[ProbeSend] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: str = ""
    lead: float = 0.0
    start: int | None = None
    total: int | None = None

    @property
    def first(self) -> Answer:
        """The answer to the first write."""
        return self.rounds["first"].answers[0]

    def only(self, step: Step) -> Answer:
        """The answer of a step with one write."""
        return self.rounds[step].answers[0]

    @property
    def references_tell(self) -> bool:
        """Whether another object than the first one was seen to have another reference."""
        seen = {answer.reference for each in self.rounds.values() for answer in each.answers}
        return len(seen - {None}) > 1

    def made(self, step: Step) -> Made:
        """The effects of a repetition with one write."""
        counted = self.rounds[step].made
        if counted is not None:
            return Made(counted, counted=True)
        answer = self.only(step)
        if answer.kind in _TURNED_AWAY:
            return Made(0, counted=False, why="the answer names no new object")
        if answer.kind is Kind.SUCCESS and answer.marked and not self.first.marked:
            return Made(0, counted=False, why="the answer says that it is a replay")
        known = None not in {answer.reference, self.first.reference}
        if answer.kind is Kind.SUCCESS and known and self.references_tell:
            same = answer.reference == self.first.reference
            return Made(0 if same else 1, counted=False, why=f"{'the same' if same else 'another'} reference")
        return Made(None, counted=False, why="the answers do not tell one object from another")

    def made_together(self) -> Made:
        """The effects of two writes at once."""
        both = self.rounds["together"]
        if both.made is not None:
            return Made(both.made, counted=True)
        unclear = Made(None, counted=False, why="the answers do not tell one object from another")
        winners = [answer for answer in both.answers if answer.kind is Kind.SUCCESS]
        if not winners:
            return unclear
        if len(winners) == 1:
            return Made(1, counted=False, why="one answer names an object")
        # Of the first object under another key: then these are no references to objects.
        if {None, self.first.reference} & {answer.reference for answer in winners}:
            return unclear
        number = len({answer.reference for answer in winners})
        return Made(number, counted=False, why="the same reference" if number == 1 else "different references")
