"""What a mutant is: the source with one rule or one guard taken out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SIMULATION = "simulation"
"""Instead of a test: the seeded histories of `tests/simulation` must break a promise."""

PACKAGE = Path("src") / "samekey"


@dataclass(frozen=True)
class Edit:
    """One replacement.

    Attributes:
        file: below `src/samekey`.
        old: what is there now, and only once.
        new: what stands there in the mutant.
    """

    file: str
    old: str
    new: str

    def found_in(self, root: Path) -> int:
        """How often the old text occurs."""
        return (root / PACKAGE / self.file).read_text(encoding="utf-8").count(self.old)


@dataclass(frozen=True)
class Mutant:
    """A bug on purpose.

    Attributes:
        name: for the command line.
        removes: the rule ("R1", …) or, in a few words, the guard that it takes out.
        edits: what makes the mutant; more than one only where one guard stands behind another.
        finder: SIMULATION, or what pytest is asked to run.
        by_hand: whether it is a slip as a person would make it, and not a rule that is gone.
    """

    name: str
    removes: str
    edits: tuple[Edit, ...]
    finder: str
    by_hand: bool = False

    @property
    def is_rule(self) -> bool:
        """Whether it takes out a rule of the protocol."""
        return self.removes[:1] == "R" and self.removes[1:].rstrip("b").isdecimal()

    def missing(self, root: Path) -> list[str]:
        """Which of its texts do not occur once."""
        return [
            f"{self.name}: {edit.file} has {count} times, and not once: {edit.old!r}"
            for edit in self.edits
            if (count := edit.found_in(root)) != 1
        ]


def rule(name: str, removes: str, file: str, old: str, new: str, *more: Edit) -> Mutant:
    """A mutant that a history must break a promise with."""
    return Mutant(name, removes, (Edit(file, old, new), *more), SIMULATION)


def by_hand(name: str, slip: str, file: str, old: str, new: str) -> Mutant:
    """A slip that a history must break a promise with."""
    return Mutant(name, slip, (Edit(file, old, new),), SIMULATION, by_hand=True)


def guard(name: str, removes: str, file: str, old: str, new: str, finder: str, *more: Edit) -> Mutant:
    """A mutant that a test must fail with."""
    return Mutant(name, removes, (Edit(file, old, new), *more), finder)
