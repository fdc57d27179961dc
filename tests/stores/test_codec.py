"""Rows are JSON and plain values, whatever the texts in them are."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from samekey.stores._codec import headers_text, mapping_text, names_text

AWKWARD = st.text(alphabet=st.sampled_from('a0/~"\\\n\x7f\u2028é:,{}'), max_size=6) | st.text(max_size=6)


@given(st.dictionaries(AWKWARD, AWKWARD, max_size=4))
@example({})
@example({"": ""})
@example({'"': "", "a": '":"'})
def test_a_mapping_is_read_back_as_it_was(mapping: dict[str, str]) -> None:
    text = mapping_text(mapping)
    assert json.loads(text) == mapping
    assert text == json.dumps(mapping, separators=(",", ":"))


@given(st.lists(st.tuples(AWKWARD, AWKWARD), max_size=4))
def test_fields_and_names_are_read_back_as_they_were(pairs: list[tuple[str, str]]) -> None:
    assert json.loads(headers_text(pairs)) == [list(pair) for pair in pairs]
    assert json.loads(names_text([name for name, _ in pairs])) == [name for name, _ in pairs]
