"""The script that goes to production: it pays an invoice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import samekey

WINDOW = timedelta(hours=24)
pay_invoice = samekey.Operation("pay_invoice", scope=("invoice",), reference="/id")


def pay(url: str, amount: str = "19.99", **options: Any) -> samekey.Action:
    """Pays invoice inv-7, as a run of the script or a try of a job does."""
    client: Any = samekey.Client(url, **({"window": WINDOW} | options))
    with client, client.action(pay_invoice, scope={"invoice": "inv-7"}) as action:
        action.post("/payments", json={"amount": amount, "iban": "DE02120300000000202051"})
    made: samekey.Action = action
    return made
