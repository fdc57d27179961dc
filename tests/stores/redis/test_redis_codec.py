"""What the Redis store writes of a record."""

from __future__ import annotations

from dataclasses import replace

from samekey._core.states import Status
from samekey.stores import _redis_codec, _rulings
from tests.core.driving import T0, record


def test_r8_a_tombstone_has_nothing_that_a_purge_erases() -> None:
    row = replace(
        record(),
        status=Status.SUCCEEDED,
        scope={"customer": "42"},
        field_digests={"/a": "1"},
        guarded=True,
        volatile=("/a",),
        frozen_request=b"request",
        response_headers=(("a", "b"),),
        response_body=b"answer",
        completed_at=T0,
        expires_at=T0,
    )
    assert _redis_codec.unpack(_redis_codec.pack(row)[0]) == _rulings.tombstone(row, row.last_seen_at)


def test_a_record_comes_back_as_it_was() -> None:
    row = replace(
        record(),
        scope={"customer": "\u20ac\ud800", "two": '"\\'},
        field_digests={"/a~1": "1"},
        frozen_request=b"\n\0request",
        response_headers=(("a", "\n"),),
        response_body=b"\nanswer",
        boot_time=0.1 + 0.2,
        window_seconds=1 / 3,
        lease_expires_at=T0,
        error_summary="\n",
    )
    stone, whole = _redis_codec.pack(row)
    assert stone == b""
    assert _redis_codec.unpack(whole) == row
