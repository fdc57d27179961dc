"""What leaves a block with somebody else's exception: a note, or samekey's own verdict over a wrapper."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import BODY, ONCE, Connect, create_order, synchronous


class VendorError(Exception):
    """What a vendor's SDK makes of every exception."""


SUCCEEDED = (
    "create_order(order=1): had succeeded before this error; run it again: the stored result comes back and nothing is "
    "sent."
)


def wrapped(client: samekey.Client, wrapper: Callable[[str], BaseException] = VendorError) -> None:
    """A write through a vendor's SDK."""
    with client.action(create_order, scope={"order": 1}) as action:
        try:
            action.post("/orders", json=BODY)
        except samekey.SamekeyError as error:
            raise wrapper("connection error") from error


def test_an_exception_after_a_success_is_told_that_it_succeeded(client: samekey.Client) -> None:
    with (
        pytest.raises(ZeroDivisionError) as raised,
        client.action(create_order, scope={"order": 1}) as action,
    ):
        action.post("/orders", json=BODY)
        print(1 // 0)
    assert raised.value.__notes__ == [SUCCEEDED]


@synchronous
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_so_is_an_interrupt(client: samekey.Client, kind: type[BaseException]) -> None:
    with pytest.raises(kind) as raised, client.action(create_order, scope={"order": 1}) as action:
        action.post("/orders", json=BODY)
        raise kind
    assert raised.value.__notes__ == [SUCCEEDED]


def test_an_exception_before_the_write_gets_no_note(client: samekey.Client) -> None:
    with pytest.raises(ZeroDivisionError) as raised, client.action(create_order, scope={"order": 1}):
        print(1 // 0)
    assert not hasattr(raised.value, "__notes__")


def test_an_exception_after_a_refusal_is_told_that_nothing_happened(
    server: FlakyServer, client: samekey.Client
) -> None:
    server.script(Fault.REJECT(422))
    with pytest.raises(VendorError) as raised:
        wrapped(client)
    assert raised.value.__notes__ == [
        "create_order(order=1): the API had refused it before this error, and nothing happened."
    ]


def test_an_unknown_outcome_is_raised_over_the_wrapper_that_hides_it(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError, match="sent once without a usable answer") as raised:
        wrapped(connect(retry=ONCE))
    assert isinstance(raised.value.__cause__, VendorError)
    assert isinstance(raised.value.__cause__.__cause__, samekey.OutcomeUnknownError)
    assert raised.value.key == server.requests[0].key
    assert raised.value.retry_until is not None


def test_so_is_not_sent(server: FlakyServer, connect: Connect) -> None:
    server.close()
    with pytest.raises(samekey.NotSentError) as raised:
        wrapped(connect(retry=ONCE))
    assert isinstance(raised.value.__cause__, VendorError)


@synchronous
def test_an_interrupt_after_an_unknown_outcome_goes_on_with_a_note(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with pytest.raises(KeyboardInterrupt) as raised:
        wrapped(connect(retry=ONCE), lambda _text: KeyboardInterrupt())
    (note,) = raised.value.__notes__
    assert note.startswith("create_order(order=1): ")
    assert "it may have happened" in note


def test_samekeys_own_errors_pass_as_they_are(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    client = connect(retry=ONCE)
    seen: list[Any] = []
    with (
        pytest.raises(samekey.OutcomeUnknownError) as raised,
        client.action(create_order, scope={"order": 1}) as action,
    ):
        try:
            action.post("/orders", json=BODY)
        except samekey.OutcomeUnknownError as error:
            seen.append(error)
            raise
    assert raised.value is seen[0]
    assert not hasattr(raised.value, "__notes__")


def test_who_handles_the_verdict_inside_the_block_leaves_it_in_peace(server: FlakyServer, connect: Connect) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    action = connect(retry=ONCE).action(create_order, scope={"order": 1})
    with action, suppress(samekey.OutcomeUnknownError):
        action.post("/orders", json=BODY)
    assert action.status is samekey.Status.UNKNOWN
