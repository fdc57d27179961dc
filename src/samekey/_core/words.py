"""The sentences users read: `NAME(scope): what happened, whether anything was sent, what to do next`.

Never a body, a credential, or a URL with its query; times are UTC.
"""

import math
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from samekey._core.fingerprint import volatile_looking
from samekey._core.model import Moment, Record
from samekey._core.plan import Plan
from samekey._core.resolve import DID_NOT_HAPPEN
from samekey._core.states import Status
from samekey._core.verbs import Existing
from samekey.errors import (
    ActionAbandonedError,
    ActionInProgressError,
    ActionRejectedError,
    DuplicateActionError,
    KeyReusedError,
    NeedsReviewError,
    NotSentError,
    OutcomeUnknownError,
    StoreError,
    StoreUnavailableError,
    UsageError,
)

REASONS = {
    "keyless": "this API has no keys",
    "window_closed": "its key has expired or is about to",
    "window_unknown": "nobody has said how long this API remembers a key",
    "clock_jumped": "the clock jumped",
    "server_error": "after this answer the API may have done it and may do it again",
    "refused_after_unknown": "a later try was refused while an earlier one may have come through",
    "server_conflict": "the API contradicts itself",
    "key_reused_by_server": "the API knows its key with other data",
    "key_refused": "the API refused its key, which may have been used elsewhere",
    "look_up_inconclusive": "the look-up was inconclusive",
    "look_up_absent": "the look-up did not find it, which proves nothing yet",
    "effect_after_close": "a success arrived after the action was closed",
    "not_frozen": "its request was not kept",
}
"""Why automation stopped, for the middle of a sentence."""


def clock(moment: datetime | None) -> str:
    """A time to the minute, and whose time it is."""
    return "at an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def seconds(value: float) -> str:
    """A number of seconds, rounded as people do."""
    return f"{value:.0f} s" if value >= 10 or value == int(value) else f"{value:.1f} s"


def context(record: Record, **more: Any) -> dict[str, Any]:
    """What every error says about its action."""
    facts: dict[str, Any] = {
        "key": record.idempotency_key,
        "operation_name": record.operation_name,
        "actor_id": record.actor_id,
        "scope": record.scope,
        "attempts": record.attempts,
        "status": record.status,
        "correlation_id": record.correlation_id,
        "started_at": record.created_at,
        "reference": record.response_reference,
    }
    return facts | more


def before_record(plan: Plan) -> dict[str, Any]:
    """The same, where there is no record."""
    identity = plan.identity
    return {
        "operation_name": identity.operation_name,
        "actor_id": identity.actor_id,
        "scope": identity.scope,
        "correlation_id": plan.correlation_id,
    }


def key_reused(plan: Plan, record: Record, changed: tuple[str, ...]) -> KeyReusedError:
    """The action was started with other data."""
    facts = context(record, changed=changed)
    if changed == ("origin",):
        return KeyReusedError(
            f"{record.label}: was started at {shown_origin(record.origin)}, and its key means nothing at "
            f"{shown_origin(plan.outgoing.origin)}, so nothing was sent; give each environment its own actor= or store=.",
            **facts,
        )
    if changed == ("credential",):
        return KeyReusedError(
            f"{record.label}: was started with another API key, and this API keeps keys per API key, so nothing was "
            f"sent; use the first API key, or give each account its own actor=.",
            **facts,
        )
    volatile = volatile_looking(plan.content, changed)
    hint = f"; if {', '.join(volatile)} differs on every run, declare it volatile" if volatile else ""
    return KeyReusedError(
        f"{record.label}: was started {clock(record.created_at)} with other data ({', '.join(changed[:8])}) and "
        f"{_state(record)}, so nothing was sent; repeat the first data, or name a new action if you mean a second "
        f"effect{hint}.",
        **facts,
    )


