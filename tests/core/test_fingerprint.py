"""What makes two requests the same data."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from samekey._core.fingerprint import (
    MAX_DEPTH,
    MAX_FIELDS,
    Fingerprint,
    body_digest,
    changed_fields,
    fingerprint,
    pointer_of,
    read_content,
    volatile_looking,
)
from tests.core.driving import outgoing

if TYPE_CHECKING:
    from collections.abc import Iterable

SECRET = b"secret"
FORM = "application/x-www-form-urlencoded"

texts = st.text(max_size=8)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(texts, values, max_size=5)


def of(
    body: bytes, content_type: str = "application/json", *, volatile: Iterable[str] = (), **changes: Any
) -> Fingerprint:
    request = outgoing(body=body, content_type=content_type, **changes)
    return fingerprint(SECRET, request, read_content(request), volatile)


def of_json(value: Any, **options: Any) -> Fingerprint:
    return of(json.dumps(value).encode(), **options)


def kind(body: bytes | None, content_type: str = "application/json", **changes: Any) -> str:
    return read_content(outgoing(body=body, content_type=content_type, **changes)).kind


def turned(value: Any) -> Any:
    """The same value with the order of all names turned."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


# JSON


@given(values)
def test_json_name_order_and_whitespace_do_not_matter(value: Any) -> None:
    other = json.dumps(turned(value), indent=3, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assume(kind(other) == "json")
    assert of(other) == of_json(value)


@given(values, values)
def test_json_values_do_matter(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (of_json(one).digest == of_json(other).digest) is same


@pytest.mark.parametrize("pair", [(1, 1.0), (1, True), (1, "1"), (None, "null"), ([], {}), ([1], 1), ("", None)])
def test_values_of_another_type_are_other_values(pair: tuple[Any, Any]) -> None:
    one, other = (of_json({"a": value}) for value in pair)
    assert one.digest != other.digest
    assert changed_fields(one.fields, other.fields)[0].startswith("/a")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_json_is_read_in_any_of_its_encodings(encoding: str) -> None:
    assert of('{"a": "ü"}'.encode(encoding)).digest == of_json({"a": "ü"}).digest


@pytest.mark.parametrize("media", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"])
def test_json_is_known_by_its_media_type(media: str) -> None:
    assert kind(b"{}", media) == "json"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"x":{"a":1,"a":1}}',
        b"",
        b"{",
        b"\xff\xfe\xfd",
        b"NaN",
        b'{"a":1e999}',
        b"1" * 5000,
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_json_that_hides_something_counts_by_its_bytes(body: bytes) -> None:
    assert kind(body) == "raw"
    assert of(body).digest != of(body + b" ").digest


def test_json_as_deep_as_it_may_be_is_read_by_its_meaning() -> None:
    assert kind(b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH) == "json"


def test_many_shallow_brackets_are_not_deep() -> None:
    assert kind(json.dumps([[1]] * 500).encode()) == "json"


def test_a_body_is_read_alike_from_a_deep_stack() -> None:
    body = b"[" * 90 + b'"x"' + b"]" * 90

    def from_depth(depth: int) -> Fingerprint:
        return from_depth(depth - 1) if depth else of(body)

    assert from_depth(sys.getrecursionlimit() // 2) == of(body)


@given(
    st.binary(max_size=200),
    st.sampled_from(["application/json", FORM, "multipart/form-data; boundary=x", "", "text/plain"]),
)
def test_no_body_ever_raises(body: bytes, media: str) -> None:
    result = of(body, media, volatile=("/a", "/a/0", "/", "/~1"))
    assert len(result.fields) <= MAX_FIELDS + 2


@given(st.text(max_size=60))
def test_no_content_type_ever_raises(media: str) -> None:
    assert of(b"--x\r\n\r\n1\r\n--x--", media).digest.startswith("1:")


# Fields


@given(st.dictionaries(texts, scalars, min_size=1, max_size=5), values, st.integers(0, 4))
def test_field_digests_name_exactly_the_changed_pointers(flat: dict[str, Any], nested: Any, which: int) -> None:
    before = {"nested": nested, **flat}
    name = sorted(flat)[which % len(flat)]
    names = changed_fields(of_json(before).fields, of_json(before | {name: f"{flat[name]}!"}).fields)
    assert names == (pointer_of(name),)


def test_nested_changes_are_named_by_their_pointers() -> None:
    before = of_json({"total": "1", "lines": [{"qty": 1}, {"qty": 2}], "a/b": {"c~d": 1}})
    now = of_json({"total": "2", "lines": [{"qty": 1}, {"qty": 3}], "a/b": {"c~d": 2}, "new": 1})
    assert set(changed_fields(before.fields, now.fields)) == {"/total", "/lines/1/qty", "/a~1b/c~0d", "/new"}


@given(st.integers(0, 90), texts)
def test_at_most_64_fields_have_a_digest(count: int, value: str) -> None:
    fields = of_json({f"f{n}": value for n in range(count)}).fields
    assert len(fields) == 2 + min(max(count, 1), MAX_FIELDS)


@pytest.mark.parametrize("behind", [{"c": {"d": 1}}, [[2]], {}, 3])
@pytest.mark.parametrize("many", [list(range(70)), {"in": list(range(64))}])
def test_they_are_the_first_64_and_none_behind_them(many: object, behind: object) -> None:
    fields = list(of_json({"a": many, "b": behind}).fields)
    where = "/a/in" if isinstance(many, dict) else "/a"
    assert fields == ["method", "url", *(f"{where}/{number}" for number in range(MAX_FIELDS))]


def test_at_most_64_fields_of_a_form_have_a_digest() -> None:
    body = "&".join(f"f{n:02}=1" for n in range(70)).encode()
    assert len(of(body, FORM).fields) == MAX_FIELDS + 2


def test_a_change_beyond_the_digests_is_named_body() -> None:
    before, now = ({f"f{n:03}": n for n in range(100)} | {"z": last} for last in (1, 2))
    one, other = of_json(before), of_json(now)
    assert one.digest != other.digest
    assert changed_fields(one.fields, other.fields) == ("body",)


def test_a_field_that_a_longer_list_pushed_out_is_not_called_changed() -> None:
    before = {f"f{n:03}": n for n in range(70)}
    assert changed_fields(of_json(before).fields, of_json(before | {"a": 1}).fields) == ("body",)
    assert changed_fields(of_json(before).fields, of_json(before | {"f003": "!"}).fields) == ("/f003",)


def test_a_scalar_body_is_named_body() -> None:
    assert changed_fields(of(b"1").fields, of(b"2").fields) == ("body",)


def test_method_and_url_are_named() -> None:
    base = of(b"{}")
    assert changed_fields(base.fields, of(b"{}", method="PUT").fields) == ("method",)
    assert changed_fields(base.fields, of(b"{}", url="https://api.example/orders?a=1").fields) == ("url",)
    assert len({base.digest, of(b"{}", method="PUT").digest, of(b"{}", url="https://api.example/x").digest}) == 3


def test_fields_that_look_like_a_time_or_an_id_are_told() -> None:
    body = {"sent_at": "2026-11-24T05:10:00Z", "nonce": "7f3c2a1b-0000-4000-8000-000000000000", "a": "x" * 20}
    content = read_content(outgoing(body=json.dumps(body).encode()))
    assert volatile_looking(content, ("/sent_at", "/nonce", "/a", "/gone")) == ["/sent_at", "/nonce"]
    form = outgoing(body=b"at=2026-11-24T05:10:00Z&a=b", content_type="application/x-www-form-urlencoded")
    assert volatile_looking(read_content(form), ("/at", "/a")) == ["/at"]
    assert volatile_looking(read_content(outgoing(body=b"x", content_type="text/plain")), ("body",)) == []
    nested = read_content(outgoing(body=b'{"l": [{"at": "2026-11-24T05:10:00Z"}]}'))
    assert volatile_looking(nested, ("/l/0/at", "/l/7/at", "/l", "/l/" + "9" * 5000)) == ["/l/0/at"]


def test_digests_say_nothing_without_the_secret() -> None:
    request = outgoing(body=b'{"a":1}')
    content = read_content(request)
    one, other = fingerprint(b"one", request, content), fingerprint(b"two", request, content)
    assert one.digest != other.digest
    assert not set(one.fields.values()) & set(other.fields.values())


# Volatile fields


@given(objects, values, values, st.sampled_from(["sent/at", "x~y", "sent_at"]))
def test_a_volatile_field_does_not_matter(value: dict[str, Any], one: Any, other: Any, name: str) -> None:
    volatile = (pointer_of(name),)
    assert of_json(value | {name: one}, volatile=volatile) == of_json(value | {name: other}, volatile=volatile)


def test_a_volatile_field_inside_lists_and_objects_does_not_matter() -> None:
    def body(stamp: str, qty: int) -> Fingerprint:
        value = {"lines": [{"at": stamp, "qty": qty}, stamp], "meta": {"in": {"at": stamp}}}
        return of_json(value, volatile=("/lines/0/at", "/lines/1", "/meta/in/at"))

    assert body("a", 1) == body("b", 1)
    assert body("a", 1).digest != body("a", 2).digest


@pytest.mark.parametrize(
    "pointer", ["/lines/9/at", "/lines/x", "/none/at", "/total/at", "/lines/" + "9" * 5000, "/lines/²"]
)
def test_a_volatile_pointer_to_nothing_leaves_the_body_as_it_is(pointer: str) -> None:
    value = {"lines": [{"at": 1}], "total": 5}
    assert of_json(value, volatile=(pointer,)).digest == of_json(value).digest


# Forms, parts, bytes


def test_a_forms_field_order_does_not_matter_and_its_values_do() -> None:
    base = of(b"a=1&b=2", FORM)
    assert of(b"b=2&a=1", FORM) == base
    assert of(b"a=%31&b=2", FORM) == base
    other = of(b"a=1&b=3", FORM)
    assert changed_fields(base.fields, other.fields) == ("/b",)
    assert of(b"a=1&b=9", FORM, volatile=("/b",)).digest == of(b"a=1&b=8", FORM, volatile=("/b",)).digest


def test_the_order_of_one_names_values_in_a_form_does_matter() -> None:
    one, other = of(b"a=1&a=2", FORM), of(b"a=2&a=1", FORM)
    assert one.digest != other.digest
    assert changed_fields(one.fields, other.fields) == ("/a",)


@given(st.lists(st.tuples(texts, texts), max_size=5))
def test_a_form_of_any_text_is_read_by_its_fields(pairs: list[tuple[str, str]]) -> None:
    body = urlencode([(a.encode("utf-8", "replace"), b.encode("utf-8", "replace")) for a, b in pairs]).encode()
    assert kind(body, FORM) == "form"


@pytest.mark.parametrize("body", [b"\xff=1", b"novalue", b"a=%ff", b"a=1&&b=2"])
def test_a_form_that_cannot_be_read_counts_by_its_bytes(body: bytes) -> None:
    assert kind(body, FORM) == "raw"


def parts(boundary: str, value: str = "1", name: str = 'name="total"') -> tuple[bytes, str]:
    body = (
        f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n{value}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="x.pdf"\r\n\r\nPDF\r\n--{boundary}--\r\n'
    )
    return body.encode(), f"multipart/form-data; boundary={boundary}"


def test_a_multipart_boundary_does_not_matter_and_the_parts_do() -> None:
    base = of(*parts("abc"))
    body, media = parts("xyz")
    assert of(body, media.replace("xyz", '"xyz"')) == base
    other = of(*parts("abc", "2"))
    assert changed_fields(base.fields, other.fields) == ("/total",)
    assert of(*parts("a", "1"), volatile=("/total",)).digest == of(*parts("b", "2"), volatile=("/total",)).digest


def test_a_part_without_a_name_counts_too() -> None:
    one, other = of(*parts("b", "1", "x")), of(*parts("b", "2", "x"))
    assert one.digest != other.digest


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"--x\r\n\r\n1\r\n--x--", "multipart/form-data"),
        (b"nothing", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\ncut off", "multipart/form-data; boundary=x"),
    ],
)
def test_parts_that_cannot_be_read_count_by_their_bytes(body: bytes, media: str) -> None:
    assert kind(body, media) == "raw"


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_other_bodies_count_by_their_bytes(one: bytes, other: bytes) -> None:
    assert (of(one, "text/csv").digest == of(other, "text/csv").digest) is (one == other)


def test_a_given_fingerprint_stands_for_the_body() -> None:
    assert kind(None, fingerprint="file-1") == "given"
    one, other = (of(b"", fingerprint=name) for name in ("file-1", "file-2"))
    assert one.digest != other.digest
    assert of(b"other bytes", fingerprint="file-1") == one


def test_no_body_is_an_empty_one() -> None:
    assert kind(None, "") == kind(b"", "") == "raw"


def test_the_digest_of_exact_bytes_is_keyed_and_empty_for_a_stream() -> None:
    assert body_digest(SECRET, None) == ""
    assert len({body_digest(SECRET, b"a"), body_digest(SECRET, b"b"), body_digest(b"x", b"a")}) == 3
