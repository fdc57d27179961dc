"""An encrypted record is known as one, and never taken for something else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from samekey._core.freezing import freeze, unfreeze
from samekey._core.model import Outgoing, Record, Reply
from samekey._core.reading import MAX_KEPT_HEADER, result_of
from samekey._core.sealing import HEADER, MARK, refuse_sealed, sealed_with
from samekey.errors import StoreFormatError
from samekey.stores import MemoryStore
from samekey.testing._contract.builders import record

REQUEST = Outgoing(method="POST", url="https://x/?t=", shown_url="https://x/?t=", origin="https://x:443", body=b"{}")


def plain() -> Record:
    return record(MemoryStore())


def test_a_plain_record_is_read() -> None:
    assert sealed_with(plain()) == ()
    refuse_sealed([plain(), replace(plain(), frozen_request=None, response_headers=(("etag", "1"),))])


@pytest.mark.parametrize(
    "sealed",
    [
        replace(plain(), frozen_request=MARK + b"0a1b2c3d:token"),
        replace(plain(), frozen_request=None, response_headers=((HEADER, "0a1b2c3d:token"),)),
        replace(plain(), scope={}, response_headers=((HEADER, "0a1b2c3d:token"),)),
    ],
)
def test_an_encrypted_one_is_refused_with_the_id_of_its_key(sealed: Record) -> None:
    assert sealed_with(sealed) == ("0a1b2c3d",)
    with pytest.raises(StoreFormatError, match=r"create_order.*id 0a1b2c3d.*SAMEKEY_ENCRYPTION_KEY"):
        refuse_sealed([plain(), sealed])


def test_an_encrypted_request_is_no_damaged_one() -> None:
    with pytest.raises(StoreFormatError, match="id 0a1b2c3d"):
        unfreeze(MARK + b"0a1b2c3d:token")


@pytest.mark.parametrize(
    ("query", "body", "keep", "complete"),
    [((), (), True, True), ((), (), False, False), (("t",), (), True, False), ((), ("/a",), True, False)],
)
def test_what_was_left_out_is_remembered_by_name(
    query: tuple[str, ...], body: tuple[str, ...], keep: bool, complete: bool
) -> None:
    frozen = unfreeze(
        freeze(replace(REQUEST, secret_query=query, secret_body=body), keep_body=keep, digest="d", place="header x")
    )
    assert (frozen.secret_query, frozen.secret_body) == (query, body)
    assert frozen.complete is complete


def test_a_header_that_is_too_long_to_be_of_use_is_not_stored() -> None:
    reply = Reply(201, (("etag", "x" * MAX_KEPT_HEADER), ("location", "y" * (MAX_KEPT_HEADER + 1))), b"")
    assert [name for name, _ in result_of(reply, None, whole=True).headers] == ["etag"]
