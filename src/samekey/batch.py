"""A loop of actions in which one that fails does not end the others."""

from __future__ import annotations

import sys
import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, TextIO

from samekey.actions import Action, Known
from samekey.errors import NotSentError, SamekeyError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from typing_extensions import TypeVar

    from samekey._core.keys import Scope
    from samekey.async_actions import AsyncAction
    from samekey.contracts import Operation

    ResponseT = TypeVar("ResponseT", default=httpx.Response)
else:
    from typing import TypeVar

    ResponseT = TypeVar("ResponseT")

PROGRESS_SECONDS: Final = 0.2
"""How often the line on a terminal is written anew, at most."""


class Tally:
    """What becomes of the actions of a loop.

    Attributes:
        failures: the errors that were collected, in their order.
        made: actions that succeeded now.
        replayed: actions whose result was on record.
    """

    def __init__(self, *, stop_after: int, stream: TextIO | None = None) -> None:
        if type(stop_after) is not int or stop_after < 1:
            raise UsageError("stop_after= is how many actions in a row may fail to be sent; give a positive int.")
        self.failures: list[SamekeyError] = []
        self.made: int = 0
        self.replayed: int = 0
        self._stop_after = stop_after
        self._unsent_in_a_row = 0
        self._progress = _Progress(sys.stderr if stream is None else stream)

    @property
    def ok(self) -> bool:
        """Whether every action so far has succeeded."""
        return not self.failures

    def __str__(self) -> str:
        """The counts, then a line for each failure. The line on the terminal is over."""
        self._progress.end()
        kinds = Counter(type(error).__name__ for error in self.failures)
        failed = "".join(f", {number} {name}" for name, number in sorted(kinds.items()))
        total = self.made + self.replayed + len(self.failures)
        head = f"{total} action{'' if total == 1 else 's'}: {self.made} made now, {self.replayed} already made{failed}"
        return "\n".join([head, *(f"  {error}" for error in self.failures)])

    def __repr__(self) -> str:
        """The counts."""
        return f"<{type(self).__name__} made={self.made} replayed={self.replayed} failures={len(self.failures)}>"

    def count(self, action: Known[Any], error: BaseException | None) -> bool:
        """Takes note of an action that ended; whether its error was collected.

        An error that the block has caught itself is its action's all the same.
        """
        error = action._error if error is None else error  # noqa: SLF001 - an action shows its error by raising it
        if error is None:
            self._unsent_in_a_row = 0
            if action.record is not None:
                self.replayed += action.replayed
                self.made += not action.replayed
            self._progress.tell(self)
            return False
        if not isinstance(error, SamekeyError) or isinstance(error, (UsageError, StoreError)):
            self._progress.end()
            return False
        self.failures.append(error)
        self._unsent_in_a_row = self._unsent_in_a_row + 1 if isinstance(error, NotSentError) else 0
        if self._unsent_in_a_row >= self._stop_after:
            self._progress.end()
            error.add_note(f"The batch stopped here: {self._unsent_in_a_row} actions in a row were not sent.")
            return False
        self._progress.tell(self)
        return True


class Batch(Tally, Generic[ResponseT]):
    """Collects what becomes of the actions of a loop. Made by `Client.batch`.

    ```python
    batch = client.batch()
    for cart in carts:
        with batch.action(create_order, scope={"cart": cart.id}) as action:
            action.post("/orders", json=cart.total)
    print(batch)
    sys.exit(not batch.ok)
    ```

    What concerns one action (a refusal, an unknown outcome, a conflict, a review) is collected and the loop goes on. What
    concerns them all goes through: a `UsageError`, a `StoreError`, and exceptions that are not samekey's. So does the
    `NotSentError` that is one too many in a row: the API is not there, and the rest of the loop would only wait for it.

    Attributes:
        failures: the errors that were collected, in their order.
        made: actions that succeeded now.
        replayed: actions whose result was on record.
    """

    def __init__(
        self, open_action: Callable[..., Action[ResponseT]], *, stop_after: int, stream: TextIO | None = None
    ) -> None:
        super().__init__(stop_after=stop_after, stream=stream)
        self._open = open_action

    def action(self, operation: Operation | str, *, scope: Scope, correlation_id: str | None = None) -> Slot[ResponseT]:
        """One business action, as `Client.action`; leaving its block collects what concerns it alone.

        Args:
            operation: an `Operation`, or the name of one of the client's.
            scope: the fields that make this action this one.
            correlation_id: your own id for logs.

        Raises:
            UsageError: the name is unknown, or the scope does not fit.
        """
        return Slot(self, self._open(operation, scope=scope, correlation_id=correlation_id))


