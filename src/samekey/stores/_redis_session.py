"""What all verbs of the Redis store begin with: the server is looked at, the store opened, an identity read.

Verbs are generators, once for threads and event loops. They yield a `Call` for the server, or a function that looks at
this machine's own files; a runner answers.
"""

import hashlib
import hmac
import secrets
import threading
import weakref
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from samekey._core.model import Record
from samekey._core.verbs import Existing
from samekey.errors import StoreFormatError, StoreUnavailableError
from samekey.stores import _redis_calls as calls
from samekey.stores import _redis_codec as codec
from samekey.stores._errors import NOT_RECORDED, NOTHING_SENT
from samekey.stores._holders import Holder
from samekey.stores._hosts import Leased, host_holder
from samekey.stores._redis_calls import Call, Change, plain
from samekey.stores._redis_codec import Keys, State
from samekey.stores._redis_server import SCHEMA, Facts, facts, gone, refuse_volatile
from samekey.stores._running import Running, Task

T = TypeVar("T")
Asked = Call | Callable[[], Any]
Plan = Generator[Asked, Any, T]
"""Yields what it asks, is sent the answers, returns what the verb returns."""


class Claiming:
    """Tasks that are about to begin: nobody in this process may take their rows for those of dead ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[Task, int] = {}

    def __contains__(self, task: Task) -> bool:
        """Whether it is about to begin."""
        return task in self._tasks

    def begin(self, task: Task) -> None:
        """Says so, until as many times `end` was called."""
        with self._lock:
            self._tasks[task] = self._tasks.get(task, 0) + 1

    def end(self, task: Task) -> None:
        """It runs, or does not."""
        with self._lock:
            left = self._tasks[task] - 1
            if left:
                self._tasks[task] = left
            else:
                del self._tasks[task]


# Of all store objects of this process on one store.
_claiming: "weakref.WeakKeyDictionary[Running, Claiming]" = weakref.WeakKeyDictionary()


class Session:
    """What one store object knows.

    Args:
        location: the store, for people.
        prefix: what its keys begin with.
        allow_volatile: whether a server may be used that can forget.
    """

    def __init__(self, location: str, prefix: str, *, allow_volatile: bool) -> None:
        self.location = location
        self.keys = Keys(prefix)
        self.facts: Facts | None = None
        self._allow_volatile = allow_volatile
        self.id = ""
        self.after_fork()

    def after_fork(self) -> None:
        """A child is another process and takes a holder of its own."""
        self.holder: Holder | Leased | None = None
        self.claiming = Claiming()
        self._open = False
        self.names: dict[str, str] = {}

    def forget(self) -> None:
        """The next verb looks at the server anew."""
        self._open = False

    @property
    def claim_durable(self) -> bool:
        """Whether an acknowledged claim survives, as far as the server was looked at."""
        return self.facts is not None and self.facts.claim_durable

    def release(self, identity: str, generation: int, fence: int) -> None:
        """Says that a task no longer runs."""
        if self.holder is not None:
            self.holder.running.end((identity, generation, fence))

    # --- opening ---------------------------------------------------------------------------------------------

    def open(self) -> Plan[Holder | Leased]:
        """Looks at the server, if that was not done before."""
        if not self._open:
            yield from self.secret(None, check=False)
        assert self.holder is not None
        return self.holder

    def secret(self, given: bytes | None, *, check: bool = True, keep: bool = False) -> Plan[bytes]:
        """Opens the store, and makes it on first use.

        Args:
            given: the fleet's secret, or None.
            check: whether it is an error that the store does not have its secret itself and none is given.
            keep: whether a store that is made now is to keep the given secret, as it does its own.
        """
        yield from self._look()
        fresh = secrets.token_bytes(32)
        first = given if given is not None else fresh
        kept = first.hex() if given is None or keep else ""
        reply = yield Call(
            calls.OPEN,
            (self.keys.meta, self.keys.order),
            (SCHEMA, secrets.token_hex(8), _check_value(first), kept, self.id),
        )
        if reply[0] == b"gone":
            raise gone(self.location, NOTHING_SENT)
        if reply[0] == b"damaged":
            raise StoreFormatError(
                f"the store {self.location} is damaged (it has actions, but not what tells their secret), "
                f"{NOTHING_SENT}; restore it from a backup."
            )
        schema, store_id, check_value, stored = (part.decode() for part in reply[1:])
        if schema != str(SCHEMA):
            raise StoreFormatError(
                f"{self.location} was written by a newer samekey (schema {schema}, this one reads {SCHEMA}), "
                f"{NOTHING_SENT}; upgrade samekey."
            )
        secret = given if given is not None else bytes.fromhex(stored)
        if check and not secret:
            raise StoreFormatError(
                f"the store {self.location} was made under a secret that was given, {NOTHING_SENT}; set SAMEKEY_SECRET, "
                "or pass secret=."
            )
        if secret and not hmac.compare_digest(_check_value(secret), check_value):
            raise StoreFormatError(
                f"the store {self.location} was made under another secret, under which its actions have other keys, "
                f"{NOTHING_SENT}; use the secret of that time (SAMEKEY_SECRET), or another store."
            )
        self.id = store_id
        self._open = True
        if self.holder is None:
            self.holder = yield lambda: host_holder(store_id)
            self.claiming = _claiming.setdefault(self.holder.running, self.claiming)
        return secret

    def _look(self) -> Plan[None]:
        info = yield plain("INFO")
        settings = {}
        try:
            for name in ("appendonly", "appendfsync", "maxmemory-policy"):
                pair = yield plain("CONFIG", "GET", name)
                settings.update({name: pair[1].decode()} if pair else {})
        except StoreUnavailableError as error:
            if error.uncertain or not self._forbidden(error):
                raise
            settings = {}
        self.facts = facts(info, settings)
        if self.facts.replica:
            raise StoreUnavailableError(
                f"the Redis server of {self.location} is a replica, which cannot be written to, {NOTHING_SENT}; name the "
                "primary."
            )
        if not self._allow_volatile:
            refuse_volatile(self.facts, self.location)

    def _forbidden(self, error: StoreUnavailableError) -> bool:
        """Whether managed servers say so of CONFIG: that it is unknown, or not for this user."""
        said = str(error.__cause__).lower()
        return "unknown command" in said or "permission" in said or "not allowed" in said or "disabled" in said

    # --- reading and writing an identity ---------------------------------------------------------------------

    def read(self, identity: str) -> Plan[State]:
        yield from self.open()
        reply = yield calls.read(self.keys, self.id, identity)
        return self.state(reply, NOTHING_SENT)

    def state(self, reply: Any, so: str) -> State:
        if reply[0] == b"gone":
            raise gone(self.location, so)
        return codec.state(reply, self.location)

    def change(self, identity: str, state: State, change: Change) -> Plan[State | None]:
        """Writes a change; returns the other state if there is another by now."""
        version = secrets.token_hex(8)
        reply = yield calls.write(self.keys, self.id, identity, state, version, change)
        return None if reply == calls.OK else self.state(reply, NOT_RECORDED)

    def existing(self, state: State) -> Plan[Existing]:
        row = state.highest
        assert row is not None
        if row.settled:
            return Existing(row)
        me = yield from self.open()
        high_water = row.last_seen_at if state.newest is None else max(state.newest, row.last_seen_at)
        if row.holder is None:
            return Existing(row, high_water=high_water, by_store=state.clock)
        if row.holder == me.name:
            own = self.is_own(me, row)
            return Existing(row, alive=own, own=own, high_water=high_water, by_store=state.clock)
        alive = yield lambda: me.is_alive(str(row.holder))
        return Existing(row, alive=alive, high_water=high_water, by_store=state.clock)

    def is_own(self, me: Holder | Leased, row: Record) -> bool:
        task = (row.identity, row.generation, row.fence)
        return task in me.running or task in self.claiming


def _check_value(secret: bytes) -> str:
    return hmac.new(secret, b"samekey secret check", hashlib.sha256).hexdigest()
