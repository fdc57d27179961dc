"""Faults: what can go wrong between an effect and the caller who waits for its answer."""

from __future__ import annotations

import dataclasses
import json
import math
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from samekey.testing._values import Commit, Delivery, Reply, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROXY_PAGE = Reply(
    200,
    b"<!doctype html><title>Welcome</title><p>You are behind a captive proxy.</p>",
    (("Content-Type", "text/html; charset=utf-8"),),
)
_REFUSAL = {"error": {"type": "invalid_request_error"}}
_JSON_TYPE = ("Content-Type", "application/json")

HintForm = Literal["seconds", "date", "ms", "none"]


@dataclasses.dataclass(frozen=True, slots=True)
class Exchange:
    """What a fault may build its answer from.

    Attributes:
        genuine: what the API answers; None if the request never reached it.
        now: the API's clock, in seconds since the epoch.
    """

    genuine: Reply | None
    now: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """One way in which a request fails, or `Fault.NONE`.

    Every fault is a value of this class: `server.script(Fault.COMMIT_THEN_DROP)`. Those that have
    parameters can be called for a variant: `Fault.COMMIT_THEN_5XX(502)`,
    `Fault.RATE_LIMIT(retry_after=2, form="date")`. For a fault of your own make an instance, or
    subclass and override `answer`.

    "Effect" below always means: through the key layer. Under a key that the API already knows,
    nothing happens a second time; only the answer goes wrong.

    Attributes:
        name: the name people see.
        commit: when the effect happens.
        wire: what happens on the connection afterwards.
        reply: what is answered instead of what the API has to say; None: its own words.
        by_app: the answer comes from the application, behind the key layer, which may therefore
            remember it (`after_error`, `errors_stored`).
        forgets_key: the API forgets the request's key first, as if its window had closed.
    """

    name: str
    commit: Commit = Commit.NOW
    wire: Wire = Wire.ANSWER
    reply: Reply | None = None
    by_app: bool = False
    forgets_key: bool = False

    NONE: ClassVar[Fault]
    """Nothing goes wrong."""
    COMMIT_THEN_DROP: ClassVar[Fault]
    """The effect happens; the connection is closed without an answer."""
    COMMIT_THEN_RESET: ClassVar[Fault]
    """The effect happens; the connection is reset (TCP RST)."""
    COMMIT_THEN_5XX: ClassVar[ServerError]
    """The effect happens; the application then answers with an error, 500 unless given."""
    DROP_BEFORE: ClassVar[Fault]
    """No effect; the request was read, the connection is closed without an answer."""
    RESET_BEFORE: ClassVar[Fault]
    """No effect; the request was read, the connection is reset."""
    STALL: ClassVar[Fault]
    """The effect happens; no answer comes until the client leaves or the server closes."""
    STALL_BEFORE: ClassVar[Fault]
    """No effect, and no answer either."""
    TRUNCATE: ClassVar[Truncate]
    """The effect happens; the body ends before its declared length."""
    GARBAGE: ClassVar[Fault]
    """The effect happens; the answer is not HTTP."""
    HTML_200: ClassVar[ProxyPage]
    """A proxy's 200 page instead of the answer; the effect happens unless `effect=False`."""
    CUT_JSON: ClassVar[CutJson]
    """The effect happens; the answer has the right length, but its JSON was cut."""
    BUSY: ClassVar[Busy]
    """No effect by this request: "a request with this key is still running"."""
    RATE_LIMIT: ClassVar[RateLimit]
    """No effect: 429, with a hint when to come back."""
    REJECT: ClassVar[Reject]
    """No effect: the application says no, 400 unless given."""
    UNAVAILABLE: ClassVar[Unavailable]
    """No effect: 503 from something in front of the application."""
    REDIRECT: ClassVar[Redirect]
    """No effect: an answer that points elsewhere, 307 unless given."""
    EXECUTE_LATE: ClassVar[Fault]
    """The connection is closed without an answer; the effect waits for `run_late()`."""
    FORGET_KEY: ClassVar[Fault]
    """The key is forgotten first; then the request is handled as a new one."""
    CONNECT_REFUSED: ClassVar[Fault]
    """`FaultTransport` only: the connection is refused, nothing was sent."""
    CONNECT_TIMEOUT: ClassVar[Fault]
    """`FaultTransport` only: the connection is never made, nothing was sent."""

    def answer(self, exchange: Exchange) -> Reply | None:
        """Return what the client is told; None if nothing is."""
        return exchange.genuine if self.reply is None else self.reply

    def deliver(self, reply: Reply | None) -> Delivery:
        """Return what the adapter has to do with `reply`."""
        return Delivery(self.wire, reply)

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerError(Fault):
    """`Fault.COMMIT_THEN_5XX`. What the key remembers is the API's `after_error`."""

    def __call__(self, status: int) -> ServerError:
        """Return the fault with another status."""
        reply = Reply.json(status, {"error": {"type": "api_error"}})
        return dataclasses.replace(self, reply=reply)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truncate(Fault):
    """`Fault.TRUNCATE`. `keep` is the part of the body that is sent, 0 <= keep < 1."""

    keep: float = 0.5

    def __post_init__(self) -> None:
        _check_part("TRUNCATE", self.keep)

    def __call__(self, *, keep: float) -> Truncate:
        """Return the fault with another part kept."""
        return dataclasses.replace(self, keep=keep)

    def deliver(self, reply: Reply | None) -> Delivery:
        """Return the reply together with the number of bytes that are sent."""
        size = len(reply.body) if reply else 0
        return Delivery(self.wire, reply, int(size * self.keep))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProxyPage(Fault):
    """`Fault.HTML_200`: status 200, `text/html`, whatever the API had to say."""

    def __call__(self, *, effect: bool) -> ProxyPage:
        """Return the fault with or without the effect."""
        commit = Commit.NOW if effect else Commit.NEVER
        return dataclasses.replace(self, commit=commit)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CutJson(Fault):
    """`Fault.CUT_JSON`: 200 `application/json`; `keep` is the part of the text that is left."""

    keep: float = 0.5

    def __post_init__(self) -> None:
        _check_part("CUT_JSON", self.keep)

    def __call__(self, *, keep: float) -> CutJson:
        """Return the fault with another part kept."""
        return dataclasses.replace(self, keep=keep)

    def answer(self, exchange: Exchange) -> Reply:
        """Return the beginning of the genuine body, as if it were all."""
        body = exchange.genuine.body if exchange.genuine else b"{}"
        return Reply(200, body[: int(len(body) * self.keep)], (_JSON_TYPE,))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Busy(Fault):
    """`Fault.BUSY`: the "still running" answer, 409 unless given."""

    def __call__(self, status: int) -> Busy:
        """Return the fault with another status."""
        return dataclasses.replace(self, reply=key_in_use(status))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RateLimit(Fault):
    """`Fault.RATE_LIMIT`: 429.

    Attributes:
        retry_after: the wait that is asked for, in seconds.
        form: "seconds" and "date" are the two forms of Retry-After (RFC 9110, 10.2.3; both count
            whole seconds, rounded up), "ms" is the header retry-after-ms, "none" sends no hint.
    """

    retry_after: float = 1.0
    form: HintForm = "seconds"

    def __call__(self, retry_after: float = 1.0, form: HintForm = "seconds") -> RateLimit:
        """Return the fault with another hint."""
        return dataclasses.replace(self, retry_after=retry_after, form=form)

    def answer(self, exchange: Exchange) -> Reply:
        """Return 429 with the hint."""
        reply = Reply.json(429, {"error": {"type": "rate_limit_error"}})
        if self.form == "none":
            return reply
        if self.form == "ms":
            return reply.with_headers(("retry-after-ms", str(round(self.retry_after * 1000))))
        if self.form == "seconds":
            return reply.with_headers(("Retry-After", str(math.ceil(self.retry_after))))
        at = formatdate(math.ceil(exchange.now + self.retry_after), usegmt=True)
        return reply.with_headers(("Retry-After", at))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reject(Fault):
    """`Fault.REJECT`: a refusal of the application; `errors_stored` says if the key keeps it."""

    def __call__(
        self,
        status: int = 400,
        body: bytes | Mapping[str, Any] = _REFUSAL,
        *,
        content_type: str = "application/json",
    ) -> Reject:
        """Return the fault with another answer; a mapping is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = Reply(status, data, (("Content-Type", content_type),))
        return dataclasses.replace(self, reply=reply)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unavailable(Fault):
    """`Fault.UNAVAILABLE`: a balancer's error, 503 unless given, without effect."""

    def __call__(self, status: int = 503, *, retry_after: int | None = None) -> Unavailable:
        """Return the fault with another status, or with a Retry-After in whole seconds."""
        reply = Reply(status, b"no healthy upstream", (("Content-Type", "text/plain"),))
        if retry_after is not None:
            reply = reply.with_headers(("Retry-After", str(retry_after)))
        return dataclasses.replace(self, reply=reply)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Redirect(Fault):
    """`Fault.REDIRECT`: no effect, an empty answer with a Location."""

    def __call__(self, status: int = 307, location: str = "/elsewhere") -> Redirect:
        """Return the fault with another status or location."""
        reply = Reply(status, b"", (("Location", location),))
        return dataclasses.replace(self, reply=reply)


