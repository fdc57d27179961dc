"""A contract that changed between two runs of one action: what differs, and which word counts."""

from samekey._core.model import Record
from samekey._core.plan import Plan


def drift(plan: Plan, record: Record) -> tuple[str, ...]:
    """What today's contract or profile says otherwise than the record's, each in a few words; () if nothing.

    Only what the record keeps, and what counts while it is open: the stricter word, or the record's.
    """
    if record.settled:
        return ()
    told = []
    if record.volatile != plan.contract.volatile:
        told.append(f"volatile {_names(record.volatile)} → {_names(plan.contract.volatile)}: the record's counts")
    # What an answer has forbidden (0) is nobody's contract.
    if record.window_seconds not in {plan.window_seconds, 0.0}:
        words = f"window {_seconds(record.window_seconds)} → {_seconds(plan.window_seconds)}"
        told.append(f"{words}: the shorter counts")
    if record.max_delay_seconds != plan.max_delay_seconds:
        words = f"max_delay {_seconds(record.max_delay_seconds)} → {_seconds(plan.max_delay_seconds)}"
        told.append(f"{words}: the longer counts")
    if record.provider != plan.profile.name:
        told.append(f"provider {record.provider} → {plan.profile.name}: today's rules count")
    if record.guarded is not (plan.contract.duplicates != "allow"):
        told.append("duplicates: the record takes part in the search as it was declared then")
    return tuple(told)


def _names(names: tuple[str, ...]) -> str:
    return " ".join(names) or "none"


def _seconds(value: float | None) -> str:
    return "undeclared" if value is None else f"{value:.0f} s"
