"""One value of a JSON text is found and replaced, and no other byte changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey._core.fingerprint import pointer_of
from samekey._core.jsonplaces import blanked, members, place_of, put
from samekey._core.model import Result
from samekey._core.reading import withheld

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def pointers(value: Any, *above: object) -> list[tuple[object, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(each for name, inner in below for each in pointers(inner, *above, name))]


@given(values, st.data(), st.sampled_from([None, 2]), st.booleans())
def test_the_value_at_a_pointer_is_found_and_replaced(
    value: Any, data: st.DataObject, indent: int | None, escaped: bool
) -> None:
    path = data.draw(st.sampled_from(pointers(value)))
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    place = place_of(text, pointer_of(*path))
    expected = value
    for name in path:
        expected = expected[name]
    assert place is not None
    assert json.loads(text[place[0] : place[1]]) == expected

    changed = put(text, pointer_of(*path), '"put"')
    assert changed is not None
    assert (changed[: place[0]], changed[place[0] + 5 :]) == (text[: place[0]], text[place[1] :])
    at: Any = json.loads(changed)
    for name in path:
        at = at[name]
    assert at == "put"


@pytest.mark.parametrize(
    ("text", "pointer"),
    [('{"a": 1}', "/b"), ('{"a": 1}', "/a/b"), ("[1]", "/1"), ("[1]", "/x"), ("[1]", "/-1"), ("1", "/a"), ("[]", "/0")],
)
def test_what_is_not_there_is_not_found(text: str, pointer: str) -> None:
    assert place_of(text, pointer) is None
    assert put(text, pointer, "null") is None
    assert blanked(text.encode(), (pointer,)) == text.encode()


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"b": {"a": 1, "a": 2}, "c": 1}', "{", '{"a"', "", " "])
def test_a_text_that_may_hide_a_value_is_no_text_to_replace_in(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        place_of(text, "/b/a" if '"b"' in text else "/a")


@pytest.mark.parametrize("body", [b"", b"\xff", b'{"a": 1} x', b'{"a": 1, "a": 2}', b"[" * 100_000])
def test_a_body_in_which_nothing_is_sure_is_not_blanked(body: bytes) -> None:
    assert blanked(body, ("/a",)) is None


def test_what_a_contract_withholds_of_an_answer() -> None:
    result = Result(201, (("etag", "x"), ("location", "y")), b'{"a": "s", "b": ["s", 2]}', "id")
    assert withheld(result, ()) is result
    kept = withheld(result, ("/a", "/b/0", "header: Location"))
    assert (kept.status, kept.headers, kept.reference) == (201, (("etag", "x"),), "id")
    assert kept.body == b'{"a": null, "b": [null, 2]}'
    assert withheld(Result(201, (), None), ("/a",)).body is None
    assert withheld(Result(201, (), b""), ("/a",)).body == b""
    assert withheld(Result(201, (), b"a: s"), ("/a",)).body is None
    assert withheld(Result(201, (), b"a: s"), ("header:location",)).body == b"a: s"


def test_members_are_those_of_an_object_and_the_last_of_a_name_counts() -> None:
    assert members('{"a": 1, "a": 2}', 0) == {"a": 14}
    with pytest.raises(ValueError, match="not an object"):
        members("[1]", 0)
