"""One asynchronous call of each vendor's SDK, in an ambient action. As a script: one order, to be killed and rerun."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import anthropic
import anyio
import httpx
import httpx2
import increase
import modern_treasury
import openai
import stripe

import samekey
from samekey.integrations.stripe import AsyncHTTPClient
from tests.transport.conftest import DAY
from tests.transport.vendors import SLOWLY


def transport(stack: AsyncExitStack, store: str, **options: Any) -> samekey.AsyncTransport:
    given: dict[str, Any] = {"window": DAY, "store": store, "verify": False}
    if "provider" in options:
        del given["window"]
    made = samekey.AsyncTransport(**(given | options))
    stack.push_async_callback(made.aclose)
    return made


async def call_modern_treasury(stack: AsyncExitStack, url: str, store: str, **options: Any) -> Any:
    http = httpx.AsyncClient(transport=transport(stack, store, **({"provider": "modern-treasury"} | options)))
    client = modern_treasury.AsyncModernTreasury(
        base_url=url,
        api_key="k",
        organization_id="o",
        http_client=await stack.enter_async_context(http),
        timeout=SLOWLY,
    )
    return await client.counterparties.create(name="Acme")


async def call_increase(stack: AsyncExitStack, url: str, store: str, **options: Any) -> Any:
    http = await stack.enter_async_context(httpx.AsyncClient(transport=transport(stack, store, **options)))
    client = increase.AsyncIncrease(base_url=url, api_key="k", http_client=http, timeout=SLOWLY)
    return await client.accounts.create(name="Acme")


async def call_openai(stack: AsyncExitStack, url: str, store: str, **options: Any) -> Any:
    http = await stack.enter_async_context(httpx2.AsyncClient(transport=transport(stack, store, **options)))
    client = openai.AsyncOpenAI(base_url=url, api_key="k", http_client=http, timeout=SLOWLY)
    return await client.embeddings.create(model="m", input="text", encoding_format="float")


async def call_anthropic(stack: AsyncExitStack, url: str, store: str, **options: Any) -> Any:
    http = await stack.enter_async_context(httpx2.AsyncClient(transport=transport(stack, store, **options)))
    client = anthropic.AsyncAnthropic(base_url=url, api_key="k", http_client=http, timeout=SLOWLY)
    return await client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hello"}])


async def call_stripe(stack: AsyncExitStack, url: str, store: str, **options: Any) -> Any:
    below = transport(stack, store, **({"provider": "stripe-v1"} | options))
    http = await stack.enter_async_context(AsyncHTTPClient(below, timeout=SLOWLY))
    client = stripe.StripeClient("sk_test_1", http_client=http, base_addresses={"api": url})
    return await client.v1.customers.create_async({"name": "Acme"})


VENDORS: dict[str, tuple[Callable[..., Any], type]] = {
    "modern_treasury": (call_modern_treasury, modern_treasury.types.Counterparty),
    "increase": (call_increase, increase.types.Account),
    "openai": (call_openai, openai.types.CreateEmbeddingResponse),
    "anthropic": (call_anthropic, anthropic.types.Message),
    "stripe": (call_stripe, stripe.StripeObject),
}


def run(name: str, url: str, store: str, **options: Any) -> tuple[Any, samekey.AmbientAction]:
    """The call, once, as one action, in an event loop of its own."""

    async def main() -> tuple[Any, samekey.AmbientAction]:
        async with AsyncExitStack() as stack, samekey.action("make", scope={"thing": 7}) as action:
            return await VENDORS[name][0](stack, url, store, **options), action
        raise AssertionError("left without a result")

    return anyio.run(main)


if __name__ == "__main__":
    made, _ = run(*sys.argv[1:])
    print(made.id if hasattr(made, "id") else made.model_extra["id"])
