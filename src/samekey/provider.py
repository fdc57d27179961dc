"""What users declare about an API: how it takes keys, how long it knows them, what its answers mean."""

import os
import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from samekey._core.plan import DEFAULT_MAX_DELAY_SECONDS, Detector, Profile
from samekey.contracts import Declared, Duration, Pointer, Where
from samekey.errors import UsageError
from samekey.mappings import read_mapping

KEY_LENGTH = 36
"""Our keys are canonical UUIDs."""

_SEGMENTS: Final = {"*": "[^/]+", "**": ".*"}


class _Fact(Declared):
    """Facts come from JSON too: lists, and seconds for durations."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=False)


class Carrier(_Fact):
    """How a key travels.

    Args:
        kind: "header"; "query" for a query parameter; "json" for a member of a JSON body; "form" for a form field;
            "graphql" for a variable of a GraphQL mutation, which the mutation hands to a directive or an argument;
            "none" for an API that takes no keys.
        name: the name it has there. In a JSON body a dotted path, such as `meta.key`.
        quoted: whether the key is a structured-field string, in double quotes.
        first_sent: a second header, with the time of the first send, which stays the same on every resend.
    """

    kind: Literal["header", "query", "json", "form", "graphql", "none"] = "header"
    name: str = Field(default="Idempotency-Key", pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    quoted: bool = False
    first_sent: str = Field(default="", pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$")


class Answer(_Fact):
    """Recognises one meaning of an answer. What is given must all be so.

    Args:
        status: the status.
        code_at: a dotted path into a JSON body, `*` for any item or member.
        code: the value there; None for any.
        aws: whether `code` is an AWS error code, wherever an AWS protocol has it.
        header: a header's name and value.
        id_at: a dotted path to the object's id, for `already_done`.
    """

    status: int | None = Field(default=None, ge=100, le=599)
    code_at: str | None = None
    code: str | None = None
    aws: bool = False
    header: tuple[str, str] | None = None
    id_at: str | None = None

    @model_validator(mode="after")
    def _check_something(self) -> Self:
        if self.status is None and self.code_at is None and not self.aws and self.header is None:
            raise ValueError("an answer needs a status, a code or a header, or it would recognise every one")
        if self.aws and (self.code is None or self.code_at is not None):
            raise ValueError("aws: give code= alone, the error's name")
        return self


class Lookup(_Fact):
    """A read that finds what a key has made, or a request that undoes it.

    Args:
        kind: "by_id" where an answer to the write names the object; "by_key" where the API finds objects by key;
            "cancel" where a POST of the key undoes what the key has done. That has an effect, so it is asked only for
            an `Operation(reconcile="cancel")`.
        url: where, with `{url}` (the URL of the write without its query), `{origin}` (its scheme and host), and `{id}`
            or `{key}` as the kind needs it.
        member: to cancel: the member of the JSON body that holds the key.
        items_at: by key: the JSON pointer to the list of objects in the answer; None if the answer is the object.
        id_at: by key: the JSON pointer to the id of an object.
        stamp: by key: the `Operation.stamp` by which the API finds the object; None if it knows the key by itself.
    """

    kind: Literal["by_id", "by_key", "cancel"]
    url: str
    items_at: Pointer | None = None
    id_at: Pointer = "/id"
    stamp: str | None = None
    member: str | None = None

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        wanted = {"by_id": "id", "by_key": "key", "cancel": None}[self.kind]
        braces = {"url": "", "origin": ""} | ({wanted: "\0"} if wanted else {})
        try:
            written = self.url.format(**braces)
        except (LookupError, ValueError, AttributeError):
            raise ValueError(f"its url takes {', '.join(f'{{{name}}}' for name in braces)}, and nothing else") from None
        if wanted and "\0" not in written:
            raise ValueError(f"its url needs {{{wanted}}}, or it would find the same object for every action")
        if (self.kind == "cancel") != (self.member is not None):
            raise ValueError("to cancel it needs the member that holds the key, and only then")
        return self


class Endpoint(_Fact):
    """Where one endpoint of an API differs from its others. What is None is as in the profile.

    Args:
        path: the path it is about, from its first slash: `*` is one segment, `**` any number of them.
        method: the method it is about; None for any write.
        carrier: how the key travels there; of kind "none" where this endpoint takes no keys.
        window: how long a key is known there.
    """

    path: str = Field(pattern=r"^/")
    method: Literal["POST", "PUT", "PATCH", "DELETE"] | None = None
    carrier: Carrier | None = None
    window: Duration | None = None

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is one of this endpoint."""
        parts = (_SEGMENTS.get(part) or re.escape(part) for part in re.split(r"(\*\*?)", self.path))
        return self.method in {None, method} and re.fullmatch("".join(parts), path) is not None


