"""One call of each vendor's SDK, in an ambient action. As a script: one order against a server, to be killed and rerun."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import anthropic
import httpx
import httpx2
import increase
import modern_treasury
import openai
import stripe

import samekey
from samekey.integrations.stripe import HTTPClient
from tests.transport.conftest import DAY

SLOWLY = 20.0


def transport(stack: ExitStack, store: str, **options: Any) -> samekey.Transport:
    given: dict[str, Any] = {"window": DAY, "store": store, "verify": False}
    if "provider" in options:
        del given["window"]
    made = samekey.Transport(**(given | options))
    stack.callback(made.close)
    return made


def call_modern_treasury(stack: ExitStack, url: str, store: str, **options: Any) -> Any:
    http = httpx.Client(transport=transport(stack, store, **({"provider": "modern-treasury"} | options)))
    client = modern_treasury.ModernTreasury(
        base_url=url, api_key="k", organization_id="o", http_client=stack.enter_context(http), timeout=SLOWLY
    )
    return client.counterparties.create(name="Acme")


def call_increase(stack: ExitStack, url: str, store: str, **options: Any) -> Any:
    http = httpx.Client(transport=transport(stack, store, **options))
    client = increase.Increase(base_url=url, api_key="k", http_client=stack.enter_context(http), timeout=SLOWLY)
    return client.accounts.create(name="Acme")


def call_openai(stack: ExitStack, url: str, store: str, **options: Any) -> Any:
    http = httpx2.Client(transport=transport(stack, store, **options))
    client = openai.OpenAI(base_url=url, api_key="k", http_client=stack.enter_context(http), timeout=SLOWLY)
    return client.embeddings.create(model="m", input="text", encoding_format="float")


def call_openai_over_httpx(stack: ExitStack, url: str, store: str, **options: Any) -> Any:
    http: Any = httpx.Client(transport=transport(stack, store, **options))
    client = openai.OpenAI(base_url=url, api_key="k", http_client=stack.enter_context(http), timeout=SLOWLY)
    return client.embeddings.create(model="m", input="text", encoding_format="float")


def call_anthropic(stack: ExitStack, url: str, store: str, **options: Any) -> Any:
    http = httpx2.Client(transport=transport(stack, store, **options))
    client = anthropic.Anthropic(base_url=url, api_key="k", http_client=stack.enter_context(http), timeout=SLOWLY)
    return client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hello"}])


def call_stripe(stack: ExitStack, url: str, store: str, **options: Any) -> Any:
    http = HTTPClient(transport(stack, store, **({"provider": "stripe-v1"} | options)), timeout=SLOWLY)
    stack.callback(http.close)
    client = stripe.StripeClient("sk_test_1", http_client=http, base_addresses={"api": url})
    return client.v1.customers.create({"name": "Acme"})


VENDORS: dict[str, tuple[Callable[..., Any], type]] = {
    "modern_treasury": (call_modern_treasury, modern_treasury.types.Counterparty),
    "increase": (call_increase, increase.types.Account),
    "openai": (call_openai, openai.types.CreateEmbeddingResponse),
    "openai_over_httpx": (call_openai_over_httpx, openai.types.CreateEmbeddingResponse),
    "anthropic": (call_anthropic, anthropic.types.Message),
    "stripe": (call_stripe, stripe.StripeObject),
}


def run(name: str, url: str, store: str, **options: Any) -> tuple[Any, samekey.AmbientAction]:
    """The call, once, as one action."""
    with ExitStack() as stack, samekey.action("make", scope={"thing": 7}) as action:
        return VENDORS[name][0](stack, url, store, **options), action
    raise AssertionError("left without a result")


if __name__ == "__main__":
    made, _ = run(*sys.argv[1:])
    print(made.id if hasattr(made, "id") else made.model_extra["id"])
