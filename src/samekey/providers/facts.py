"""A profile's facts in words, for the command line and the reference page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from samekey.provider import Answer, Carrier, Endpoint, Provider

UNKNOWN: Final = "unknown"
"""What a fact says that nobody has stated. samekey then takes the careful way."""

_TIERS: Final = {
    "P": "the provider's own documentation or source",
    "S": "secondary sources",
    "probed": "seen in a sandbox, not documented",
}
_STORED: Final = {
    "all": "every answer, errors too",
    "2xx_4xx": "2xx and 4xx; a 5xx is executed again",
    "success_only": "successes only; after an error the next request executes",
    "reexecutes_failures": "successes only; a failed request is executed again under its key",
}
_REPEATED: Final = {
    "stored": "the stored answer",
    "current": "the object in its present state",
    "conflict": "a conflict that names the object",
    "rejected": "a rejection",
}
_EXPIRED: Final = {
    "executes_as_new": "executed as a new request, without a word",
    "rejected": "rejected",
    "not_guaranteed": "not guaranteed",
}
_FROM: Final = {
    "first_send": "from the first send",
    "completion": "from the completion (samekey counts from the first send)",
    "sliding": "from the last use (samekey counts from the first send)",
}


def span(seconds: float, blank: str = "") -> str:
    """A length of time in its largest whole unit: `36h`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0 and (unit != "d" or seconds > size):
            return f"{seconds / size:.0f}{blank}{unit}"
    return f"{seconds:.0f}{blank}s"


def carrier(carrier: Carrier) -> str:
    """Where the key goes."""
    place = {
        "header": f"header {carrier.name}",
        "query": f"query parameter {carrier.name}",
        "json": f"{carrier.name} in the JSON body",
        "form": f"form field {carrier.name}",
        "graphql": f"GraphQL variable ${carrier.name}",
        "none": "none",
    }[carrier.kind]
    quoted = ", in double quotes" if carrier.quoted else ""
    first = f", and the time of the first send in {carrier.first_sent}" if carrier.first_sent else ""
    return place + quoted + first


def window(provider: Provider) -> str:
    """How long a key is known."""
    if provider.carrier.kind == "none":
        return "none"
    return UNKNOWN if provider.window is None else span(provider.window.total_seconds(), " ")


def facts(provider: Provider) -> list[tuple[str, str]]:
    """Every fact of a profile as a name and a sentence, in the order in which they are of use."""
    if provider.carrier.kind == "none":
        return [("key", "none: nothing is ever sent twice"), ("sources", "; ".join(provider.sources))]
    lengths = f"{provider.min_key_len or 1} to {provider.max_key_len} characters" if provider.max_key_len else UNKNOWN
    retention = window(provider)
    found = [
        ("key", carrier(provider.carrier)),
        ("methods", ", ".join(sorted(provider.methods))),
        ("key length", lengths),
        ("key format", provider.key_format or UNKNOWN),
        ("window", retention if provider.window is None else f"{retention} {_FROM[provider.window_from]}"),
        ("afterwards", _EXPIRED[provider.after_expiry] if provider.after_expiry else UNKNOWN),
        ("stored under a key", _STORED[provider.stores_errors] if provider.stores_errors else UNKNOWN),
        ("a repeat gets", _REPEATED[provider.repeat] if provider.repeat else UNKNOWN),
        ("after a 5xx", _after_5xx(provider)),
        ("still running", _answers(provider.in_progress)),
        ("other data under the key", _mismatch(provider)),
    ]
    if provider.already_done:
        found.append(("already done", f"{_answers(provider.already_done)}: a success"))
    if provider.expired:
        found.append(("key too old", _answers(provider.expired)))
    if provider.unavailable:
        found.append(("keys unavailable", _answers(provider.unavailable)))
    if provider.refused:
        found.append(("refusals besides 4xx", _answers(provider.refused)))
    if provider.failed:
        found.append(("failed for good", f"{_answers(provider.failed)}: a refusal"))
    if provider.min_wait:
        found.append(("wait while running", "at least " + span(provider.min_wait.total_seconds(), " ")))
    found += [
        ("replayed answer", ": ".join(provider.replay_marker) if provider.replay_marker else "has no known mark"),
        ("retry hint", f"header {provider.hint_header}" if provider.hint_header else "none known"),
        ("key belongs to", {"account": "the account", "api_key": "the API key", None: UNKNOWN}[provider.scope]),
        ("look-up", _lookup(provider)),
        *(("endpoint", _endpoint(each)) for each in provider.endpoints),
        *(("note", note) for note in provider.notes),
        ("tier", _tier(provider)),
        *([("taken on", provider.checked.isoformat())] if provider.checked else []),
        ("sources", "; ".join(provider.sources)),
    ]
    return found


def _tier(provider: Provider) -> str:
    others: dict[str, list[str]] = {}
    for name, tier in provider.tiers.items():
        others.setdefault(tier, []).append(name)
    told = [f"{', '.join(names)}: {_TIERS[tier]}" for tier, names in others.items()]
    return "; ".join([_TIERS.get(provider.tier or "", "your own"), *told])


def _after_5xx(provider: Provider) -> str:
    if provider.after_5xx == "resend":
        return "the same key may be sent again"
    return "looked up, or left to a person" + ("" if provider.after_5xx else ": nobody has said that a resend is safe")


def _mismatch(provider: Provider) -> str:
    if provider.silent_mismatch:
        return "the first answer, without a word; samekey compares before it sends"
    return _answers(provider.mismatch)


def _lookup(provider: Provider) -> str:
    if provider.lookup is None:
        return "none built in"
    if provider.lookup.kind == "cancel":
        return f'POST {provider.lookup.url} cancels by key, for operations with reconcile="cancel"'
    stamped = f', if the operation has stamp="{provider.lookup.stamp}"' if provider.lookup.stamp else ""
    return f"GET {provider.lookup.url}, {{url}} being the write's own{stamped}"


def _endpoint(endpoint: Endpoint) -> str:
    own = [f"key in {carrier(endpoint.carrier)}"] if endpoint.carrier else []
    own += [f"window {span(endpoint.window.total_seconds(), ' ')}"] if endpoint.window else []
    return f"{endpoint.method or 'any write'} {endpoint.path}: {', '.join(own) or 'as the others'}"


def _answers(answers: Iterable[Answer]) -> str:
    return " or ".join(map(_answer, answers)) or UNKNOWN


def _answer(answer: Answer) -> str:
    parts = [str(answer.status)] if answer.status else []
    if answer.aws:
        parts.append(f"AWS error {answer.code}")
    elif answer.code_at:
        parts.append(f"{answer.code_at} = {answer.code}" if answer.code else answer.code_at)
    if answer.header:
        parts.append(": ".join(answer.header))
    return " with ".join(parts)
