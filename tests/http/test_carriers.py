"""Where a key goes in a request, and that nothing else of the request changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey.errors import UsageError
from samekey.http.carriers import in_json

KEY = "5f0c6b1e-9c1f-4d55-8a0e-0f6d0a9b1c2d"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text().filter(lambda name: name not in {"key", "variables"}), values, max_size=5)


@given(objects, st.sampled_from([None, 0, 2]), st.booleans())
def test_a_member_is_added_and_no_other_byte_changes(value: dict[str, Any], indent: int | None, escaped: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    try:
        text.decode()
    except UnicodeDecodeError:
        with pytest.raises(UsageError):
            in_json(text, ["key"], KEY)
        return
    added = in_json(text, ["key"], KEY)
    assert json.loads(added) == {"key": KEY, **value}
    assert added.endswith(text[1:])


@given(objects, objects)
def test_a_member_of_an_inner_object_is_added_there(outer: dict[str, Any], inner: dict[str, Any]) -> None:
    text = json.dumps({**outer, "variables": inner}).encode()
    added = json.loads(in_json(text, ["variables", "key"], KEY))
    assert added == {**outer, "variables": {"key": KEY, **inner}}


@given(objects)
def test_an_inner_object_that_is_missing_is_made(outer: dict[str, Any]) -> None:
    added = json.loads(in_json(json.dumps(outer).encode(), ["variables", "key"], KEY))
    assert added == {**outer, "variables": {"key": KEY}}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b'"x"', b"{", b'{"a"', b'{"a":1', b'{"a":}', b"\xff{}", b"[" * 9999]
)
def test_a_body_without_an_object_cannot_carry_a_key(body: bytes) -> None:
    with pytest.raises(
        UsageError, match=r"^the key goes into the JSON body as key, and the body has no object for it\.$"
    ):
        in_json(body, ["key"], KEY)


@pytest.mark.parametrize("inner", ["null", "[]", "1", '"x"'])
def test_what_is_in_the_way_of_an_inner_object_stays(inner: str) -> None:
    with pytest.raises(UsageError, match=r"as variables\.key, and the body has no object for it"):
        in_json(f'{{"variables": {inner}}}'.encode(), ["variables", "key"], KEY)


@pytest.mark.parametrize("value", ['""', "null", f'"{KEY}"', '"mine"'])
def test_a_member_of_that_name_is_the_callers_own(value: str) -> None:
    with pytest.raises(
        UsageError, match=r"^the request brings its own key in the body; leave it out, samekey makes the key\.$"
    ):
        in_json(f'{{"a": 1, "key": {value}}}'.encode(), ["key"], KEY)