def key_moved(plan: Plan, record: Record) -> KeyReusedError:
    """The profile of today puts the key elsewhere, or nowhere."""
    today = "puts keys elsewhere, where the API would not know this one" if plan.profile.keyed else "sends none"
    return KeyReusedError(
        f"{record.label}: its key was sent as the profile {record.provider!r} had it then, and {plan.profile.name!r} "
        f"{today}, so nothing was sent; run it with the first profile, or look at {host(record)} whether it happened.",
        **context(record, changed=("carrier",)),
    )


def _state(record: Record) -> str:
    reference = f" as {record.response_reference}" if record.response_reference else ""
    return {
        Status.IN_FLIGHT: "is being sent",
        Status.SUCCEEDED: f"has succeeded{reference}",
        Status.UNKNOWN: "may have happened",
        Status.NEEDS_REVIEW: "waits for review",
        Status.ABANDONED: "was closed",
    }[record.status]


def key_reused_by_server(record: Record) -> KeyReusedError:
    """The API knows the key with other data."""
    return KeyReusedError(
        f"{record.label}: the API says that this key came with other data, which this store never sent; find who else "
        f"uses this secret or key before you resolve it (samekey show {record.idempotency_key[:8]}).",
        **context(record, by="server"),
    )


def in_progress(existing: Existing, now: Moment) -> ActionInProgressError:
    """A live process is on it."""
    record = existing.record
    since = max(0.0, (now.wall - record.last_seen_at).total_seconds())
    left = 1.0
    if record.lease_expires_at is not None:
        left = max(1.0, (record.lease_expires_at - now.wall).total_seconds())
    who = "this process" if existing.own else _process(record.holder)
    return ActionInProgressError(
        f"{record.label}: {who} has been sending it for {seconds(round(since))}, so nothing was sent here; run it again in "
        f"{seconds(round(left))} to get its result.",
        **context(record, retry_after=left),
    )


def _process(holder: str | None) -> str:
    parts = (holder or "").split(".")
    return f"process {parts[1]}" if len(parts) > 1 and parts[1].isdecimal() else "another process"


def server_in_progress(record: Record, retry_after: float) -> ActionInProgressError:
    """The API is still on it."""
    return ActionInProgressError(
        f"{record.label}: the API is still working on it; run it again in {seconds(retry_after)}, and the same key asks "
        f"for the result.",
        **context(record, retry_after=retry_after),
    )


def duplicate(plan: Plan, other: Record, now: Moment) -> DuplicateActionError:
    """Another action carries the same payload."""
    ago = max(0, round((now.wall - (other.first_sent_at or other.created_at)).total_seconds() / 60))
    return DuplicateActionError(
        f"{plan.identity.label}: the same data was used {ago} min ago by {other.label}, so nothing was sent; if both are "
        f'meant, set duplicates="allow".',
        other_key=other.idempotency_key,
        **before_record(plan),
    )


def scope_names_differ(plan: Plan, names: tuple[str, ...]) -> UsageError:
    """The operation is known with other scope names."""
    return UsageError(
        f"{plan.identity.label}: this store knows {plan.identity.operation_name} with the scope {', '.join(names) or '()'}; "
        f"other fields would make other actions out of old ones, so nothing was sent; give those fields, or name a new "
        f"operation.",
        **before_record(plan),
    )


def rejected(record: Record, *, summary: str, stored: bool, in_front: bool) -> ActionRejectedError:
    """The API refused."""
    if stored and record.reason == DID_NOT_HAPPEN:
        text = (
            f"was ruled on {clock(record.completed_at)} not to have happened, while this run was under way; run it again "
            f"to send it under a new key."
        )
    elif stored:
        text = (
            f"the API refused it with {summary} on {clock(record.completed_at)} and was not asked again; change the "
            f'data, or use on_rejected="new_generation" to ask again with the same.'
        )
    elif in_front:
        text = f"the API turned it away with {summary} and nothing happened; mend the cause and run it again."
    else:
        text = f"the API refused it with {summary} and nothing happened; correct the data and run it again."
    return ActionRejectedError(f"{record.label}: {text}", **context(record, retry_safe=in_front))


