"""The order script with samekey. It needs no progress file: what is placed already comes back from the store.

Usage: with_samekey.py URL ORDERS STORE
"""

import json
import sys
from datetime import timedelta
from pathlib import Path

import tenacity

import samekey

create_order: samekey.Operation = samekey.Operation("create_order", scope=("customer", "cart"), reference="/id")

# Waits as short as those of the plain script; the defaults are for APIs that are further away.
quick: samekey.RetryPolicy = samekey.RetryPolicy(attempts=5, wait=tenacity.wait_fixed(0.01), budget=None)


def main(url: str, orders: Path, store: Path) -> int:
    """Places the orders."""
    failed = 0
    with samekey.Client(url, window=timedelta(hours=24), store=store, retry=quick, timeout=0.5) as client:
        for order in json.loads(orders.read_text(encoding="utf-8")):
            scope = {"customer": order["customer"], "cart": order["cart"]}
            try:
                with client.action(create_order, scope=scope) as action:
                    action.post("/orders", json=order)
            except samekey.SamekeyError as error:
                print(error, file=sys.stderr)
                failed += 1
                continue
            print("placed", order["cart"], action.reference, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
