"""What one attempt means: success, refusal, not sent, or unknown unless proven otherwise.

The laws, in the order in which they are asked:

1. Without a complete reply only the trace can prove that nothing was sent; all else is unknown.
2. What the profile recognises by code counts before what a status usually means.
3. A reply from in front of the idempotency layer (401, 429, …) says nothing about an earlier attempt.
4. A refusal settles only if no other attempt is open, or if it is the answer stored under the key (R4).
5. A 5xx is never a refusal, and a resend after it needs the profile's word (R9).
6. A refusal that speaks of the key, or of a request that is running, from an API whose words for that nobody has declared,
   is not about this request: somebody else may have used that key, so it is unknown.
"""

from datetime import datetime
from enum import Enum
from typing import Final

from samekey._core.model import Failure, Reply
from samekey._core.plan import Contract, Detector, Profile
from samekey._core.policy import wait_hint
from samekey._core.reading import (
    MISSING,
    has_aws_code,
    has_code,
    is_html,
    is_json,
    parse_json,
    speaks_of_keys,
    speaks_of_running,
    text_at,
)
from samekey._core.values import fixed
from samekey._core.window import skewed


class Kind(Enum):
    """The meanings an attempt can have."""

    SUCCESS = "success"
    DONE_BEFORE = "done_before"
    REFUSED = "refused"
    IN_FRONT = "in_front"
    NOT_SENT = "not_sent"
    IN_PROGRESS = "in_progress"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"


IN_FRONT_STATUSES: Final = frozenset({401, 407, 421, 425, 428, 429, 431})
"""Answered by what stands in front of an API (auth, limiter, TLS edge): the key was not consumed."""
SOMETIMES_IN_FRONT: Final = frozenset({403, 404, 405, 413, 415})
"""The API's own answer only if it has the API's content type."""
MAYBE_RUNNING: Final = frozenset({409, 423, 425, 429})
"""To a later send of a key: perhaps the earlier one is still being executed."""
CONTRADICTIONS: Final = frozenset({400, 422})
"""To a resend of identical bytes, from an API whose codes nobody knows: perhaps "this key came with other data"."""
NO_BODY: Final = frozenset({204, 205})
_FINAL: Final = (Kind.SUCCESS, Kind.DONE_BEFORE, Kind.REFUSED)  # no set: an enum's member is hashed in Python


@fixed
class Judgement:
    """What one attempt means.

    Attributes:
        kind: the meaning.
        summary: a few words for people: `HTTP 500`, `no answer within 30 s`.
        resend: whether another attempt in this run is allowed by the API's rules, and of use.
        review: why automation must stop at once; "" if it need not.
        hint: seconds the API asked to wait.
        running: whether the reply itself says that the action is being executed.
        skewed: whether the reply's clock and ours differ too much to count a window (R10).
        reference: the object's id, where the reply is not the object but names it.
        about_key: whether it is a refusal of the key, in words that nobody has declared.
    """

    kind: Kind
    summary: str
    resend: bool = False
    review: str = ""
    hint: float | None = None
    running: bool = False
    skewed: bool = False
    reference: str | None = None
    about_key: bool = False


def judge(
    profile: Profile,
    contract: Contract,
    answer: Reply | Failure,
    *,
    alone: bool,
    json_sent: bool,
    now: datetime,
) -> Judgement:
    """Judges one attempt.

    Args:
        profile: the API's rules.
        contract: the operation's rules.
        answer: what the attempt brought.
        alone: whether every other attempt of this key is proven never to have reached the API.
        json_sent: whether the request's body was JSON.
        now: the wall clock.
    """
    if isinstance(answer, Failure):
        return _judge_failure(profile, answer)
    base = _judge_reply(profile, contract, answer, alone=alone, json_sent=json_sent)
    if base.kind in _FINAL and not (base.kind is Kind.REFUSED and _directive(profile, answer) is True):
        return base
    directive = _directive(profile, answer)
    # "Try again" about a refusal: nothing was done by this attempt; of an earlier one it says nothing.
    turned_away = Kind.IN_FRONT if alone else Kind.UNKNOWN
    kind = turned_away if base.kind is Kind.REFUSED else base.kind
    return Judgement(
        kind,
        base.summary,
        resend=directive is not False and (base.resend or kind is not base.kind),
        review=base.review,
        hint=_hint(profile, answer, base, now),
        running=base.running,
        skewed=kind in {Kind.UNKNOWN, Kind.IN_PROGRESS} and skewed(answer.header("date"), now),
        about_key=base.about_key,
    )


