"""The signals: what they are made of, what moves them, and what to do. Pure; a store's `Tally` goes in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from samekey._core.states import Status
from samekey._core.tally import CONFLICTS, PREVENTED, REPEATS, TAKEN_OVER, Left, Rows, Tally, objects

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The signals of a store: counts since a time, and what is open now.

    Every rate has its numerator and its denominator beside it. A record is one generation of an action. What `purge` has
    made a tombstone counts as a record; its timeline is gone, and with it the events.

    Attributes:
        at: when it was counted, UTC.
        since: records first claimed and events before this time do not count; None for no such time. What is open counts
            however old it is.
        operation: the operation that was counted; None for all of them.
        actions: records first claimed.
        succeeded: of `actions`, confirmed by the API, a look-up or a person.
        rejected: of `actions`, definitely refused.
        begins: how often an action was begun: `actions`, and once for each event that tells of a further begin (`replay`,
            `refused_again`, `awaited`, `in_progress`, `duplicate`, `conflict`, `blocked`, `recovery`,
            `credential_changed`). The denominator of `conflict_rate`.
        conflicts: begins with other data, another destination or another credential than the key was first used with, by
            the store's word or the API's: events `conflict` and `server_conflict`. The numerator of `conflict_rate`.
        prevented_by_record: begins that got the stored result, and sent nothing: events `replay`.
        prevented_by_server: sends that the API answered as a repetition of what it had done: events `server_replay`. Only
            APIs whose profile names a mark of such answers can be heard, so it is a lower bound.
        prevented_by_look_up: effects that a look-up found after their answer was lost: events `found`.
        prevented_by_claim: begins that met another run at work, and got its result or `ActionInProgressError`, or that were
            refused for carrying another action's data (`duplicates="reject"`): events `awaited`, `in_progress`, `duplicate`.
        attempts: sends permitted for `actions`.
        retried: of `actions`, sent more than once. The denominator of `recovery_rate`.
        recovered: of `retried`, those that succeeded. The numerator of `recovery_rate`.
        taken_over: attempts of dead processes that another run went on with: events `recovery`, `credential_changed`.
        expired_key_blocks: resends that were wanted and forbidden, because the API has forgotten the key or is about to:
            events `expired_key`. The numerator of `expired_key_rate`.
        blocked: begins that found an action which waits for a person or for its window to be declared, or which a person
            has closed: events `blocked`.
        writes: pairs of an action and an object it made, as far as references are known. The numerator of
            `writes_per_object`.
        objects: business objects that these pairs stand for: pairs that share their action or their object are one. The
            denominator of `writes_per_object`.
        unchecked_writes: of `succeeded`, those without a reference, and those that went to an object which had a name
            already (all methods but POST); they are neither in `writes` nor in `objects`.
        open_unknowns: actions that may have happened, and whose key may be sent again: status `unknown`.
        oldest_unknown: how long ago the oldest of `open_unknowns` was first sent; None if there is none.
        oldest_unknown_window: how long the API remembers that one's key; None if nobody has said.
        in_flight: actions that are being sent, or were when their process ended.
        review_backlog: actions that only a person can settle: status `needs_review`.
        oldest_review: how long ago the oldest of `review_backlog` was first sent; None if there is none.
        budget_stops: runs that ended because the retry budget of their origin was used up: events `budget_stop`.
        store_latency: seconds that the store takes to look for one record, the middle one of several tries just now; None
            if it was not measured.
    """

    at: datetime
    since: datetime | None = None
    operation: str | None = None
    actions: int = 0
    succeeded: int = 0
    rejected: int = 0
    begins: int = 0
    conflicts: int = 0
    prevented_by_record: int = 0
    prevented_by_server: int = 0
    prevented_by_look_up: int = 0
    prevented_by_claim: int = 0
    attempts: int = 0
    retried: int = 0
    recovered: int = 0
    taken_over: int = 0
    expired_key_blocks: int = 0
    blocked: int = 0
    writes: int = 0
    objects: int = 0
    unchecked_writes: int = 0
    open_unknowns: int = 0
    oldest_unknown: timedelta | None = None
    oldest_unknown_window: timedelta | None = None
    in_flight: int = 0
    review_backlog: int = 0
    oldest_review: timedelta | None = None
    budget_stops: int = 0
    store_latency: float | None = None

    @property
    def conflict_rate(self) -> float | None:
        """`conflicts` ÷ `begins`; None if nothing was begun."""
        return _ratio(self.conflicts, self.begins)

    @property
    def duplicates_prevented(self) -> int:
        """All that would have been done again: by record, server, look-up and claim together."""
        return self.prevented_by_record + self.prevented_by_server + self.prevented_by_look_up + self.prevented_by_claim

    @property
    def recovery_rate(self) -> float | None:
        """`recovered` ÷ `retried`; None if nothing was sent twice."""
        return _ratio(self.recovered, self.retried)

    @property
    def resends(self) -> int:
        """Sends after the first one of an action."""
        return max(0, self.attempts - self.actions)

    @property
    def expired_key_rate(self) -> float | None:
        """`expired_key_blocks` ÷ resends that were wanted, sent or blocked; None if none was."""
        return _ratio(self.expired_key_blocks, self.resends + self.expired_key_blocks)

    @property
    def writes_per_object(self) -> float | None:
        """`writes` ÷ `objects`: 1.0, or there are duplicates (`samekey audit`). None if no reference is known."""
        return _ratio(self.writes, self.objects)


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


