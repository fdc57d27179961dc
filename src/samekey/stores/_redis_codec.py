"""How the Redis store names its keys and writes its values: pure.

All keys of a store have one hash tag, so on a cluster they live on one node: whatever a script touches, indexes and
the search for duplicates among them, changes at one instant, as in a transaction of SQL.

For each identity there are three keys: *actions*, a hash that never expires, with the identity's version, and for each
generation its number in the order of all and, once it is settled, its tombstone; *bodies*, a hash with the whole record
of each generation; and *timelines*, a list. The last two expire when all that is in them is settled and its retention
is over, and what is left is the tombstone (R8).
"""

import hashlib
import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from samekey._core.jsontext import encoder
from samekey._core.model import Event, Record
from samekey._core.states import Status
from samekey._core.values import fixed
from samekey._core.verbs import StoreClock
from samekey.errors import StoreFormatError
from samekey.stores import _rulings
from samekey.stores._codec import TIMES, UNREADABLE, damaged, moment
from samekey.stores._errors import NOTHING_SENT
from samekey.stores._rows import FIELDS, clean, values_of

GRACE_SECONDS: Final = 86_400
"""How long after its retention a record stays that nobody purges: a purge says on the timeline that it was one."""

compact: Final = encoder(ascii_only=True)
"""JSON as it is written here."""

_TIMES: Final = tuple(FIELDS.index(name) for name in TIMES)
_MAPPINGS: Final = tuple(FIELDS.index(name) for name in ("scope", "field_digests"))
_STATUS: Final = FIELDS.index("status")
_HEADERS: Final = FIELDS.index("response_headers")
_VOLATILE: Final = FIELDS.index("volatile")
_BOOT_TIME: Final = FIELDS.index("boot_time")
_FROZEN: Final = FIELDS.index("frozen_request")
_BODY: Final = FIELDS.index("response_body")
_KEPT: Final = tuple(index for index, name in enumerate(FIELDS) if name not in _rulings.ERASED)
"""What a tombstone has: all that a purge does not take."""
_NOTHING: Final = tuple(_rulings.ERASED.get(name) for name in FIELDS)
_STONE: Final = operator.itemgetter(*_KEPT)


def ticks(moment: datetime) -> int:
    """Microseconds since 1970: how this store counts time, for whole numbers are read and written far faster."""
    return round(moment.timestamp() * 1e6)


def of_ticks(count: float) -> datetime:
    """The time of so many microseconds since 1970."""
    return moment(count / 1e6)


INDEXES: Final = 7
"""How many keys every write of a store touches."""


def packed(words: Iterable[Any]) -> bytes:
    """Words of a command as the protocol has them. redis-py's own way takes as long as all else that a client does."""
    parts: list[bytes] = []
    for word in words:
        data = word if type(word) is bytes else str(word).encode()
        parts += (b"$%d\r\n" % len(data), data, b"\r\n")
    return b"".join(parts)


