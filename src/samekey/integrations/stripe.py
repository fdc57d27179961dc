"""Stripe's SDK over `samekey.Transport`.

```python
with samekey.integrations.stripe.HTTPClient(samekey.Transport(provider="stripe-v1")) as http:
    client = stripe.StripeClient(api_key, http_client=http, max_network_retries=0)
    with samekey.action("charge", scope={"invoice": "inv_7"}):
        client.v1.payment_intents.create({"amount": 1999, "currency": "eur"})
```

`AsyncHTTPClient` over `samekey.AsyncTransport` is for `create_async` and its like.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx

from samekey.async_transport import AsyncTransport
from samekey.errors import UsageError
from samekey.http.guard import CONNECT_SECONDS
from samekey.transport import Transport

try:
    import stripe
except ImportError as _missing:
    raise UsageError("samekey.integrations.stripe needs Stripe's SDK; pip install stripe.") from _missing

READ_SECONDS: Final = 80.0
"""How long Stripe's own client waits for an answer (stripe 16.1.0, `RequestsClient`)."""

_PER_SEND: Final = "x-stripe-client-telemetry"  # tells of the send before: two sends of one key must be the same


def _timeout(timeout: httpx.Timeout | float | None) -> httpx.Timeout | float:
    return httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS) if timeout is None else timeout


def _kept(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name: value for name, value in (headers or {}).items() if name.lower() != _PER_SEND}


class HTTPClient(stripe.HTTPClient):
    """An HTTP client for `stripe.StripeClient(http_client=...)`. Synchronous.

    Args:
        transport: what protects the writes and sends them. Closed with this client.
        timeout: as in httpx; None for what Stripe's own client has.

    Raises:
        UsageError: Stripe's SDK is not installed (at import).
    """

    name = "samekey"

    def __init__(self, transport: Transport, *, timeout: httpx.Timeout | float | None = None) -> None:
        super().__init__()
        self._http = httpx.Client(transport=transport, timeout=_timeout(timeout))

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Sends one request of the SDK; a samekey error goes through to the caller."""
        response = self._http.request(method.upper(), url, headers=_kept(headers), content=post_data)
        return response.text, response.status_code, response.headers

    def close(self) -> None:
        """Closes the client and its transport."""
        self._http.close()


class AsyncHTTPClient(stripe.HTTPClient):
    """An HTTP client for the `..._async` methods of `stripe.StripeClient(http_client=...)`, on asyncio and on trio.

    Args:
        transport: what protects the writes and sends them. Closed with this client.
        timeout: as in httpx; None for what Stripe's own client has.

    Raises:
        UsageError: Stripe's SDK is not installed (at import).
    """

    name = "samekey"

    def __init__(self, transport: AsyncTransport, *, timeout: httpx.Timeout | float | None = None) -> None:
        super().__init__()
        self._http = httpx.AsyncClient(transport=transport, timeout=_timeout(timeout))

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        await self.close_async()

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Sends one request of the SDK; a samekey error goes through to the caller."""
        response = await self._http.request(method.upper(), url, headers=_kept(headers), content=post_data)
        return response.content, response.status_code, response.headers

    async def sleep_async(self, secs: float) -> None:
        """Waits between two tries of the SDK's own."""
        from anyio import sleep

        await sleep(secs)

    async def close_async(self) -> None:
        """Closes the client and its transport."""
        await self._http.aclose()