@dataclass(frozen=True, slots=True)
class Signal:
    """The definition of one signal.

    Attributes:
        title: its name, for people.
        numerator: what is counted.
        denominator: what it is compared with; "" if it is a plain number.
        moves: what makes it rise or fall.
        act: what to do.
    """

    title: str
    numerator: str
    denominator: str
    moves: str
    act: str


SIGNALS: Final = {
    "conflict_rate": Signal(
        "Conflict rate",
        "begins of a known action with other data, another destination or another credential (`conflicts`)",
        "all begins (`begins`)",
        "a scope that leaves out what makes the action this one; a changing field that is not declared volatile; two "
        "programs that share a scope; sandbox and live in one store",
        "read `changed` on the `KeyReusedError`; widen the scope, declare the field volatile, or give each program its own "
        "actor",
    ),
    "duplicates_prevented": Signal(
        "Duplicates prevented",
        "begins and sends that would have been a second effect: stopped by the stored record, recognised by the API, found "
        "by a look-up, or turned away at the claim (`prevented_by_…`)",
        "",
        "reruns, crashes, lost answers and jobs that are started twice; more of them mean that more goes wrong around the "
        "script, and that it costs nothing",
        "nothing; if *claim* rises, see who starts the same job twice at once",
    ),
    "recovery_rate": Signal(
        "Retry recoveries",
        "actions that were sent more than once and succeeded (`recovered`)",
        "actions that were sent more than once (`retried`)",
        "time-outs and 5xx that pass make it rise; an API that is down for longer than the retry policy waits makes it fall",
        "if it falls, look at what is open; give `RetryPolicy` a longer deadline, or run `samekey recover` later",
    ),
    "expired_key_blocks": Signal(
        "Expired-key blocks",
        "resends that were forbidden because the API has forgotten the key, or is about to (`expired_key_blocks`)",
        "resends that were wanted: sent or blocked (`resends` + `expired_key_blocks`)",
        "scripts that are run again too late for the window; a window that is declared too short; clocks that jump",
        "run scripts again, or `samekey recover`, well within the window; give the operation a look-up",
    ),
    "writes_per_object": Signal(
        "Writes per business object",
        "pairs of an action and an object that it made (`writes`)",
        "business objects: pairs that share their action or their object are one (`objects`)",
        "only real duplicates: two references for one action, or one reference for two actions",
        "it must be 1.00; else run `samekey audit`, which names them, and undo one of each",
    ),
    "open_unknowns": Signal(
        "Open unknowns",
        "actions that may have happened, and whose key may be sent again (`open_unknowns`), with the age of the oldest",
        "of the oldest one: the window of its key (`oldest_unknown_window`)",
        "lost answers that no rerun has cleared up yet",
        "run the script again, or `samekey recover --send`, before the window closes; then only a person can tell",
    ),
    "review_backlog": Signal(
        "Review backlog",
        "actions that only a person can settle (`review_backlog`), with the age of the oldest",
        "",
        "APIs without keys, answers after which a resend is forbidden, windows that have closed",
        "`samekey review`; a look-up (`reconcile=`) settles most of them by itself",
    ),
    "budget_stops": Signal(
        "Budget stops",
        "runs that ended because the retry budget of their origin was used up (`budget_stops`)",
        "",
        "an API that fails for many actions at once",
        "let it recover; the actions stay open under their keys, and a later run goes on with them",
    ),
    "store_latency": Signal(
        "Store latency",
        "seconds to look for one record, the middle one of several tries just now (`store_latency`)",
        "",
        "a slow or distant disk or server, and others that write",
        "keep SQLite on a local disk; the time of each verb is in OpenTelemetry's `samekey.store.duration`",
    ),
}
"""The signals by name, in the order in which they are shown."""


