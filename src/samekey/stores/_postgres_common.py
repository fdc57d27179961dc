"""What both PostgreSQL stores are told, and know without waiting."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Self

from samekey._core.model import Record
from samekey._core.states import Status
from samekey._core.verbs import Existing
from samekey.errors import UsageError
from samekey.stores import _postgres_desk as desk
from samekey.stores import _postgres_schema as schemas
from samekey.stores._hosts import host_holder
from samekey.stores._postgres_address import Address
from samekey.stores._postgres_listen import FIRST_LOOK, HEARING_LOOK, SLOWEST_LOOK
from samekey.stores._postgres_session import Session
from samekey.stores._postgres_sql import texts
from samekey.stores._postgres_verbs import Verb
from samekey.unpicklable import Unpicklable


class Common(Unpicklable):
    """What both stores are told, and know without asking."""

    def __init__(
        self,
        conninfo: str,
        *,
        lease: timedelta | None = None,
        schema: str = "samekey",
        create: bool = True,
        pool: int = 10,
        prepare: bool | None = None,
        listen: bool | str = True,
    ) -> None:
        if pool < 1:
            raise UsageError(f"pool={pool!r} is the most connections that a process may have; give a positive int.")
        self._address = Address.of(conninfo, schema=schema, prepare=prepare)
        self._texts = texts(schema)
        self._lease = lease
        self._create = create
        self._size = pool
        direct = Address.of(listen, schema=schema, prepare=False) if isinstance(listen, str) else self._address
        self._listens = bool(listen)
        self._direct = direct.conninfo
        self._given: bytes | None = None
        self._asked = False
        self._forget()

    def __repr__(self) -> str:
        """Shows where it is, without a password."""
        return f"<{type(self).__name__} {self.location!r}>"

    def _forget(self) -> None:
        self._session: Session | None = None
        self._opened: schemas.Opened | None = None

    @property
    def location(self) -> str:
        """Its address without a password."""
        return self._address.location

    @property
    def lease(self) -> timedelta | None:
        """How long an attempt may hold an action."""
        return self._lease

    def _opening(self, *, keep: bool = False) -> Verb[schemas.Opened]:
        given, asked = self._given, self._asked
        return schemas.open_store(self._texts, self.location, given, asked=asked, create=self._create, keep=keep)

    def _known(self, opened: schemas.Opened) -> Session:
        self._opened = opened
        session = self._session = self._session or Session(self._texts, host_holder(opened.store_id))
        return session

    def _finding(
        self,
        key_prefix: str | None,
        statuses: Collection[Status] | None,
        operation_name: str | None,
        actor_id: str | None,
        origin: str | None,
        *,
        newest_first: bool,
        limit: int | None,
    ) -> Callable[[], Verb[list[Record]]]:
        found = (key_prefix, statuses, operation_name, actor_id, origin)
        return partial(desk.find_rows, self._texts, *found, newest_first=newest_first, limit=limit)


@dataclass(slots=True)
class Patience:
    """When to look again at what another process does."""

    until: float
    pause: float = FIRST_LOOK

    @classmethod
    def until_lease(cls, existing: Existing, seconds: float) -> Self:
        """For a holder that may be alive: no longer than its lease, which is all that a process that sleeps has."""
        lease = existing.by_store.lease_left if existing.by_store is not None else None
        return cls(time.monotonic() + (seconds if lease is None else min(seconds, max(lease, 0.0) + FIRST_LOOK)))

    def left(self) -> float:
        """Seconds until the wait ends."""
        return self.until - time.monotonic()

    def next(self, *, hearing: bool) -> float:
        """Seconds until the next look at the row."""
        pause, most = self.pause, HEARING_LOOK if hearing else SLOWEST_LOOK
        self.pause = min(pause * 2, most)
        return min(pause, most)
