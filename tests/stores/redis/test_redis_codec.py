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
