"""Flat texts as JSON: what the standard library would write, made once."""

from __future__ import annotations

import copy
import json
import pickle

from hypothesis import example, given
from hypothesis import strategies as st

from samekey._core.jsontext import FlatJson

AWKWARD = st.text(alphabet=st.sampled_from('a0/~"\\\n\x7f\u2028\ud800é:,{}'), max_size=6) | st.text(max_size=6)


@given(st.dictionaries(AWKWARD, AWKWARD, max_size=4))
@example({})
@example({'"': "", "a": '":"'})
def test_it_is_what_the_standard_library_writes(texts: dict[str, str]) -> None:
    flat = FlatJson(texts)
    assert flat == texts
    assert flat.text() == json.dumps(texts, separators=(",", ":"))


def test_it_is_made_once() -> None:
    flat = FlatJson(a="b")
    assert flat.text() is flat.text()


def test_a_copy_is_written_too() -> None:
    flat = FlatJson(a="b")
    pickled = [pickle.loads(pickle.dumps(flat, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in (copy.copy(flat), *pickled, copy.deepcopy(flat)):
        assert again == flat
        assert type(again) is FlatJson
        assert again.text() == '{"a":"b"}'
    flat.text()
    assert pickle.loads(pickle.dumps(flat)).text() == '{"a":"b"}'