class Slot(Generic[ResponseT]):
    """The block of one action of a batch. Leaving it collects what concerns that action alone."""

    def __init__(self, batch: Batch[ResponseT], action: Action[ResponseT]) -> None:
        self._batch = batch
        self._action = action

    def __enter__(self) -> Action[ResponseT]:
        """Opens the action."""
        return self._action.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Closes the action, and collects its error if it has one of its own."""
        try:
            self._action.__exit__(kind, error, trace)
        except SamekeyError as verdict:  # over the exception of somebody who had wrapped it
            if not self._batch.count(self._action, verdict):
                raise
            return True
        return self._batch.count(self._action, error)


class AsyncBatch(Tally, Generic[ResponseT]):
    """Collects what becomes of the actions of a loop, or of many tasks. Made by `AsyncClient.batch`; see `Batch`.

    ```python
    batch = client.batch()
    for cart in carts:
        async with batch.action(create_order, scope={"cart": cart.id}) as action:
            await action.post("/orders", json=cart.total)
    print(batch)
    ```

    Attributes:
        failures: the errors that were collected, in their order.
        made: actions that succeeded now.
        replayed: actions whose result was on record.
    """

    def __init__(
        self, open_action: Callable[..., AsyncAction[ResponseT]], *, stop_after: int, stream: TextIO | None = None
    ) -> None:
        super().__init__(stop_after=stop_after, stream=stream)
        self._open = open_action

    def action(
        self, operation: Operation | str, *, scope: Scope, correlation_id: str | None = None
    ) -> AsyncSlot[ResponseT]:
        """One business action, as `AsyncClient.action`; leaving its block collects what concerns it alone.

        Args:
            operation: an `Operation`, or the name of one of the client's.
            scope: the fields that make this action this one.
            correlation_id: your own id for logs.

        Raises:
            UsageError: the name is unknown, or the scope does not fit.
        """
        return AsyncSlot(self, self._open(operation, scope=scope, correlation_id=correlation_id))


class AsyncSlot(Generic[ResponseT]):
    """The block of one action of a batch. Leaving it collects what concerns that action alone."""

    def __init__(self, batch: AsyncBatch[ResponseT], action: AsyncAction[ResponseT]) -> None:
        self._batch = batch
        self._action = action

    async def __aenter__(self) -> AsyncAction[ResponseT]:
        """Opens the action."""
        return await self._action.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Closes the action, and collects its error if it has one of its own."""
        try:
            await self._action.__aexit__(kind, error, trace)
        except SamekeyError as verdict:  # over the exception of somebody who had wrapped it
            if not self._batch.count(self._action, verdict):
                raise
            return True
        return self._batch.count(self._action, error)


class _Progress:
    """One line on a terminal, written over; nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None
        self._told_at = 0.0
        self._shown = False

    def tell(self, batch: Tally) -> None:
        if self._stream is None or time.monotonic() - self._told_at < PROGRESS_SECONDS:
            return
        self._told_at, self._shown = time.monotonic(), True
        self._stream.write(f"\r{batch.made} made, {batch.replayed} already made, {len(batch.failures)} failed\x1b[K")
        self._stream.flush()

    def end(self) -> None:
        if self._stream is not None and self._shown:
            self._shown = False
            self._stream.write("\r\x1b[K")
            self._stream.flush()