def rejected_long_ago(record: Record) -> ActionRejectedError:
    """The API refused, or a person ruled so, and the record has been purged since."""
    return ActionRejectedError(
        f"{record.label}: ended without an effect on {clock(record.completed_at)}, and its record has been purged, so "
        f"nothing was sent; name a new action if it is wanted after all.",
        **context(record),
    )


def not_sent(record: Record, *, summary: str, attempts: int, spent: float, retry_after: float | None) -> NotSentError:
    """Nothing was done."""
    answered = summary.startswith("HTTP ")
    tries = f", {attempts} attempts in {seconds(round(spent))}" if attempts > 1 else ""
    when = f"run it again in {seconds(retry_after)}" if retry_after else "run it again whenever you like"
    if answered:
        text = f"{host(record)} turned it away ({summary}{tries}), so nothing was done; {when}."
    else:
        text = f"no connection to {host(record)} ({summary}{tries}), so nothing was sent; {when}."
    return NotSentError(f"{record.label}: {text}", **context(record, retry_after=retry_after))


def unknown(
    record: Record, *, summary: str, retry_after: float | None, retry_until: datetime | None
) -> OutcomeUnknownError:
    """It may have happened."""
    times = "once" if record.attempts == 1 else f"{record.attempts} times"
    until = "" if retry_until is None else f" before {clock(retry_until)}"
    return OutcomeUnknownError(
        f"{record.label}: sent {times} without a usable answer (last: {summary}), so it may have happened; run it "
        f"again{until}, and the same key will tell.",
        **context(record, retry_after=retry_after, retry_until=retry_until),
    )


def absent_too_early(record: Record, evidence: str, wait: float) -> OutcomeUnknownError:
    """A look-up found nothing, and a request may still be on its way."""
    return OutcomeUnknownError(
        f"{record.label}: was sent without a usable answer, and the look-up did not find it ({evidence}), which proves "
        f"nothing yet; run it again in {seconds(math.ceil(wait))}, and it is looked up again.",
        **context(record, retry_after=wait),
    )


def ruled_out(record: Record, evidence: str) -> NotSentError:
    """A look-up showed that it did not happen."""
    return NotSentError(
        f"{record.label}: the look-up shows that nothing was done ({evidence}); run it again, and it is sent under a new "
        f"key.",
        **context(record),
    )


def needs_review(record: Record, reason: str) -> NeedsReviewError:
    """Only a person can tell."""
    sent = clock(record.first_sent_at or record.created_at)
    short = record.idempotency_key[:8]
    if reason == "window_unknown":
        what = f"declare window= as the API's documentation has it and run it again, or look at {host(record)}"
    else:
        what = f"look at {host(record)}, then run 'samekey resolve {short}' with --happened or --did-not-happen"
    return NeedsReviewError(
        f"{record.label}: sent {sent} without a usable answer, and {REASONS.get(reason, reason)}, so it is not sent again; "
        f"{what}.",
        **context(record, reason=reason),
    )


def abandoned(record: Record) -> ActionAbandonedError:
    """A person closed it."""
    return ActionAbandonedError(
        f"{record.label}: was closed on {clock(record.completed_at)}, so nothing was sent; name a new action if it is "
        f"wanted after all.",
        **context(record),
    )


def store_failed(plan: Plan, error: StoreError, record: Record | None, *, uncertain: bool) -> StoreError:
    """The store's own error, told of this action."""
    text = str(error)
    if uncertain:
        text += " Run the same action again, do not do it another way: the store may hold its claim."
    facts = context(record) if record else before_record(plan)
    if isinstance(error, StoreUnavailableError):
        return StoreUnavailableError(f"{plan.identity.label}: {text}", uncertain=uncertain, **facts)
    return type(error)(f"{plan.identity.label}: {text}", **facts)


def host(record: Record) -> str:
    """The host of the record's origin."""
    return urlsplit(record.origin).hostname or record.origin


def shown_origin(origin: str) -> str:
    """An origin as people write it: without the default port."""
    return origin.removesuffix(":443") if origin.startswith("https:") else origin.removesuffix(":80")
