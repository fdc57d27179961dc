"""Reading replies, and what is kept of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey._core.model import Reply
from samekey._core.reading import (
    MAX_KEPT,
    MAX_READ,
    MAX_REFERENCE,
    MISSING,
    has_code,
    is_html,
    is_json,
    parse_json,
    reference_of,
    result_of,
    with_reference,
)
from samekey._core.states import Status
from tests.core.driving import JSON, answer, record


def says(value: Any) -> Reply:
    return answer(200, json.dumps(value).encode())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xff", b"[" * 100_000], ids=lambda body: repr(body[:5]))
def test_what_is_not_json_is_missing(body: bytes) -> None:
    assert parse_json(Reply(200, (), body)) is MISSING


def test_media_types_are_told_apart() -> None:
    assert is_json("application/json; charset=utf-8")
    assert is_json("application/problem+json")
    assert not is_json("text/html")
    assert not is_json(None)
    assert is_html("Text/HTML; charset=x")
    assert is_html("application/xhtml+xml")
    assert not is_html(None)


@pytest.mark.parametrize(
    ("value", "path", "code", "there"),
    [
        ({"error": {"code": "in_use"}}, "error.code", "in_use", True),
        ({"error": {"code": "other"}}, "error.code", "in_use", False),
        ({"error": {}}, "error.code", None, False),
        ({"error": {"code": None}}, "error.code", None, True),
        ({"errors": [{"code": "a"}, {"code": "b"}]}, "errors.*.code", "b", True),
        ({"errors": [{"code": "a"}, {"code": "b"}]}, "errors.0.code", "b", False),
        ({"errors": [{"code": "a"}]}, "errors.1.code", "a", False),
        ({"errors": [{"code": "a"}]}, "errors.code", "a", False),
        ({"errors": {"x": {"code": "a"}}}, "errors.*.code", "a", True),
        ({"errorCode": 704}, "errorCode", "704", True),
        ("text", "error.code", None, False),
    ],
)
def test_a_code_is_found_at_its_path(value: Any, path: str, code: str | None, there: bool) -> None:
    assert has_code(says(value), path, code) is there


def test_a_body_that_is_no_json_or_too_large_has_no_code() -> None:
    assert not has_code(answer(400, b"<html>"), "a", None)
    large = json.dumps({"a": "x", "pad": "y" * MAX_READ}).encode()
    assert not has_code(answer(400, large), "a", "x")


@pytest.mark.parametrize(
    ("value", "where", "reference"),
    [
        ({"id": "ord_9"}, "/id", "ord_9"),
        ({"id": 12345678901234567890}, "/id", "12345678901234567890"),
        ({"id": 1.50}, "/id", "1.5"),
        ({"data": [{"id": "a"}, {"id": "b"}]}, "/data/1/id", "b"),
        ({"data": []}, "/data/0/id", None),
        ({"data": []}, "/data/x", None),
        ({"data": [1]}, "/data/" + "9" * 20, None),
        ({"a/b": {"c~d": "x"}}, "/a~1b/c~0d", "x"),
        ({"id": None}, "/id", None),
        ({"id": True}, "/id", None),
        ({"id": ""}, "/id", None),
        ({"id": {"deep": 1}}, "/id", None),
        ({"id": "x" * (MAX_REFERENCE + 1)}, "/id", None),
        ({"id": "\ud800x"}, "/id", None),
        ("text", "/id", None),
    ],
)
def test_a_reference_is_found_by_its_pointer(value: Any, where: str, reference: str | None) -> None:
    assert reference_of(says(value), where) == reference


def test_a_reference_may_be_in_a_header_or_nowhere() -> None:
    reply = Reply(201, (("location", "/orders/9"),), b"")
    assert reference_of(reply, "header:Location") == "/orders/9"
    assert reference_of(reply, "header:X-Other") is None
    assert reference_of(reply, "/id") is None
    assert reference_of(reply, None) is None


@given(st.binary(max_size=60), st.text(max_size=20))
def test_no_reply_ever_raises(body: bytes, pointer: str) -> None:
    reply = answer(200, body)
    found = reference_of(reply, "/" + pointer)
    assert found is None or found.encode()
    has_code(reply, pointer, None)


def test_a_number_keeps_the_digits_it_was_sent_with() -> None:
    assert reference_of(answer(200, b'{"id": 1.50}'), "/id") == "1.50"


def test_of_the_headers_only_what_names_the_result_is_kept() -> None:
    headers = (*JSON, ("set-cookie", "session=1"), ("location", "/orders/9"), ("x-internal", "1"))
    result = result_of(Reply(201, headers, b"{}"), "ord_9", whole=True)
    assert result.headers == (*JSON, ("location", "/orders/9"))
    assert (result.status, result.body, result.reference) == (201, b"{}", "ord_9")


@pytest.mark.parametrize(
    ("body", "whole", "kept"),
    [(b"{}", True, b"{}"), (b"{}", False, None), (b"", False, b""), (b"x" * MAX_KEPT, True, b"x" * MAX_KEPT)],
    ids=["whole", "by reference", "empty", "largest"],
)
def test_a_body_is_kept_as_asked(body: bytes, whole: bool, kept: bytes | None) -> None:
    result = result_of(answer(200, body), None, whole=whole)
    assert result.body == kept
    assert bool(result.headers) is whole


def test_a_body_that_is_too_large_is_not_kept() -> None:
    assert result_of(answer(200, b"x" * (MAX_KEPT + 1)), None, whole=True).body is None


def test_a_record_gets_the_reference_that_nobody_could_write_down() -> None:
    bare = record(status=Status.SUCCEEDED)
    known = replace(bare, response_reference="ord_1")
    stored = replace(bare, response_status=201, response_body=b'{"id":"ord_2"}')
    assert with_reference(known, "/id", answer(201)) is known
    assert with_reference(bare, "/id", answer(201)).response_reference == "ord_9"
    assert with_reference(stored, "/id", None).response_reference == "ord_2"
    assert with_reference(replace(stored, response_body=None), "/id", None).response_reference is None
    assert with_reference(bare, "/id", None) is bare
