"""The field digests: made while the API works, written where the request itself is erased."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey._core import jsontext, model, verdicts
from samekey._core.begin import Refuse, decide
from samekey._core.fingerprint import fingerprint, read_content
from samekey._core.freezing import unfreeze
from samekey._core.plan import Contract
from samekey._core.verbs import Existing
from tests.core.driving import answer, at, outgoing, plan, record

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_they_are_made_ahead_and_are_the_settlements() -> None:
    begun = plan()
    begun.prepare_digests()
    settled = verdicts.success(begun, begun.claim(at()).record, answer(201), at(1))
    assert settled.field_digests is begun.digest.fields


def test_they_follow_the_records_own_volatile_list() -> None:
    begun = plan(request=outgoing(body=b'{"a":1,"b":2}'), contract=Contract(volatile=("/a",)))
    settled = verdicts.success(begun, record(begun, volatile=("/b",)), answer(201), at(1))
    assert settled.field_digests is not None
    assert set(settled.field_digests) == {"method", "url", "/a"}


def test_without_digests_and_without_a_request_only_the_body_is_named() -> None:
    begun = plan()
    row = record(begun, frozen_request=None, field_digests={}, request_fingerprint="1:other")
    decision = decide(begun, Existing(row), at(1))
    assert isinstance(decision, Refuse)
    assert getattr(decision.error, "changed", None) == ("body",)


def test_equal_requests_have_equal_and_equally_hashed_fingerprints() -> None:
    one, other = (fingerprint(b"s" * 32, outgoing(), read_content(outgoing())) for _ in range(2))
    assert one == other
    assert len({one, other}) == 1


def test_a_body_that_is_kept_needs_no_digest() -> None:
    assert unfreeze(plan().frozen()).body_digest == ""
    assert unfreeze(plan(freeze="nothing").frozen()).body_digest != ""


# --- the short ways ------------------------------------------------------------------------------------------


@given(VALUES)
def test_the_encoder_writes_what_json_writes(value: object) -> None:
    for ascii_only in (True, False):
        short = jsontext.encoder(ascii_only=ascii_only, sort_keys=True)(value)
        assert short == json.dumps(value, ensure_ascii=ascii_only, sort_keys=True, separators=(",", ":"))


def test_the_encoder_refuses_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        jsontext.encoder(ascii_only=True)([math.nan])


@given(VALUES, st.sampled_from(["utf-8", "utf-16", "utf-32"]), st.sampled_from(["", " ", "\n"]))
def test_the_decoder_reads_what_json_reads(value: object, encoding: str, blank: str) -> None:
    data = (blank + json.dumps(value, ensure_ascii=False) + blank).encode(encoding, "surrogatepass")
    assert jsontext.decoder()(data) == json.loads(data)


@given(st.binary(max_size=20) | st.sampled_from([b"{", b"[1]x", b'{"a":}', b"", b"[\xff]"]))
def test_the_decoder_fails_where_json_does(data: bytes) -> None:
    try:
        expected = json.loads(data)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - any kind of it
            jsontext.decoder()(data)
    else:
        assert repr(jsontext.decoder()(data)) == repr(expected)


@given(st.dictionaries(st.sampled_from(["attempts", "fence", "status", "scope"]), st.integers()))
def test_a_changed_record_is_the_one_that_replace_makes(changes: dict[str, int]) -> None:
    row = record()
    assert model.changed(row, changes) == replace(row, **changes)  # type: ignore[arg-type] # whatever it holds
    assert type(model.changed(row, changes)) is model.Record


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', b'{"a" :1,"a":2}', b'{"a":1,"a":2,"b":"\\u0022:\\u0022"}'])
def test_a_repeated_name_is_never_overlooked(body: bytes) -> None:
    assert read_content(outgoing(body=body)).kind == "raw"