def _judge_failure(profile: Profile, failure: Failure) -> Judgement:
    going_on = not failure.interrupted
    if not failure.sent:
        return Judgement(Kind.NOT_SENT, failure.summary, resend=going_on)
    return Judgement(Kind.UNKNOWN, failure.summary, resend=going_on and profile.after_timeout)


def _judge_reply(profile: Profile, contract: Contract, reply: Reply, *, alone: bool, json_sent: bool) -> Judgement:
    summary = f"HTTP {reply.status}"
    known = _recognised(profile, reply, summary, alone=alone)
    if known is not None:
        return known
    if profile.carrier == "graphql" and 200 <= reply.status < 300:
        failed = _graphql(profile, contract, reply, summary, alone=alone)
        if failed is not None:
            return failed
    if 200 <= reply.status < 300:
        return _success(profile, reply, summary, json_sent=json_sent)
    if 300 <= reply.status < 400:
        return _redirect(profile, reply, summary, alone=alone)
    if 400 <= reply.status < 500:
        return _client_error(profile, reply, summary, alone=alone)
    if 500 <= reply.status < 600:
        return _server_error(profile, contract, reply, summary)
    return Judgement(Kind.UNKNOWN, summary)


def _recognised(profile: Profile, reply: Reply, summary: str, *, alone: bool) -> Judgement | None:
    """What the profile knows by code."""
    if _detected(profile.mismatch, reply):
        return _mismatch(summary, alone=alone)
    if _detected(profile.in_progress, reply):
        return Judgement(Kind.IN_PROGRESS, summary, resend=True, running=True)
    done = _detected(profile.already_done, reply)
    if done is not None:
        reference = text_at(reply, done.id_at) if done.id_at else None
        return Judgement(Kind.DONE_BEFORE, f"{summary}: it had happened", reference=reference)
    if _detected(profile.expired, reply):
        turned_away = Judgement(Kind.IN_FRONT, f"{summary}: the key is too old, or a clock is wrong")
        return turned_away if alone else Judgement(Kind.UNKNOWN, summary, review="window_closed")
    if _detected(profile.unavailable, reply):
        return Judgement(Kind.IN_FRONT if alone else Kind.UNKNOWN, summary, resend=True)
    return _refused(profile, reply, summary, alone=alone) if reply.status < 500 else None  # law 5


def _refused(profile: Profile, reply: Reply, summary: str, *, alone: bool) -> Judgement | None:
    """What the profile knows to be a refusal, whatever the status."""
    failed = _detected(profile.failed, reply)
    if failed is not None:
        # It is about the key itself: no attempt under it can have any other end (R4).
        return Judgement(Kind.REFUSED, f"{summary} ({failed.code})" if failed.code else summary)
    if _detected(profile.refused, reply):
        refused = Judgement(Kind.REFUSED, summary)
        return refused if alone else Judgement(Kind.UNKNOWN, summary, review="refused_after_unknown")
    return None


def _hint(profile: Profile, reply: Reply, base: Judgement, now: datetime) -> float | None:
    hint = wait_hint(reply, now)
    if base.running and profile.min_wait_seconds:
        return max(hint or 0.0, profile.min_wait_seconds)
    return hint


def _mismatch(summary: str, *, alone: bool) -> Judgement:
    if alone:
        return Judgement(Kind.MISMATCH, summary, review="key_reused_by_server")
    return Judgement(Kind.UNKNOWN, summary, review="server_conflict")


def _success(profile: Profile, reply: Reply, summary: str, *, json_sent: bool) -> Judgement:
    content_type = reply.header("content-type")
    success = Judgement(Kind.SUCCESS, summary)
    if reply.status == 202 and not profile.accepted:
        return Judgement(Kind.IN_PROGRESS, summary, resend=True, running=True)
    if not reply.body:
        whole = reply.status in NO_BODY or reply.framed
        return success if whole else Judgement(Kind.UNKNOWN, f"{summary} without a body", resend=profile.after_timeout)
    if is_html(content_type) and json_sent:
        return Judgement(Kind.UNKNOWN, f"{summary} with a web page", resend=profile.after_timeout)
    if is_json(content_type) and parse_json(reply) is MISSING:
        return Judgement(Kind.UNKNOWN, f"{summary} with JSON that does not parse", resend=profile.after_timeout)
    return success


