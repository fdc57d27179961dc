"""The order script as many people write it, with httpx and tenacity: three ways to deal with a lost answer.

Usage: plain.py no-key|key-per-call|note-first URL ORDERS PROGRESS
"""

import json
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import tenacity


@tenacity.retry(
    retry=tenacity.retry_if_exception_type((httpx.HTTPError, ValueError, KeyError)),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_fixed(0.01),
    reraise=True,
)
def post(client: httpx.Client, order: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """Sends an order until there is an answer that makes sense; returns its id."""
    return post_without_retry(client, order, headers)


def post_without_retry(client: httpx.Client, order: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """Sends an order; returns its id."""
    response = client.post("/orders", json=order, headers=headers)
    response.raise_for_status()
    return str(response.json()["id"])


def place(client: httpx.Client, order: Mapping[str, Any], way: str) -> str:
    """Places one order."""
    if way == "no-key":
        return post(client, order, {})
    if way == "key-per-call":
        return post(client, order, {"Idempotency-Key": str(uuid.uuid4())})  # all tries of this call carry it
    return post_without_retry(client, order, {})


def main(way: str, url: str, orders: Path, progress: Path) -> int:
    """Places the orders that the progress file does not name."""
    finished = set(progress.read_text(encoding="utf-8").split()) if progress.exists() else set()
    failed = 0
    with httpx.Client(base_url=url, timeout=0.5) as client, progress.open("a", encoding="utf-8") as file:
        for order in json.loads(orders.read_text(encoding="utf-8")):
            cart = order["cart"]
            if cart in finished:
                continue
            if way == "note-first":
                print(cart, file=file, flush=True)
            try:
                reference = place(client, order, way)
            except (httpx.HTTPError, ValueError, KeyError) as error:
                print(f"{cart}: {error}", file=sys.stderr)
                failed += way != "note-first"  # this way never comes back to an order
                continue
            if way != "note-first":
                print(cart, file=file, flush=True)
            print("placed", cart, reference, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
