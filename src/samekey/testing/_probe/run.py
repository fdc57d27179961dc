"""`probe`: one write twice with one key, then once with other data, then two at once."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import Event
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from samekey._core.classify import Kind
from samekey.errors import UsageError
from samekey.http.guard import build_client
from samekey.http.library import HTTPX
from samekey.http.scrub import scrub
from samekey.provider import Provider
from samekey.providers import choose, load
from samekey.testing._probe.draft import learn
from samekey.testing._probe.judging import Judge
from samekey.testing._probe.request import ProbeRequest
from samekey.testing._probe.story import Round, Story
from samekey.testing._probe.values import ProbePlan, ProbeResult
from samekey.testing._probe.wire import CountError, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from samekey.providers import ProviderName
    from samekey.testing._probe.values import ProbeSend, Step
    from samekey.testing._probe.wire import Answer

MOST_SECONDS: Final = 366 * 86400.0
"""A longer wait is a slip of the pen."""


def probe(
    provider: Provider | ProviderName,
    request: ProbeRequest,
    *,
    retention: float | None = None,
    http: Any = None,
    before: Callable[[ProbePlan], None] | None = None,
    on_send: Callable[[ProbeSend], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ProbeResult:
    """Sends real writes to a sandbox, to see whether an API does with keys what a profile says.

    Five writes under two keys: one twice, then other data under the same key, then two at once under the second key. An
    API without keys gets two. They have effects there: never probe an account that counts.

    Args:
        provider: a profile's name, or a `Provider`.
        request: what is sent, and how effects are counted.
        retention: seconds to wait before the first write is sent once more; None to leave that out.
        http: an `httpx.Client` or `httpx2.Client` to send with; None for one of our own.
        before: called with the plan before anything is sent; what it raises ends the probe.
        on_send: called with every write when its answer is there, or when it is known that none will come.
        sleep: waits for the retention.
        clock: the wall clock.

    Returns:
        What was seen. A write without an answer, an answer that is no success to the first write, and a look-up that
        fails end the probe early: `stopped` says why, and `sends` what had been sent.

    Raises:
        UsageError: the profile, the request or the retention is wrong. Nothing was sent.
    """
    chosen = choose(load(provider) if isinstance(provider, str) else provider, None, request.url)
    with suppress(ValueError):  # what is no URL is told in a moment
        chosen = chosen.on(request.method.upper(), urlsplit(request.url).path)
    _check_retention(chosen, retention)
    with ExitStack() as stack:
        client = http
        if client is None:
            # Each write goes out as from a script that has just been started: without cookies of an earlier answer.
            forgetful = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
            client = build_client(HTTPX, "", options={"cookies": forgetful})
            stack.callback(client.close)
        try:
            wire = Wire(client, chosen, request, clock)
        except UsageError as error:
            raise UsageError(f"{request.source}: {error}") from None
        plan = _plan(chosen, wire, request, retention)
        if before is not None:
            before(plan)
        run = _Run(wire, clock, on_send or (lambda _send: None))
        run.tell(keyed=wire.profile.keyed, retention=retention, sleep=sleep)
        return _conclude(chosen, wire, run.story, plan)


def _check_retention(provider: Provider, retention: Any) -> None:
    if retention is None:
        return
    if isinstance(retention, bool) or not isinstance(retention, (int, float)) or not 0 < retention <= MOST_SECONDS:
        raise UsageError("retention: give a number of seconds, more than 0 and no more than a year's.")
    if provider.carrier.kind == "none":
        raise UsageError(f"retention: {provider.name} has no keys that could be remembered; leave it out.")


def _plan(provider: Provider, wire: Wire, request: ProbeRequest, retention: float | None) -> ProbePlan:
    keyed = wire.profile.keyed
    late = retention is not None
    forgotten = retention is not None and provider.window is not None and retention >= provider.window.total_seconds()
    writes = (5 if keyed else 2) + late
    reads = 0 if request.count is None else (5 if keyed else 3) + late
    return ProbePlan(
        provider=provider.name,
        method=wire.method,
        url=wire.url,
        origin=wire.origin,
        writes=writes,
        expected=2 + forgotten,
        most=writes,
        reads=reads,
        retention=retention,
    )


def _conclude(provider: Provider, wire: Wire, story: Story, plan: ProbePlan) -> ProbeResult:
    judge = Judge(provider, wire, story, plan.retention)
    effects = None if story.start is None or story.total is None else story.total - story.start
    return ProbeResult(
        plan=plan,
        sends=tuple(story.sends),
        facts=tuple(judge.facts()),
        effects=effects,
        stopped=story.stopped,
        notes=tuple(story.notes),
        learned=learn(provider, wire, story, judge, plan.retention),
    )


class _StoppedError(Exception):
    """The probe cannot go on; the text says why."""


class _Run:
    """Sends what a probe sends.

    Attributes:
        story: what has happened.
    """

    def __init__(self, wire: Wire, clock: Callable[[], datetime], on_send: Callable[[ProbeSend], None]) -> None:
        self._wire = wire
        self._clock = clock
        self._on_send = on_send
        self.story = Story()

    def tell(self, *, keyed: bool, retention: float | None, sleep: Callable[[float], None]) -> None:
        """Goes through all steps, or as far as it gets."""
        story = self.story
        try:
            story.start = story.total = self._count()
            key, sent = str(uuid.uuid4()), self._clock()
            self._one("first", key, sent)
            self._check_first()
            self._one("again", key, sent)
            if keyed:
                self._one("other", key, sent)
                self._two(str(uuid.uuid4()))
            if retention is not None:
                story.lead = (self._clock() - sent).total_seconds()
                sleep(retention)
                self._one("later", key, sent)
        except _StoppedError as stop:
            story.stopped = str(stop)

    def _check_first(self) -> None:
        first = self.story.first
        if first.kind is not Kind.SUCCESS:
            raise _StoppedError(
                f"the first write was answered with {first.send.told}, so there is nothing to compare; correct the request"
            )
        made = self.story.rounds["first"].made
        if made is not None and made != 1:
            self.story.total = None
            self.story.rounds["first"] = Round((first,), None)
            self.story.notes.append(
                f"The look-up went from {self.story.start} by {made} with the first write, not by 1: it was not used."
            )

    def _one(self, step: Step, key: str, sent: datetime) -> None:
        self._record(step, (self._wire.send(step, key, sent),))

    def _two(self, key: str) -> None:
        go, sent = Event(), self._clock()
        called_off = False
        answers: list[Answer] = []

        def send() -> None:
            go.wait()
            if not called_off:
                answers.append(self._wire.send("together", key, sent))

        try:
            with ThreadPoolExecutor(2) as pool:
                try:
                    sends = [pool.submit(send) for _ in range(2)]
                    go.set()
                    for each in sends:
                        each.result()
                finally:
                    called_off = not go.is_set()
                    go.set()
        except BaseException:
            # The two were on their way: what became of them is told first.
            self._report(answers)
            raise
        self._record("together", tuple(answers))

    def _record(self, step: Step, answers: tuple[Answer, ...]) -> None:
        """Takes the answers of a step, then counts its effects."""
        story = self.story
        # An old count says nothing about what has been sent since.
        before, story.total = story.total, None
        self._report(answers)
        for answer in answers:
            if answer.error is not None and not isinstance(answer.error, Exception):
                raise scrub(answer.error)
        lost = next((answer for answer in answers if answer.reply is None), None)
        if lost is not None:
            fate = "it may have been carried out" if lost.send.sent else "it did not leave"
            raise _StoppedError(f"a write had no answer ({lost.send.told}): {fate}")
        story.rounds[step] = Round(answers, None)
        if before is not None and (after := self._count()) is not None:
            story.total = after
            story.rounds[step] = Round(answers, after - before)

    def _report(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            self.story.sends.append(answer.send)
            self._on_send(answer.send)

    def _count(self) -> int | None:
        try:
            return self._wire.count()
        except CountError as error:
            raise _StoppedError(f"the look-up that counts effects failed: {error}") from None
