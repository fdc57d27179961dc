"""The signals in the text format of Prometheus, for the textfile collector of a node exporter.

All are gauges: they are counted from what the store has now, and fall when `purge` forgets a timeline. No key, scope, actor
or URL is a label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from samekey._core.tally import PREVENTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from samekey.telemetry.signals import Stats

Sample = tuple[str, float | None]

_FAMILIES: Final[dict[str, tuple[str, Callable[[Stats], Sequence[Sample]]]]] = {
    "samekey_actions": ("Records first claimed.", lambda stats: [("", stats.actions)]),
    "samekey_succeeded": ("Records whose effect is confirmed.", lambda stats: [("", stats.succeeded)]),
    "samekey_rejected": ("Records that were definitely refused.", lambda stats: [("", stats.rejected)]),
    "samekey_begins": ("How often an action was begun.", lambda stats: [("", stats.begins)]),
    "samekey_conflicts": ("Begins with other data under a known key.", lambda stats: [("", stats.conflicts)]),
    "samekey_duplicates_prevented": (
        "Begins and sends that would have been a second effect, by what prevented it.",
        lambda stats: [
            (f'by="{way}"', getattr(stats, f"prevented_by_{way}")) for way in dict.fromkeys(PREVENTED.values())
        ],
    ),
    "samekey_attempts": ("Sends permitted.", lambda stats: [("", stats.attempts)]),
    "samekey_retried": ("Records that were sent more than once.", lambda stats: [("", stats.retried)]),
    "samekey_recovered": (
        "Records that were sent more than once and succeeded.",
        lambda stats: [("", stats.recovered)],
    ),
    "samekey_taken_over": (
        "Attempts of dead processes that were gone on with.",
        lambda stats: [("", stats.taken_over)],
    ),
    "samekey_expired_key_blocks": (
        "Resends forbidden because the API has forgotten the key.",
        lambda stats: [("", stats.expired_key_blocks)],
    ),
    "samekey_blocked": ("Begins of actions that are held or closed.", lambda stats: [("", stats.blocked)]),
    "samekey_writes": ("Pairs of an action and an object that it made.", lambda stats: [("", stats.writes)]),
    "samekey_objects": ("Business objects that these pairs stand for.", lambda stats: [("", stats.objects)]),
    "samekey_unchecked_writes": (
        "Confirmed writes that name no object of their own.",
        lambda stats: [("", stats.unchecked_writes)],
    ),
    "samekey_open_unknowns": (
        "Actions that may have happened and can still be cleared up by their key.",
        lambda stats: [("", stats.open_unknowns)],
    ),
    "samekey_oldest_unknown_age_seconds": (
        "Seconds since the oldest open unknown was first sent.",
        lambda stats: [("", stats.oldest_unknown.total_seconds() if stats.oldest_unknown is not None else None)],
    ),
    "samekey_oldest_unknown_window_seconds": (
        "Seconds that the API remembers the key of the oldest open unknown.",
        lambda stats: [
            ("", stats.oldest_unknown_window.total_seconds() if stats.oldest_unknown_window is not None else None)
        ],
    ),
    "samekey_in_flight": (
        "Actions being sent, or left by a process that ended.",
        lambda stats: [("", stats.in_flight)],
    ),
    "samekey_review_backlog": ("Actions that only a person can settle.", lambda stats: [("", stats.review_backlog)]),
    "samekey_oldest_review_age_seconds": (
        "Seconds since the oldest action for review was first sent.",
        lambda stats: [("", stats.oldest_review.total_seconds() if stats.oldest_review is not None else None)],
    ),
    "samekey_budget_stops": ("Runs that ended with the retry budget.", lambda stats: [("", stats.budget_stops)]),
}

_LATENCY: Final = "samekey_store_latency_seconds"
_TIME: Final = "samekey_stats_timestamp_seconds"


def text_of(by_operation: Sequence[Stats], whole: Stats) -> str:
    """A text file: one sample for each operation and signal, and what concerns the store as a whole.

    Args:
        by_operation: the signals of each operation, each with its `operation`.
        whole: the signals of all of them together.
    """
    lines: list[str] = []
    for name, (text, samples) in _FAMILIES.items():
        lines += _family(name, text)
        lines += [
            f"{name}{{{_labels(stats, more)}}} {_number(value)}"
            for stats in by_operation
            for more, value in samples(stats)
            if value is not None
        ]
    if whole.store_latency is not None:
        lines += _family(_LATENCY, "Seconds to look for one record in the store.")
        lines.append(f"{_LATENCY} {_number(whole.store_latency)}")
    lines += _family(_TIME, "When the store was counted, in seconds since 1970.")
    lines.append(f"{_TIME} {_number(whole.at.timestamp())}")
    return "\n".join(lines) + "\n"


def _family(name: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} gauge"


def _labels(stats: Stats, more: str) -> str:
    return ",".join(filter(None, (f'operation="{escaped(stats.operation or "")}"', more)))


def escaped(text: str) -> str:
    """A label's value, as the format has it; half a surrogate pair has no bytes in UTF-8."""
    kept = text.encode("utf-8", "replace").decode()
    return kept.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