def _graphql(profile: Profile, contract: Contract, reply: Reply, summary: str, *, alone: bool) -> Judgement | None:
    """GraphQL has errors with status 200: without `data` nothing was executed, with it nobody knows how much.

    Source: GraphQL specification, October 2021, section 7.1.
    """
    value = parse_json(reply)
    if not isinstance(value, dict) or not value.get("errors"):
        return None
    told = f"{summary} with GraphQL errors"
    if "data" in value:
        return _server_error(profile, contract, reply, told)
    return Judgement(Kind.IN_FRONT if alone else Kind.UNKNOWN, told)


def _redirect(profile: Profile, reply: Reply, summary: str, *, alone: bool) -> Judgement:
    if reply.status == 303 and profile.see_other:
        return Judgement(Kind.SUCCESS, summary)
    if reply.status in {307, 308} and alone:
        return Judgement(Kind.IN_FRONT, summary)
    return Judgement(Kind.UNKNOWN, summary)


def _client_error(profile: Profile, reply: Reply, summary: str, *, alone: bool) -> Judgement:
    status = reply.status
    if status == 408:
        return Judgement(Kind.UNKNOWN, summary, resend=profile.after_timeout)
    if status in IN_FRONT_STATUSES:
        if alone:
            return Judgement(Kind.IN_FRONT, summary, resend=status == 429)
        return Judgement(Kind.UNKNOWN, summary, resend=status in MAYBE_RUNNING)
    declared = not profile.keyed or (profile.mismatch and profile.in_progress)
    running = status in MAYBE_RUNNING
    if alone and not declared and (speaks_of_keys(reply) or (running and speaks_of_running(reply))):  # law 6
        review = "" if running else "key_refused"
        return Judgement(Kind.UNKNOWN, summary, resend=running, review=review, about_key=True)
    if alone:
        in_front = status in SOMETIMES_IN_FRONT and profile.answers_json and not is_json(reply.header("content-type"))
        return Judgement(Kind.IN_FRONT if in_front else Kind.REFUSED, summary)
    if status in profile.stored_refusals or replayed(profile, reply):
        return Judgement(Kind.REFUSED, summary)
    if running:
        return Judgement(Kind.UNKNOWN, summary, resend=True)
    contradicts = status in CONTRADICTIONS and not profile.mismatch
    return Judgement(Kind.UNKNOWN, summary, review="server_conflict" if contradicts else "refused_after_unknown")


def _server_error(profile: Profile, contract: Contract, reply: Reply, summary: str) -> Judgement:
    word = profile.after_5xx if contract.on_server_error == "profile" else contract.on_server_error
    allowed = word == "resend"
    if not allowed or replayed(profile, reply):
        return Judgement(Kind.UNKNOWN, summary, review="server_error" if profile.keyed else "")
    return Judgement(Kind.UNKNOWN, summary, resend=True)


def replayed(profile: Profile, reply: Reply) -> bool:
    """Whether the reply says of itself that it is a stored one. Its silence proves nothing."""
    if profile.replay_marker is None:
        return False
    name, value = profile.replay_marker
    return (reply.header(name.lower()) or "").strip().lower() == value.lower()


def _directive(profile: Profile, reply: Reply) -> bool | None:
    if profile.hint_header is None:
        return None
    return {"true": True, "false": False}.get((reply.header(profile.hint_header.lower()) or "").strip().lower())


def _detected(detectors: tuple[Detector, ...], reply: Reply) -> Detector | None:
    for detector in detectors:  # most profiles have none, and a generator for each list would cost more
        if recognises(detector, reply):
            return detector
    return None


def recognises(detector: Detector, reply: Reply) -> bool:
    """Whether a reply has all that a detector looks for."""
    if detector.status is not None and detector.status != reply.status:
        return False
    if detector.header is not None:
        name, value = detector.header
        if (reply.header(name.lower()) or "").strip().lower() != value.lower():
            return False
    if detector.aws:
        return has_aws_code(reply, detector.code)
    return detector.code_at is None or has_code(reply, detector.code_at, detector.code)
