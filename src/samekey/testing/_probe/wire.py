"""Sends a probe's writes and look-ups, one at a time, and says what came back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from samekey._core.classify import Kind, judge, replayed
from samekey._core.model import LATEST, Failure, Reply
from samekey._core.plan import Contract
from samekey._core.reading import is_json, reference_of
from samekey.errors import UsageError
from samekey.http import carriers
from samekey.http.exchange import exchange
from samekey.http.guard import check_client
from samekey.http.library import library_of
from samekey.http.outgoing import prepare
from samekey.http.scrub import scrub
from samekey.http.urls import bare, origin_of, shown
from samekey.testing._probe.codes import code_of
from samekey.testing._probe.secrets import Secrets
from samekey.testing._probe.values import ProbeSend, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from samekey.http.outgoing import Prepared
    from samekey.provider import Provider
    from samekey.testing._probe.request import ProbeCount, ProbeRequest

SHORT_KEY: Final = 8
MOST_SHOWN: Final = 200
"""Characters of a text from an answer that are shown."""

_BODY_HEADERS: Final = frozenset({"content-type", "content-encoding", "content-length", "transfer-encoding"})
_BOUNDARY: Final = "samekey-probe"


class CountError(Exception):
    """The look-up did not tell a number; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one write brought.

    Attributes:
        send: for the report.
        reply: the complete answer, or None.
        kind: what it means by the profile, as the answer to a first send.
        reference: the object's id, as it was sent.
        marked: whether it says of itself, in the profile's way, that it is a replay.
        code: where it has a code, and the code; None where it may hold a secret.
        error: what was raised.
    """

    send: ProbeSend
    reply: Reply | None = field(repr=False)
    kind: Kind
    reference: str | None
    marked: bool
    code: tuple[str, str] | None
    error: BaseException | None = field(default=None, repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether the API says that the object is there."""
        return self.kind in {Kind.SUCCESS, Kind.DONE_BEFORE}

    @property
    def tells(self) -> bool:
        """Whether it says anything about the key: not what stands in front of the API (401, 429), nor a failure (5xx)."""
        return self.kind not in {Kind.IN_FRONT, Kind.UNKNOWN}


