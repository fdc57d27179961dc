"""An action whose operation has a look-up: what `one_action` does, at an API that ignores keys."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from typing import Any

import samekey
from samekey.lookups import lookup_list
from tests.acceptance.one_action import EVENTS, DyingStore, connect, create_order


def is_its(item: Any, record: samekey.Record) -> bool:
    return bool(json.loads(item["body"])["order"] == record.scope["order"])


find_order = lookup_list("/effects", items="/effects", match=is_its, reference="/reference", consistent=True)
looked_up = create_order.replace(reconcile=find_order)


def main(url: str, store: str, order: str, looks_up: bool, boundary: str) -> int:
    """Makes the order, or dies on the way."""

    def at(name: str) -> None:
        if name == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    def trace(event: str, _info: Any) -> None:
        at(EVENTS.get(event, ""))

    operation = looked_up if looks_up else create_order
    with contextlib.closing(DyingStore(store, at)) as dying, connect(url, dying, keyless=True) as client:
        try:
            with client.action(operation, scope={"order": order}) as action:
                action.post("/orders", json={"order": order}, extensions={"trace": trace})
        except samekey.SamekeyError as error:
            print(error)
    return 0
