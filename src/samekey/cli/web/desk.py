"""The desk without its pages: one action as it is shown, and what becomes of a decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from samekey._core import resolve as rules
from samekey._core.resolve import Decision, Refusal, Ruling
from samekey._core.states import Move, Status
from samekey._drivers.runtime import SystemClock
from samekey.cli.finding import is_alive
from samekey.cli.ruling import RefusedError, carry_out, is_keyless, meaning, user, weigh
from samekey.cli.sheet import advice, facts
from samekey.cli.timeline import timeline
from samekey.cli.web.forms import Filled, Stamps, faults, ruling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from samekey._core.model import Moment, Record
    from samekey.cli.timeline import Line
    from samekey.cli.web.forms import Stamp
    from samekey.stores import Store

_WORDS: Final = {
    Decision.HAPPENED: ("It happened", "You looked, and the effect is there."),
    Decision.DID_NOT_HAPPEN: ("It did not happen", "You looked: the effect is not there, and is not on its way."),
    Decision.TRY_AGAIN: ("Try again", "Nobody knows, and the API still remembers the key."),
    Decision.ABANDON: ("Abandon it", "It is not wanted any more, whether it happened or not."),
}
_MENDED: Final = "The API refused it, and the cause is mended."
_DUPLICATE: Final = " If you are wrong, that makes a duplicate."


@dataclass(frozen=True, slots=True)
class Option:
    """One decision, as the page offers it.

    Attributes:
        value: the decision.
        title: its name.
        when: when it is the right one.
        move: what it would do, in one word, to be compared when it is made; empty if it is not possible.
        means: what it would do, or why it is not possible.
    """

    value: str
    title: str
    when: str
    move: str
    means: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One action, as the page shows it.

    Attributes:
        record: the action.
        facts: what is known of it, names and values.
        lines: its timeline.
        advice: what to do next.
        options: what can be decided; none of them possible where nothing is left to decide.
        stamp: goes into the form.
        filled: what the person has filled in before.
        faults: what is wrong with that, by field.
        refused: why their decision was not carried out.
    """

    record: Record
    facts: Sequence[tuple[str, str]]
    lines: Sequence[Line]
    advice: str
    options: Sequence[Option]
    stamp: Stamp
    filled: Filled
    faults: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""

    @property
    def open(self) -> bool:
        """Whether anything can be decided."""
        return any(option.move for option in self.options)


class Desk:
    """The store, and what people decide about it. May be used from any thread.

    Args:
        store: where the records are.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._stamps = Stamps()
        self._clock = SystemClock()

    def now(self) -> Moment:
        """The clocks."""
        return self._clock.now()

    def find(self, key: str) -> Record | None:
        """The action with exactly this key."""
        if not key:
            return None  # the beginning of all
        return next((row for row in self.store.find(key_prefix=key) if row.idempotency_key == key), None)

    def show(
        self,
        record: Record,
        filled: Filled | None = None,
        *,
        faults: Mapping[str, str] | None = None,
        refused: str = "",
    ) -> Shown:
        """Everything that the page says of an action."""
        alive = is_alive(self.store, record)
        return Shown(
            record,
            [(name, value) for name, value in facts(record, alive=alive) if value],
            timeline(record, self.store.events(record.idempotency_key)),
            advice(record, alive=bool(alive), then=" decide below."),
            _options(record, self.now()),
            self._stamps.make(record),
            filled or Filled(by=user()),
            faults or {},
            refused,
        )

    def is_ours(self, filled: Filled, key: str) -> bool:
        """Whether the form is one that this desk made, for this action."""
        return self._stamps.fits(filled.stamp, key)

    def decide(self, record: Record, filled: Filled) -> Shown | None:
        """Carries a decision out.

        Returns:
            None if it was; else the action as it is now, with what is wrong.
        """
        wrong = faults(filled)
        if wrong:
            return self.show(record, filled, faults=wrong)
        if record.claim_nonce == filled.nonce:
            return None  # the same form, sent twice
        try:
            resolution = weigh(
                self.store, record, ruling(filled, record), seen=filled.stamp.seen, now=self.now()
            )  # fmt: skip
            if resolution.move.value != filled.move:
                raise RefusedError(
                    f"{record.label}: while the page was open, the time had passed in which your decision does what the page "
                    f"said. Now: {meaning(record, resolution)} So it was not carried out; if that is what you mean, decide again."
                )
            carry_out(self.store, record, resolution)
        except RefusedError as error:
            return self.show(self.find(record.idempotency_key) or record, filled, refused=str(error))
        return None


def _options(record: Record, now: Moment) -> list[Option]:
    """The decisions, first those that are possible."""
    offered = [_option(record, decision, now) for decision in Decision]
    return sorted(offered, key=lambda option: not option.move)


def _option(record: Record, decision: Decision, now: Moment) -> Option:
    title, when = _WORDS[decision]
    if decision is Decision.TRY_AGAIN and record.status is Status.REJECTED:
        when = _MENDED
    reference = "" if decision is Decision.HAPPENED else None
    blank = Ruling(decision=decision, by="", nonce="", reference=reference, keyless=is_keyless(record))
    found = rules.resolve(record, blank, now)
    if isinstance(found, Refusal):
        return Option(decision.value, title, when, "", f"Not possible: {found.text}.")
    risk = _DUPLICATE if found.move is Move.RULED_OUT else ""
    return Option(decision.value, title, when, found.move.value, meaning(record, found) + risk)