class Wire:
    """The writes and look-ups of one probe, built and checked before anything is sent.

    Raises:
        UsageError: the request cannot be sent, or has no place for the key.
    """

    def __init__(self, http: Any, provider: Provider, request: ProbeRequest, clock: Callable[[], datetime]) -> None:
        check_client(http)
        self._http = http
        self._library = library_of(http)
        self._request = request
        self._clock = clock
        self.profile = provider.profile()
        first = self._write(request.options)
        if self.profile.keyed:
            if first.outgoing.method not in self.profile.methods:
                wanted = ", ".join(sorted(self.profile.methods))
                raise UsageError(
                    f"method: {provider.name} has keys on {wanted}, and this is a {first.outgoing.method}; "
                    "give another method, or probe the header itself."
                )
            self._write(request.other_options)
        self.method = first.outgoing.method
        read = [] if request.count is None else [self._read(request.count)]
        self.secrets = Secrets([first, *read], request.secrets)
        self.origin = origin_of(first.request.url)
        self.url = self._shown(first.request.url)

    def send(self, step: Step, key: str, first_sent: datetime) -> Answer:
        """Sends one write, once. It does not raise."""
        changed = step in {"other", "together"} and self.profile.keyed
        prepared = self._write(self._request.other_options if changed else self._request.options)
        request = prepared.request
        if self.profile.keyed:
            request = carriers.write(self._library, self.profile, request, key, first_sent)
        reply, failure, error = self._exchange(request, prepared.auth)
        answer = failure or reply
        if answer is None:  # pragma: no cover - an exchange brings one of the two
            raise AssertionError
        json_sent = is_json(prepared.outgoing.content_type)
        judged = judge(self.profile, Contract(), answer, alone=True, json_sent=json_sent, now=self._clock())
        # Nobody else has a probe's key, so that a refusal of it is one.
        kind = Kind.REFUSED if judged.about_key else judged.kind
        reference = judged.reference or (None if reply is None else self._reference_in(reply, kind))
        code = None if reply is None or kind is Kind.SUCCESS else code_of(reply)
        if code is not None and any(map(self.secrets.in_, code)):
            code = None
        send = ProbeSend(
            step=step,
            key=key[:SHORT_KEY] if self.profile.keyed else "",
            sent=failure is None or failure.sent,
            status=None if reply is None else reply.status,
            told=judged.summary if code is None else f"{judged.summary}, {code[0]} = {code[1]}",
            reference=None if reference is None else self.told(reference),
        )
        marked = reply is not None and replayed(self.profile, reply)
        return Answer(send, reply, kind, reference, marked, code, error)

    def count(self) -> int | None:
        """How many effects there are; None if nobody said how to count.

        Raises:
            CountError: the look-up told no number.
        """
        where = self._request.count
        if where is None:
            return None
        prepared = self._read(where)
        reply, failure, error = self._exchange(prepared.request, prepared.auth)
        if error is not None and not isinstance(error, Exception):
            raise scrub(error)
        if reply is None:
            raise CountError("no answer" if failure is None else failure.summary)
        if reply.status != 200:
            raise CountError(f"HTTP {reply.status}")
        found = _at(reply.body, where.at)
        if isinstance(found, list):
            return len(found)
        if isinstance(found, int) and not isinstance(found, bool):
            return found
        place = f"at {where.at} of" if where.at else "in"
        raise CountError(f"there is neither a list nor a whole number {place} the answer")

    def told(self, text: str) -> str:
        """Text from an answer, as it may be shown."""
        return self.secrets.cut(text)[:MOST_SHOWN]

    def _shown(self, url: Any) -> str:
        # The host is told whole: it is what a person has to agree to.
        host = str(bare(url).copy_with(path="/", query=None)).rstrip("/")
        return host + self.secrets.cut(shown(url).removeprefix(host))

    def _reference_in(self, reply: Reply, kind: Kind) -> str | None:
        return reference_of(reply, self._request.reference) if kind is Kind.SUCCESS else None

    def _exchange(self, request: Any, auth: Any) -> tuple[Reply | None, Failure | None, BaseException | None]:
        done = exchange(
            self._library,
            self._http,
            request,
            auth=auth,
            clock=self._clock,
            not_after=LATEST,
            # A connection that went stale would look like an API that died.
            fresh_connection=True,
        )
        return done.reply, done.failure, done.error

    def _write(self, options: Mapping[str, Any]) -> Prepared:
        request = self._request
        prepared = prepare(self._library, self._http, request.method, request.url, options, boundary=_BOUNDARY)
        if self.profile.keyed:
            carriers.check(self.profile, prepared.outgoing, prepared.url)
        if prepared.outgoing.method in {"GET", "HEAD", "OPTIONS", "TRACE"}:
            raise UsageError(f"method: a {prepared.outgoing.method} writes nothing; give a write.")
        return prepared

    def _read(self, count: ProbeCount) -> Prepared:
        write = self._write(self._request.options).request
        prepared = self._get(count.url, count.headers)
        if origin_of(prepared.url) == origin_of(write.url):
            # Elsewhere the credentials of the write are nobody's business.
            own = {name.lower() for name in count.headers} | _BODY_HEADERS
            kept = {name: value for name, value in self._request.headers.items() if name.lower() not in own}
            prepared = self._get(count.url, kept | dict(count.headers))
        return prepared

    def _get(self, url: str, headers: Mapping[str, str]) -> Prepared:
        try:
            return prepare(self._library, self._http, "GET", url, {"headers": dict(headers)}, boundary=_BOUNDARY)
        except UsageError as error:
            raise UsageError(f"count: {error}") from None


def _at(body: bytes, pointer: str) -> Any:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
