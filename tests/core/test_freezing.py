"""The frozen request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey._core.freezing import freeze, unfreeze
from samekey._core.model import Frozen
from samekey.errors import StoreFormatError
from tests.core.driving import outgoing

headers = st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), max_size=3).map(tuple)


@given(st.binary(max_size=100), headers, st.text(max_size=20))
def test_what_was_frozen_comes_back_byte_for_byte(body: bytes, sent: tuple[tuple[str, str], ...], url: str) -> None:
    frozen = unfreeze(
        freeze(outgoing(body=body, headers=sent, url=url), keep_body=True, digest="d", place="header key")
    )
    assert frozen == Frozen("POST", url, sent, body, "d", "header key")


def test_a_body_that_is_not_kept_leaves_its_digest_only() -> None:
    data = freeze(outgoing(body=b"secret payload"), keep_body=False, digest="d", place="header key")
    assert b"secret" not in data
    assert unfreeze(data).body is None
    assert unfreeze(data).body_digest == "d"


def test_a_stream_is_frozen_without_its_body() -> None:
    assert unfreeze(freeze(outgoing(body=None), keep_body=False, digest="", place="none")).body is None


def test_a_credential_is_not_in_the_frozen_request() -> None:
    data = freeze(
        outgoing(credentials=(("authorization", "Bearer sk_1"),)), keep_body=True, digest="d", place="header key"
    )
    assert b"sk_1" not in data


GOOD: dict[str, Any] = {
    "v": 1,
    "method": "POST",
    "url": "u",
    "headers": [["a", "b"]],
    "body": "d",
    "kept": True,
    "key": "header key",
}


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"not json",
        b"\xff",
        b"[]",
        b"null",
        b'"text"',
        json.dumps({"v": 1}).encode(),
        json.dumps(GOOD | {"headers": [["a"]]}).encode(),
        json.dumps(GOOD | {"headers": 5}).encode(),
        json.dumps({name: value for name, value in GOOD.items() if name != "key"}).encode(),
    ],
    ids=repr,
)
def test_damaged_bytes_are_a_store_format_error(head: bytes) -> None:
    with pytest.raises(StoreFormatError, match=r"cannot be read; the store is damaged, nothing was sent\.$"):
        unfreeze(head + b"\nbody")


def test_a_newer_format_says_which_samekey_is_needed() -> None:
    with pytest.raises(StoreFormatError, match=r"has format 2, this samekey reads 1; upgrade samekey\.$"):
        unfreeze(json.dumps(GOOD | {"v": 2}).encode())
