"""What was not done is in nobody's way: the cause is mended, and the same action goes through."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import BODY, DAY, ONCE, Connect, create_order, known, post

PINNED = samekey.Provider("shop", window=DAY, scope="api_key")


def test_a_wrong_address_is_corrected(server: FlakyServer, connect: Connect) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # held, and not listened at
        wrong = connect(f"http://127.0.0.1:{nobody.getsockname()[1]}", retry=ONCE)
        with pytest.raises(samekey.NotSentError):
            post(wrong)
    first = known(wrong)
    client = connect()
    assert post(client).status is samekey.Status.SUCCEEDED
    assert known(client).idempotency_key == first.idempotency_key
    assert known(client).origin != first.origin
    assert len(server.effects) == 1


@pytest.mark.parametrize("change", ["data", "path", "credential"])
def test_what_was_turned_away_is_mended(server: FlakyServer, connect: Connect, change: str) -> None:
    server.script(Fault.REJECT(401))
    client = connect(provider=PINNED, headers={"Authorization": "Bearer wrong"})
    with pytest.raises(samekey.ActionRejectedError) as told:
        post(client)
    assert told.value.retry_safe
    mended = connect(
        provider=PINNED, headers={"Authorization": f"Bearer {'right' if change == 'credential' else 'wrong'}"}
    )
    path = "/invoices" if change == "path" else "/orders"
    body: dict[str, Any] = {**BODY, "total": "20.00"} if change == "data" else BODY
    with mended.action(create_order, scope={"order": 1}) as action:
        action.post(path, json=body)
    assert (action.status, action.attempts, len(server.effects)) == (samekey.Status.SUCCEEDED, 2, 1)
    keys = {
        value for request in server.requests for name, value in request.headers if name.lower() == "idempotency-key"
    }
    assert len(keys) == 1
    # From now on it has been done, and other data are another thing.
    with pytest.raises(samekey.KeyReusedError), mended.action(create_order, scope={"order": 1}) as again:
        again.post(path, json={"total": "0.01"})