class Provider(_Fact):
    """What one API does with idempotency keys. Every field is a fact about the API; None means that nobody has said.

    Args:
        name: the profile's name, stored with each record.
        carrier: how the key travels.
        methods: the methods on which the API honours a key.
        min_key_len: shortest key it accepts.
        max_key_len: longest key it accepts.
        key_format: what it asks of a key besides, in words; samekey's keys are UUIDs, version 4, in lower case.
        window: how long it remembers a key, counted from the first send.
        max_delay: the longest time between a request's first byte and its execution.
        after_5xx: "resend" if a 5xx is stored, or its key released only when all was rolled back; "review" if not.
        after_timeout: "resend", or "review" for an API known to release keys after effects.
        in_progress: answers that say "still running".
        mismatch: answers that say "this key came with other data".
        already_done: answers that say "this key has had its effect": a success, whose object is looked up.
        expired: answers that say "this key is too old"; such a request did nothing.
        unavailable: answers that say "keys cannot be looked up now"; such a request did nothing.
        refused: answers that are refusals though their status does not say so, such as a 200 with errors in it.
        failed: answers that say "what this key began has failed for good": a refusal, after any attempt.
        min_wait: the shortest time before the API is asked again about a running request.
        lookup: the read that finds what a key has made.
        stored_refusals: statuses of refusals that are remembered under the key.
        replay_marker: header and value that mark a replayed answer.
        hint_header: header that says whether a retry is of use.
        scope: what a key belongs to; "api_key" pins the credential.
        answers: "json" if the API's own answers are JSON.
        see_other: whether a 303 is a success.
        accepted: whether a 202 is a success.
        endpoints: where single endpoints differ; the first that matches counts.
        hosts: host names by which the API is recognised.
        secret_query: query parameters that are credentials, as on `Operation`, in whatever request has them.
        secret_body: JSON pointers to credentials in bodies, in whatever body has them.
        secret_response: JSON pointers and headers of answers that are not stored.
        window_from: what the API counts its window from; samekey counts from the first send, which is the earliest.
        after_expiry: what becomes of a key that is too old: it executes again, or is rejected.
        stores_errors: which errors are answered again to the same key.
        repeat: what a key is answered with whose request has succeeded: the stored answer, the object's current state, a
            conflict that names the object, or a rejection.
        silent_mismatch: whether other data under a known key get the first answer, without a word.
        notes: what else a user should know.
        tier: "P" for primary sources, "S" for secondary ones, "probed" for what `samekey probe` has seen.
        tiers: the fields that rest on other sources than `tier` says.
        checked: the day on which the facts were taken from the sources.
        sources: where the facts come from.

    Raises:
        UsageError: a field is unknown or has a wrong value.
    """

    name: str = Field(min_length=1)
    carrier: Carrier = Field(default_factory=Carrier)
    methods: frozenset[str] = frozenset({"POST", "PUT", "PATCH", "DELETE"})
    min_key_len: int | None = None
    max_key_len: int | None = None
    key_format: str | None = None
    window: Duration | None = None
    max_delay: Duration = timedelta(seconds=DEFAULT_MAX_DELAY_SECONDS)
    after_5xx: Literal["resend", "review"] | None = None
    after_timeout: Literal["resend", "review"] = "resend"
    in_progress: tuple[Answer, ...] = ()
    mismatch: tuple[Answer, ...] = ()
    already_done: tuple[Answer, ...] = ()
    expired: tuple[Answer, ...] = ()
    unavailable: tuple[Answer, ...] = ()
    refused: tuple[Answer, ...] = ()
    failed: tuple[Answer, ...] = ()
    min_wait: timedelta = timedelta(0)
    lookup: Lookup | None = None
    stored_refusals: frozenset[int] = frozenset()
    replay_marker: tuple[str, str] | None = None
    hint_header: str | None = None
    scope: Literal["account", "api_key"] | None = None
    answers: Literal["json", "any"] = "json"
    see_other: bool = False
    accepted: bool = True
    endpoints: tuple[Endpoint, ...] = ()
    hosts: tuple[str, ...] = ()
    secret_query: tuple[str, ...] = ()
    secret_body: tuple[Pointer, ...] = ()
    secret_response: tuple[Where, ...] = ()
    window_from: Literal["first_send", "completion", "sliding"] = "first_send"
    after_expiry: Literal["executes_as_new", "rejected", "not_guaranteed"] | None = None
    stores_errors: Literal["all", "2xx_4xx", "success_only", "reexecutes_failures"] | None = None
    repeat: Literal["stored", "current", "conflict", "rejected"] | None = None
    silent_mismatch: bool = False
    notes: tuple[str, ...] = ()
    tier: Literal["P", "S", "probed"] | None = None
    tiers: dict[str, Literal["P", "S", "probed"]] = Field(default_factory=dict)
    checked: date | None = None
    sources: tuple[str, ...] = ()

    def __init__(self, name: str, **fields: Any) -> None:
        self._build(f"provider {name!r}", {"name": name, **fields})

    @model_validator(mode="after")
    def _check_tiers(self) -> Self:
        strange = sorted(set(self.tiers) - set(type(self).model_fields))
        if strange:
            raise ValueError(f"tiers: there is no field {', '.join(strange)}")
        return self

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Provider":
        """Reads a profile of your own from a TOML or JSON file: the same fields, durations in seconds.

        Args:
            path: a file whose name ends in `.toml` or `.json`.

        Raises:
            UsageError: the file cannot be read, or is no profile.
        """
        fields = read_mapping(path, "the fields of a profile")
        try:
            return cls(**{"name": "", **fields})
        except UsageError as error:
            raise UsageError(f"{os.fspath(path)}: {error}") from None

    def at(self, endpoint: Endpoint) -> "Provider":
        """The profile as it is at one endpoint."""
        own = {name: value for name in ("carrier", "window") if (value := getattr(endpoint, name)) is not None}
        methods = self.methods | {endpoint.method} if endpoint.method else self.methods
        return self.model_copy(update={"methods": methods, **own})

    def on(self, method: str, path: str) -> "Provider":
        """The profile as it is for one request."""
        return next((self.at(each) for each in self.endpoints if each.matches(method, path)), self)

    def profile(self) -> Profile:
        """The profile as the core uses it."""
        return Profile(
            name=self.name,
            keyed=self.carrier.kind != "none",
            carrier="header" if self.carrier.kind == "none" else self.carrier.kind,
            key_header=self.carrier.name,
            first_sent_header=self.carrier.first_sent,
            quoted=self.carrier.quoted,
            methods=self.methods,
            window_seconds=None if self.window is None else self.window.total_seconds(),
            max_delay_seconds=self.max_delay.total_seconds(),
            after_5xx=self.after_5xx,
            after_timeout=self.after_timeout == "resend",
            in_progress=_detectors(self.in_progress),
            mismatch=_detectors(self.mismatch),
            already_done=_detectors(self.already_done),
            expired=_detectors(self.expired),
            unavailable=_detectors(self.unavailable),
            refused=_detectors(self.refused),
            failed=_detectors(self.failed),
            min_wait_seconds=self.min_wait.total_seconds(),
            stored_refusals=self.stored_refusals,
            replay_marker=self.replay_marker,
            hint_header=self.hint_header,
            pins_credential=self.scope == "api_key",
            answers_json=self.answers == "json",
            see_other=self.see_other,
            accepted=self.accepted,
        )


def _detectors(answers: Iterable[Answer]) -> tuple[Detector, ...]:
    return tuple(Detector(each.status, each.code_at, each.code, each.aws, each.header, each.id_at) for each in answers)