class Keys:
    """The names of a store's keys.

    Args:
        prefix: what they begin with, in braces: the hash tag.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = f"{{{prefix}}}"
        self.meta = f"{self.prefix}:meta"
        self.order = f"{self.prefix}:order"
        self.by_key = f"{self.prefix}:by_key"
        self.open = f"{self.prefix}:open"
        self.due = f"{self.prefix}:due"
        self.newest = f"{self.prefix}:newest"
        self.operations = f"{self.prefix}:operations"
        indexes = (self.meta, self.order, self.by_key, self.open, self.due, self.newest, self.operations)
        assert len(indexes) == INDEXES
        self.packed_indexes = packed(indexes)
        self.bodies_start = f"{self.prefix}:body:"

    def actions(self, identity: str) -> str:
        """What stays of an identity for ever."""
        return f"{self.prefix}:action:{identity}"

    def bodies(self, identity: str) -> str:
        """The whole records of an identity."""
        return f"{self.bodies_start}{identity}"

    def timelines(self, identity: str) -> str:
        """The timelines of an identity."""
        return f"{self.prefix}:timeline:{identity}"

    def guard(self, record: Record) -> str:
        """Where other actions with the same payload are found."""
        name, fingerprint = clean(record.operation_name), clean(record.request_fingerprint)
        digest = hashlib.sha256(f"{name}\0{fingerprint}".encode()).hexdigest()[:32]
        return f"{self.prefix}:guard:{digest}"


@fixed
class Member:
    """A generation, as the indexes name it."""

    number: str
    generation: int
    identity: str

    @classmethod
    def of(cls, text: bytes) -> "Member":
        """Reads one; before a NUL may stand its key."""
        number, generation, identity = text.rpartition(b"\0")[2].decode().split(":", 2)
        return cls(number, int(generation), identity)


@fixed
class State:
    """All that is stored of one identity.

    Attributes:
        version: names the last write; "" where there was none.
        generations: oldest first.
        newest: when the newest record of the store was made.
        clock: what the server's clock says of the highest generation.
    """

    version: str = ""
    generations: tuple[Record, ...] = ()
    newest: datetime | None = None
    clock: StoreClock | None = None

    @property
    def highest(self) -> Record | None:
        """The highest generation."""
        return self.generations[-1] if self.generations else None

    def generation(self, number: int) -> Record | None:
        """One of them."""
        return next((row for row in self.generations if row.generation == number), None)


def state(reply: Sequence[Any], location: str) -> State:
    """Reads what `read.lua` tells, or `write.lua` of another state than the expected one."""
    actions, bodies = _mapping(reply[1]), _mapping(reply[2])
    numbers = sorted(int(name[1:]) for name in actions if name.startswith(b"g"))
    rows = (row_of(actions[b"g%d" % number], bodies.get(b"%d" % number, b""), location) for number in numbers)
    newest = of_ticks(float(reply[3])) if reply[3] else None
    clock = _clock(actions, numbers[-1], float(reply[4])) if numbers else None
    return State(actions.get(b"v", b"").decode(), tuple(rows), newest, clock)


def _clock(actions: Mapping[bytes, bytes], generation: int, now: float) -> StoreClock:
    sent, lease = actions.get(b"f%d" % generation), actions.get(b"l%d" % generation)
    return StoreClock((now - float(sent)) / 1e6 if sent else None, (float(lease) - now) / 1e6 if lease else None)


def _mapping(flat: Sequence[bytes]) -> Mapping[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def row_of(stone: bytes, body: bytes, location: str) -> Record:
    """The record, or its tombstone where the record has expired.

    Raises:
        StoreFormatError: it is unsettled and gone, which a server that evicts keys may have done.
    """
    if body or stone:
        return unpack(body or stone)
    raise StoreFormatError(
        f"the store {location} has lost the record of an unsettled action, {NOTHING_SENT}; the server has evicted or "
        "somebody deleted its keys: restore them from a backup, and set maxmemory-policy to noeviction."
    )


def pack(record: Record) -> tuple[bytes, bytes]:
    """A record as two values.

    Returns:
        What stays of it for ever, as JSON, which is nothing yet while it is unsettled; and all of it, a line of JSON and
        then the bytes that JSON has no form for, which is nothing once it was purged.
    """
    row: list[Any] = list(values_of(record))
    for index in _TIMES:
        time = row[index]
        if time is not None:
            row[index] = ticks(time)
    for index in _MAPPINGS:
        row[index] = dict(row[index])
    row[_STATUS] = record.status._value_
    boot, frozen, body = row[_BOOT_TIME], row[_FROZEN], row[_BODY]
    row[_BOOT_TIME] = None if boot is None else float(boot).hex()
    row[_FROZEN] = None if frozen is None else len(frozen)
    row[_BODY] = None if body is None else len(body)
    whole = b"" if record.purged else b"".join((compact(row).encode(), b"\n", frozen or b"", body or b""))
    return compact(_STONE(row)).encode() if record.settled else b"", whole


def unpack(value: bytes) -> Record:
    """The record of a value.

    Raises:
        StoreFormatError: the value has something that samekey does not write.
    """
    text, whole, tail = value.partition(b"\n")
    try:
        row = json.loads(text)
        if not whole:
            row = _of_stone(row)
        for index in _TIMES:
            if row[index] is not None:
                row[index] = of_ticks(row[index])
        for index in _MAPPINGS:
            row[index] = dict(row[index])
        row[_STATUS] = Status(row[_STATUS])
        row[_HEADERS] = tuple((name, text) for name, text in row[_HEADERS])
        row[_VOLATILE] = tuple(row[_VOLATILE])
        boot, frozen, body = row[_BOOT_TIME], row[_FROZEN], row[_BODY]
        row[_BOOT_TIME] = None if boot is None else float.fromhex(boot)
        row[_FROZEN] = None if frozen is None else tail[:frozen]
        row[_BODY] = None if body is None else tail[len(tail) - body :]
        return Record(**dict(zip(FIELDS, row, strict=True)))
    except UNREADABLE:
        raise damaged() from None


def _of_stone(kept: Sequence[Any]) -> list[Any]:
    row = list(_NOTHING)
    for index, value in zip(_KEPT, kept, strict=True):
        row[index] = value
    return row


def event_text(event: Event) -> str:
    """An event as a line of a timeline."""
    return compact([ticks(event.at), event.kind, clean(event.detail)])


def event_of(line: bytes) -> Event:
    """The event of such a line, without the generation before it."""
    at, kind, detail = json.loads(line)
    return Event(of_ticks(at), kind, detail)


def names_of(scope: Mapping[str, str]) -> str:
    """Scope names as they are compared: in one order."""
    return _names_text(tuple(scope))


@lru_cache(maxsize=256)
def _names_text(names: tuple[str, ...]) -> str:
    return json.dumps(sorted(names))