def stats_of(
    tally: Tally,
    *,
    at: datetime,
    since: datetime | None = None,
    operation: str | None = None,
    store_latency: float | None = None,
) -> Stats:
    """The signals of what was counted.

    Args:
        tally: the store in numbers; all stretches of time are added up.
        at: now.
        since: as the tally was asked for.
        operation: only this one of the tally's operations; None for all.
        store_latency: seconds, if it was measured.
    """
    rows = _sum(rows for (name, _), rows in tally.rows.items() if operation in {None, name})
    events: dict[str, int] = {}
    for (name, _, kind), count in tally.events.items():
        if operation in {None, name}:
            events[kind] = events.get(kind, 0) + count
    prevented = dict.fromkeys(PREVENTED.values(), 0)
    for kind, way in PREVENTED.items():
        prevented[way] += events.get(kind, 0)
    left = {
        status: _joined(each for (name, its), each in tally.left.items() if its is status and operation in {None, name})
        for status in (Status.UNKNOWN, Status.NEEDS_REVIEW, Status.IN_FLIGHT)
    }
    unknown, review = left[Status.UNKNOWN], left[Status.NEEDS_REVIEW]
    writes = sum(count for name, count in tally.writes.items() if operation in {None, name})
    clashes = objects(clash for clash in tally.clashes if operation in {None, clash.operation_name})
    window = unknown.window_seconds if unknown else None
    return Stats(
        at=at,
        since=since,
        operation=operation,
        actions=rows.actions,
        succeeded=rows.succeeded,
        rejected=rows.rejected,
        begins=rows.actions + sum(events.get(kind, 0) for kind in REPEATS),
        conflicts=sum(events.get(kind, 0) for kind in CONFLICTS),
        prevented_by_record=prevented["record"],
        prevented_by_server=prevented["server"],
        prevented_by_look_up=prevented["look_up"],
        prevented_by_claim=prevented["claim"],
        attempts=rows.attempts,
        retried=rows.retried,
        recovered=rows.recovered,
        taken_over=sum(events.get(kind, 0) for kind in TAKEN_OVER),
        expired_key_blocks=events.get("expired_key", 0),
        blocked=events.get("blocked", 0),
        writes=writes,
        objects=writes - sum(len(group) - 1 for group in clashes),
        unchecked_writes=rows.unchecked,
        open_unknowns=unknown.count if unknown else 0,
        oldest_unknown=at - unknown.oldest if unknown else None,
        oldest_unknown_window=None if window is None else timedelta(seconds=window),
        in_flight=in_flight.count if (in_flight := left[Status.IN_FLIGHT]) else 0,
        review_backlog=review.count if review else 0,
        oldest_review=at - review.oldest if review else None,
        budget_stops=events.get("budget_stop", 0),
        store_latency=store_latency,
    )


def operations_of(tally: Tally) -> list[str]:
    """The operations that were counted."""
    names = {name for name, _ in tally.rows} | {name for name, _, _ in tally.events} | {name for name, _ in tally.left}
    return sorted(names)


def _sum(rows: Iterable[Rows]) -> Rows:
    total = Rows()
    for each in rows:
        total += each
    return total


def _joined(parts: Iterable[Left]) -> Left | None:
    """Several operations' records of one state, as one."""
    listed = list(parts)
    if not listed:
        return None
    oldest = min(listed, key=lambda each: each.oldest)
    return Left(sum(each.count for each in listed), oldest.oldest, oldest.window_seconds)
