"""A connection on which something may happen just before a statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samekey.stores._connection import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Watched:
    """A connection that tells what it is about to do."""

    def __init__(self, uri: str, before: Callable[[str], None]) -> None:
        self._inner = connect(uri)
        self._before = before

    @property
    def in_transaction(self) -> bool:
        return self._inner.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        self._before(sql)
        return self._inner.execute(sql, parameters)

    def close(self) -> None:
        self._inner.close()
