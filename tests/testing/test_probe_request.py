"""What is said of a probe's request, by file and field, before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from samekey.errors import UsageError
from samekey.testing import ProbeCount, ProbeRequest

URL = "https://api.example/orders"


def write(place: Path, text: str) -> Path:
    place.write_text(text, encoding="utf-8")
    return place


def of(place: Path, fields: dict[str, Any], **environ: str) -> ProbeRequest:
    return ProbeRequest.read(write(place / "r.json", json.dumps(fields)), environ)


TOML = """
method = "PUT"
url = "https://api.example/orders"
change = "/total"
reference = "header:Location"

[headers]
Authorization = "Bearer ${SHOP_KEY}"

[json]
total = "1.00"
lines = [{ sku = "a" }]

[count]
url = "https://api.example/orders?team=${TEAM}"
at = "/data"
headers = { X-Read = "${SHOP_KEY}" }
"""


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    environ = {"SHOP_KEY": "k3y", "TEAM": "t"}
    read = ProbeRequest.read(write(tmp_path / "r.toml", TOML), environ)
    fields = {
        "method": "PUT", "url": URL, "change": "/total", "reference": "header:Location",
        "headers": {"Authorization": "Bearer ${SHOP_KEY}"}, "json": {"total": "1.00", "lines": [{"sku": "a"}]},
        "count": {"url": f"{URL}?team=${{TEAM}}", "at": "/data", "headers": {"X-Read": "${SHOP_KEY}"}},
    }  # fmt: skip
    assert read.model_dump() == of(tmp_path, fields, **environ).model_dump()
    assert (read.headers, read.reference) == ({"Authorization": "Bearer k3y"}, "header:Location")
    assert read.count == ProbeCount(f"{URL}?team=t", "/data", {"X-Read": "k3y"})
    assert set(read.secrets) == {"k3y", "t"}
    assert "k3y" not in repr(read)


def test_the_environment_is_the_programs_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "k3y")
    path = write(tmp_path / "r.json", json.dumps({"url": URL, "headers": {"A": "${SHOP_KEY}-${SHOP_KEY}"}}))
    assert ProbeRequest.read(path).headers == {"A": "k3y-k3y"}


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("none.json", None, "cannot be read (No such file"),
        ("r.yaml", "url: x", "a file whose name ends in .json or .toml is wanted"),
        ("r.json", '{"url": ', "it does not parse"),
        ("r.toml", "url = ", "it does not parse"),
        ("r.json", "[1]", "it holds a list"),
        ("r.json", "{}", "url: "),
        ("r.json", '{"url": 7}', "url: "),
        ("r.json", '{"url": "u", "source": "x"}', "source: there is no such option"),
        ("r.json", '{"url": "u", "jsn": {}}', "jsn: there is no such option"),
        ("r.json", '{"url": "u", "headers": {"A": 7}}', "headers.A: "),
        ("r.json", '{"url": "u", "headers": ["A"]}', "headers: "),
        ("r.json", '{"url": "u", "headers": {"A": "${NOT_SET}"}}', "headers.A: the environment variable NOT_SET is not set"),
        ("r.json", '{"url": "u", "headers": {"A": "${EMPTY}"}}', "headers.A: the environment variable EMPTY is not set"),
        ("r.json", '{"url": "https://${NOT_SET}/"}', "url: the environment variable NOT_SET is not set"),
        ("r.json", '{"url": "u", "count": {"url": "c", "headers": {"B": "${NOT_SET}"}}}', "count.headers.B: the environment"),
        ("r.json", '{"url": "u", "headers": {"A": "${SHOP KEY}"}}', "headers.A: a ${ has no variable's name"),
        ("r.json", '{"url": "u", "json": {}, "form": {"a": "b"}}', "a request has one body, and this one has json and form"),
        ("r.json", '{"url": "u", "form": {}}', "form: "),
        ("r.json", '{"url": "u", "form": {"a": 1}}', "form.a: "),
        ("r.json", '{"url": "u", "other": {"a": 1}}', "there is no body (json, form or body) to be changed"),
        ("r.json", '{"url": "u", "json": {"a": 1}, "other": {"a": 2}, "change": "/a"}', "not both"),
        ("r.json", '{"url": "u", "json": {"a": 1}, "other": {"a": 1}}', "other is the same as json"),
        ("r.json", '{"url": "u", "form": {"a": "1"}, "other": "a=2"}', "other is not like form"),
        ("r.json", '{"url": "u", "json": {"a": 1}, "change": "a"}', "'a' is not a JSON pointer"),
        ("r.json", '{"url": "u", "json": {"a": 1}, "change": "/b"}', "change: there is no /b in the body"),
        ("r.json", '{"url": "u", "json": {"a": [1]}, "change": "/a/1"}', "change: there is no /a/1 in the body"),
        ("r.json", '{"url": "u", "json": {"a": {}}, "change": "/a"}', "change: /a is neither text nor a number"),
        ("r.json", '{"url": "u", "body": "a", "change": "/a"}', "give the changed text as other"),
        ("r.json", '{"url": "u", "reference": "id"}', "reference: 'id' is not a JSON pointer"),
        ("r.json", '{"url": "u", "count": {"at": "/a"}}', "count: url: "),
        ("r.json", '{"url": "u", "count": {"url": "u", "at": "a"}}', "count: at: 'a' is not a JSON pointer"),
        ("r.json", '{"url": "u", "count": {"url": "u", "path": "a"}}', "count: path: there is no such option"),
        ("r.json", '{"url": "u", "count": 7}', "count: "),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_by_its_name_and_field(tmp_path: Path, name: str, text: str | None, complaint: str) -> None:
    path = tmp_path / name
    if text is not None:
        write(path, text)
    with pytest.raises(UsageError) as raised:
        ProbeRequest.read(path, {"EMPTY": ""})
    assert str(raised.value).startswith(f"{path}: ")
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        ProbeRequest.read(tmp_path / "r.json")
    (tmp_path / "d.json").mkdir()
    with pytest.raises(UsageError, match="it cannot be read"):
        ProbeRequest.read(tmp_path / "d.json")


def test_values_are_not_quoted() -> None:
    with pytest.raises(UsageError) as raised:
        ProbeRequest(URL, headers={"Authorization": ["CANARY"]})
    assert "CANARY" not in str(raised.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [("19.99", "20.99"), ("7", "8"), ("tea", "tea2"), ("", "2"), (7, 8), (1.5, 2.5), (True, False), ("NaN", "NaN2"), ("-1", "0")],
)  # fmt: skip
def test_a_changed_field_is_another_value_of_its_kind(before: Any, after: Any) -> None:
    request = ProbeRequest(URL, json={"a": {"b/c": [0, before]}, "d": 1}, change="/a/b~1c/1")
    assert request.other_options["json"] == {"a": {"b/c": [0, after]}, "d": 1}
    assert request.options["json"] == {"a": {"b/c": [0, before]}, "d": 1}


def test_a_form_field_is_changed_by_its_name() -> None:
    request = ProbeRequest(URL, form={"a": "tea", "b/c": "x"}, change="b/c")
    assert request.other_options == {"headers": {}, "data": {"a": "tea", "b/c": "x2"}}


@pytest.mark.parametrize(
    ("kind", "option", "body", "other"),
    [("json", "json", [1], {"a": 1}), ("form", "data", {"a": "1"}, {"a": ["1", "2"]}), ("body", "content", "a", "b")],
)
def test_another_body_is_sent_in_the_same_way(kind: str, option: str, body: Any, other: Any) -> None:
    request = ProbeRequest(URL, **{kind: body, "other": other})
    assert (request.options[option], request.other_options[option]) == (body, other)
