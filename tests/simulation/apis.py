"""Model APIs: what stands at the other end, honest and not."""

from dataclasses import dataclass, field, replace
from email.utils import formatdate

from samekey._core.model import Reply

JSON = (("content-type", "application/json"),)


@dataclass(frozen=True)
class Request:
    """One send, as the wire saw it.

    Attributes:
        number: its place among all sends of the history.
        action: which action it belongs to.
        key: its idempotency key; None where the profile carries none.
        payload: its exact body.
        written_at: when its first byte was written.
        account: with which credential it was sent.
        recovering: whether `recover()` sent it.
    """

    number: int
    action: str
    key: str | None
    payload: bytes
    written_at: float
    account: int = 0
    recovering: bool = False


@dataclass(frozen=True)
class Effect:
    """Something happened in the world, and cannot be taken back."""

    number: int
    cause: Request
    at: float


@dataclass
class Memory:
    """What an API remembers under one key."""

    payload: bytes
    first: float
    reply: Reply | None = None


@dataclass(frozen=True)
class Behaviour:
    """How an API treats keys.

    Attributes:
        keyed: whether it looks at keys at all.
        window: seconds for which it remembers one, from first arrival.
        stores_refusals: whether a refusal is remembered under the key.
        errors: what a 5xx is: "stored", or "rolled_back" (no effect, key released).
        forgets_early: forgets a key at a tenth of its window (dishonest).
        releases_after_effect: a 5xx after the effect releases the key (dishonest).
        short_lock: lets a second request in while the first executes (dishonest).
        blind: answers any payload with the first result.
        repeats: executes again and answers with the stored result (dishonest).
        by_account: whether each credential has keys of its own.
        checks_first: may refuse a later send before it looks at the key, and calls that stored (dishonest).
        dated: whether its replies say what time it is there, in seconds since 1970 at the history's beginning.
    """

    keyed: bool = True
    window: float = 86_400.0
    stores_refusals: bool = False
    errors: str = "stored"
    forgets_early: bool = False
    releases_after_effect: bool = False
    short_lock: bool = False
    blind: bool = False
    repeats: bool = False
    by_account: bool = False
    checks_first: bool = False
    dated: float | None = None

    @property
    def honest(self) -> bool:
        """Whether it honours R0."""
        return not (
            self.forgets_early or self.releases_after_effect or self.short_lock or self.repeats or self.checks_first
        )


@dataclass
class API:
    """One API with its keys and effects.

    `arrive` answers at once (a replay, a conflict) or returns None: then the request executes, until `finish`.
    """

    behaviour: Behaviour
    effects: list[Effect] = field(default_factory=list)
    memory: dict[str, Memory] = field(default_factory=dict)

    def arrive(self, request: Request, now: float) -> Reply | None:
        """A request came in."""
        behaviour = self.behaviour
        if not behaviour.keyed or request.key is None:
            return None
        key = self._key(request)
        known = self.memory.get(key)
        window = behaviour.window / 10 if behaviour.forgets_early else behaviour.window
        if known is not None and now >= known.first + window:
            del self.memory[key]
            known = None
        if known is None:
            self.memory[key] = Memory(request.payload, now)
            return None
        if known.payload != request.payload and not behaviour.blind:
            return Reply(422, JSON, b'{"error": {"type": "idempotency_error"}}')
        if known.reply is None:
            return None if behaviour.short_lock else Reply(409, JSON, b'{"error": {"code": "idempotency_key_in_use"}}')
        if behaviour.repeats:
            self._happen(request, now)
        if behaviour.checks_first:
            return Reply(402, JSON, b'{"error": "declined"}')
        return known.reply

    def finish(self, request: Request, now: float, outcome: str) -> Reply:
        """An execution ends: "done", "refused", "error" (nothing happened), or "error_done"."""
        behaviour = self.behaviour
        reply = self._execute(request, now, outcome)
        if behaviour.dated is not None:
            reply = replace(reply, headers=(*JSON, ("date", formatdate(behaviour.dated + now, usegmt=True))))
        if not behaviour.keyed or request.key is None:
            return reply
        key = self._key(request)
        known = self.memory.get(key)
        if known is None:
            return reply
        released = (
            (outcome == "refused" and not behaviour.stores_refusals)
            or (outcome == "error" and behaviour.errors == "rolled_back")
            or (outcome == "error_done" and behaviour.releases_after_effect)
        )
        if released:
            del self.memory[key]
        else:
            known.reply = reply
        return reply

    def _key(self, request: Request) -> str:
        return f"{request.account}:{request.key}" if self.behaviour.by_account else str(request.key)

    def _execute(self, request: Request, now: float, outcome: str) -> Reply:
        if outcome == "refused":
            return Reply(402, JSON, b'{"error": "declined"}')
        if outcome == "error":
            return Reply(500, JSON, b"{}")
        effect = self._happen(request, now)
        if outcome == "error_done":
            return Reply(500, JSON, b"{}")
        return Reply(201, JSON, b'{"id": "ord_%d"}' % effect.number)

    def _happen(self, request: Request, now: float) -> Effect:
        effect = Effect(len(self.effects) + 1, request, now)
        self.effects.append(effect)
        return effect