def key_in_use(status: int) -> Reply:
    """Return the answer to a key whose first request is still running."""
    return Reply.json(status, {"error": {"code": "idempotency_key_in_use"}})


def _check_part(name: str, keep: float) -> None:
    if not 0 <= keep < 1:
        msg = f"Fault.{name}: keep is the part that is left, 0 <= keep < 1, not {keep}"
        raise ValueError(msg)


_NEVER, _LATE = Commit.NEVER, Commit.LATE
Fault.NONE = Fault(name="NONE")
Fault.COMMIT_THEN_DROP = Fault(name="COMMIT_THEN_DROP", wire=Wire.CLOSE)
Fault.COMMIT_THEN_RESET = Fault(name="COMMIT_THEN_RESET", wire=Wire.RESET)
Fault.COMMIT_THEN_5XX = ServerError(name="COMMIT_THEN_5XX", by_app=True)(500)
Fault.DROP_BEFORE = Fault(name="DROP_BEFORE", commit=_NEVER, wire=Wire.CLOSE)
Fault.RESET_BEFORE = Fault(name="RESET_BEFORE", commit=_NEVER, wire=Wire.RESET)
Fault.STALL = Fault(name="STALL", wire=Wire.STALL)
Fault.STALL_BEFORE = Fault(name="STALL_BEFORE", commit=_NEVER, wire=Wire.STALL)
Fault.TRUNCATE = Truncate(name="TRUNCATE", wire=Wire.TRUNCATE)
Fault.GARBAGE = Fault(name="GARBAGE", wire=Wire.GARBAGE)
Fault.HTML_200 = ProxyPage(name="HTML_200", reply=_PROXY_PAGE)
Fault.CUT_JSON = CutJson(name="CUT_JSON")
Fault.BUSY = Busy(name="BUSY", commit=_NEVER)(409)
Fault.RATE_LIMIT = RateLimit(name="RATE_LIMIT", commit=_NEVER)
Fault.REJECT = Reject(name="REJECT", commit=_NEVER, by_app=True)()
Fault.UNAVAILABLE = Unavailable(name="UNAVAILABLE", commit=_NEVER)()
Fault.REDIRECT = Redirect(name="REDIRECT", commit=_NEVER)()
Fault.EXECUTE_LATE = Fault(name="EXECUTE_LATE", commit=_LATE, wire=Wire.CLOSE)
Fault.FORGET_KEY = Fault(name="FORGET_KEY", forgets_key=True)
Fault.CONNECT_REFUSED = Fault(name="CONNECT_REFUSED", commit=_NEVER, wire=Wire.REFUSE)
Fault.CONNECT_TIMEOUT = Fault(name="CONNECT_TIMEOUT", commit=_NEVER, wire=Wire.TIME_OUT_CONNECT)

LOST_REPLIES: tuple[Fault, ...] = (
    Fault.COMMIT_THEN_DROP,
    Fault.COMMIT_THEN_RESET,
    Fault.COMMIT_THEN_5XX,
    Fault.TRUNCATE,
    Fault.GARBAGE,
    Fault.HTML_200,
    Fault.CUT_JSON,
)
"""Seven ways in which the effect happens and its answer is lost, none of which takes time."""
