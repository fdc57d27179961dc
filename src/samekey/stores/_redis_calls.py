"""What the Redis store asks the server: pure. The verbs plan calls, and a runner, of threads or of an event loop, makes them."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from importlib.resources import files as resources
from typing import Any, Final

from samekey._core.model import Event, Record
from samekey._core.values import fixed
from samekey.stores._redis_codec import GRACE_SECONDS, INDEXES, Keys, State, compact, event_text, pack, packed, ticks
from samekey.stores._rows import used_at

MOST_SKEW_SECONDS: Final = 10
"""How far a machine's clock may be from the server's where leases are concerned (R10)."""

_TICK: Final = timedelta(microseconds=1)
_MOST_SKEW: Final = str(timedelta(seconds=MOST_SKEW_SECONDS) // _TICK)
_GRACE: Final = str(timedelta(seconds=GRACE_SECONDS) // _TICK)


OK: Final = b"OK"
"""What a write answers that did all that was asked, and has nothing to tell."""


@fixed
class Script:
    """One Lua script.

    Attributes:
        text: what it is.
        digest: what the server knows it by.
    """

    text: str
    digest: str


def _script(name: str) -> Script:
    text = resources("samekey.stores").joinpath(f"lua/{name}.lua").read_text(encoding="utf-8")
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


OPEN: Final = _script("open")
READ: Final = _script("read")
ROWS: Final = _script("rows")
WRITE: Final = _script("write")


@fixed
class Call:
    """One command.

    Attributes:
        script: what to run; None for a command of the server's own, whose name is the first argument.
        keys: what it touches.
        arguments: what it is given.
        indexes: for a write, the keys that come first and are the same for all writes, as they are sent.
    """

    script: Script | None
    keys: tuple[str, ...]
    arguments: tuple[Any, ...]
    indexes: bytes = b""

    def packed(self, *, whole: bool) -> bytes:
        """What to send; a script as a whole, or as the digest of one that the server knows."""
        if self.script is None:
            return b"*%d\r\n%b" % (len(self.arguments), packed(self.arguments))
        name, what = ("EVAL", self.script.text) if whole else ("EVALSHA", self.script.digest)
        number = len(self.keys) + (INDEXES if self.indexes else 0)
        count = 3 + number + len(self.arguments)
        head, rest = packed((name, what, number)), packed((*self.keys, *self.arguments))
        return b"".join((b"*%d\r\n" % count, head, self.indexes, rest))


def claimed_now(row: Record) -> tuple[str, str]:
    """The moments of a claim: the lease is as long as the sender believes; when it ends, is the server's clock to say."""
    return "-" if row.first_sent_at is None else "+0", _lease(row)


def renewed_now(row: Record) -> tuple[str, str]:
    """The moments of a further attempt."""
    return "", _lease(row)


def _lease(row: Record) -> str:
    return "-" if row.lease_expires_at is None else f"+{(row.lease_expires_at - row.last_seen_at) // _TICK}"


def by_sender(row: Record) -> tuple[str, str]:
    """The moments of a row from another store: of them the sender's own clock is all that there is."""
    times = (row.first_sent_at, row.lease_expires_at)
    sent, lease = ("-" if time is None else str(ticks(time)) for time in times)
    return sent, lease


def plain(*words: Any) -> Call:
    """A command of the server's own."""
    return Call(None, (), words)


@fixed
class Guarding:
    """The part of a write that only claims have.

    Attributes:
        clock: the writer's time, in seconds since 1970.
        operation: whose scope names are compared.
        names: them.
        since: from when on others with the same payload are searched; None for no search.
        refuse: whether one that is found refuses the write.
    """

    clock: float
    operation: str = ""
    names: str = ""
    since: datetime | None = None
    refuse: bool = False


@fixed
class Change:
    """What a verb makes of an identity.

    Attributes:
        rows: to write.
        events: to add.
        forget: generations whose timelines go first.
        moments: when a row was first sent and until when its lease goes, by the server's clock, as `write.lua` reads them.
    """

    rows: tuple[Record, ...] = ()
    events: tuple[tuple[Record, Event], ...] = ()
    forget: tuple[int, ...] = ()
    moments: tuple[str, str] = ("", "")


def read(keys: Keys, store_id: str, identity: str) -> Call:
    """Asks for all that is stored of an identity."""
    return Call(READ, (keys.meta, keys.actions(identity), keys.bodies(identity), keys.newest), (store_id,))


def rows(keys: Keys, store_id: str, members: Collection[tuple[str, int]]) -> Call:
    """Asks for some generations."""
    touched = [name for identity, _ in members for name in (keys.actions(identity), keys.bodies(identity))]
    return Call(ROWS, (keys.meta, *touched), (store_id, *(generation for _, generation in members)))


def write(
    keys: Keys,
    store_id: str,
    identity: str,
    state: State,
    version: str,
    change: Change,
    guarding: Guarding | None = None,
) -> Call:
    """Writes a change, if the identity is still in that state."""
    touched = [keys.actions(identity), keys.bodies(identity), keys.timelines(identity)]
    clock, skew, operation, names, since, refuse = "", "", "", "", "", ""
    if guarding is not None:
        clock, skew = str(round(guarding.clock * 1e6)), _MOST_SKEW
        operation, names = guarding.operation, guarding.names
        if guarding.since is not None:
            since, refuse = str(ticks(guarding.since)), "1" if guarding.refuse else ""
            touched.append(keys.guard(change.rows[0]))
    rows: list[Sequence[str]] = []
    values: list[bytes] = []
    for row in change.rows:
        rows.append((*_row(keys, row, state.generation(row.generation), touched), *change.moments))
        values += pack(row)
    asked = (
        store_id,
        state.version,
        version,
        clock,
        skew,
        operation,
        names,
        since,
        refuse,
        identity,
        keys.bodies_start,
        _expiry({row.generation: row for row in (*state.generations, *change.rows)}.values()),
        _GRACE,
        rows,
        [str(generation) for generation in change.forget],
        [(str(row.generation), event_text(event)) for row, event in change.events],
    )
    return Call(WRITE, tuple(touched), (compact(asked), *values), keys.packed_indexes)


def _row(keys: Keys, row: Record, before: Record | None, touched: list[str]) -> Sequence[str]:
    guard = unguard = ""
    new = keys.guard(row) if row.guarded else None
    old = keys.guard(before) if before is not None and before.guarded else None
    if old is not None and old != new:
        touched.append(old)
        unguard = str(INDEXES + len(touched))
    if new is not None and (new != old or before is None or used_at(before) != used_at(row)):
        touched.append(new)
        guard = str(INDEXES + len(touched))
    expires = str(ticks(row.expires_at)) if row.settled and row.expires_at is not None else ""
    return (
        str(row.generation),
        row.idempotency_key,
        "" if row.settled else "1",
        expires,
        str(ticks(row.created_at)),
        str(ticks(used_at(row))),
        guard,
        unguard,
    )


def _expiry(generations: Collection[Record]) -> str:
    """When everything of an identity that may be forgotten may be; "" if something of it may never be."""
    whole = [row for row in generations if not row.purged]
    times = [row.expires_at for row in whole if row.settled and row.expires_at is not None]
    return str(ticks(max(times))) if times and len(times) == len(whole) else ""
