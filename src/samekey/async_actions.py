"""One action of a client for event loops: one write, one key, one truth."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from samekey._core.keys import Identity
from samekey.actions import OneWrite, WriteOptions
from samekey.contracts import Operation
from samekey.errors import SamekeyError

if TYPE_CHECKING:
    import httpx
    from typing_extensions import TypeVar

    from samekey.async_engine import AsyncEngine

    ResponseT = TypeVar("ResponseT", default=httpx.Response)
else:
    from typing import TypeVar

    ResponseT = TypeVar("ResponseT")


class AsyncAction(OneWrite[ResponseT]):
    """One business action. Made by `AsyncClient.action`; used with `async with` around its one write.

    Its attributes are facts of this object and cost no I/O. Before the write they are None, 0, False or "".
    """

    def __init__(
        self,
        engine: AsyncEngine[Any, ResponseT],
        operation: Operation,
        identity: Identity,
        correlation_id: str | None,
    ) -> None:
        super().__init__(engine, operation, identity, correlation_id)
        self._engine = engine

    async def __aenter__(self) -> Self:
        """Opens the action; nothing is read or written yet."""
        self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the action. What leaves the block leaves it; see `actions.conclude` for what is added."""
        self._leave(error)

    async def request(self, method: str, url: Any, **options: Unpack[WriteOptions]) -> ResponseT:
        """Makes the action's one write, or returns its stored result.

        A cancellation leaves the record true: what has been sent, and what it brought, is written down before it goes on.

        Args:
            method: POST, PUT, PATCH or DELETE.
            url: absolute, or relative to the client's `base_url`.
            **options: as for httpx; `fingerprint` stands for a streamed body.

        Returns:
            The response: this run's, or the stored one.

        Raises:
            SamekeyError: what `Action.request` raises.
        """
        prepared = self._begin(method, url, options)
        try:
            finished = await self._engine.run(self._identity, self._operation, prepared, self._correlation_id)
        except SamekeyError as error:
            self._error = error
            raise
        return self._ended(finished)

    async def post(self, url: Any, **options: Unpack[WriteOptions]) -> ResponseT:
        """`request("POST", …)`."""
        return await self.request("POST", url, **options)

    async def put(self, url: Any, **options: Unpack[WriteOptions]) -> ResponseT:
        """`request("PUT", …)`."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: Any, **options: Unpack[WriteOptions]) -> ResponseT:
        """`request("PATCH", …)`."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: Any, **options: Unpack[WriteOptions]) -> ResponseT:
        """`request("DELETE", …)`."""
        return await self.request("DELETE", url, **options)
