"""Profiles that users write themselves."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from samekey.errors import UsageError
from samekey.provider import Endpoint, Provider
from samekey.providers import NAMES, load

TOML = """
name = "our-shop"
methods = ["POST"]
window = 86400
sources = ["our handbook, chapter 4"]
checked = 2026-11-24
tiers = {window = "S"}

[carrier]
kind = "json"
name = "request_id"

[[in_progress]]
status = 409
code_at = "error.code"
code = "still_running"

[[endpoints]]
path = "/v1/mail"
carrier = {kind = "none"}
"""


def test_a_profile_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(TOML, encoding="utf-8")
    assert Provider.load(path) == Provider(
        "our-shop",
        carrier={"kind": "json", "name": "request_id"},
        methods={"POST"},
        window=timedelta(hours=24),
        in_progress=[{"status": 409, "code_at": "error.code", "code": "still_running"}],
        endpoints=[{"path": "/v1/mail", "carrier": {"kind": "none"}}],
        sources=["our handbook, chapter 4"],
        checked=date(2026, 11, 24),
        tiers={"window": "S"},
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_the_command_prints_as_json_can_be_read_again(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(load(name).model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    assert Provider.load(path) == load(name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "it does not parse: "),
        ("", "name: string should have at least 1 character"),
        ("name = 5", "name: "),
        ('name = "x"\nwindw = 5', "provider 'x': windw: there is no such option"),
        ('name = "x"\ntiers = {windw = "P"}', "provider 'x': tiers: there is no field windw"),
        ('name = "x"\nendpoints = [{path = "mail"}]', "provider 'x': endpoints.0: "),
        ('name = "x"\nlookup = {kind = "by_key", url = "{url}?key=7"}', "lookup: its url needs {key}"),
        (
            'name = "x"\nlookup = {kind = "by_id", url = "{url}/{key}"}',
            "lookup: its url takes {url}, {origin}, {id}, and",
        ),
        (
            'name = "x"\nlookup = {kind = "by_key", url = "{url}/{"}',
            "lookup: its url takes {url}, {origin}, {key}, and",
        ),
        (
            'name = "x"\nlookup = {kind = "by_key", url = "{url.x}{key}"}',
            "lookup: its url takes {url}, {origin}, {key}, and",
        ),
        ('name = "x"\nlookup = {kind = "by_key", url = "{{key}}"}', "lookup: its url needs {key}"),
        ('name = "x"\nlookup = {kind = "cancel", url = "{origin}/cancel"}', "lookup: to cancel it needs the member"),
        (
            'name = "x"\nlookup = {kind = "by_id", url = "{url}/{id}", member = "k"}',
            "lookup: to cancel it needs the member",
        ),
    ],
)
def test_a_file_that_is_no_profile_is_named_with_its_fault(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        Provider.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff", b"[" * 100_000, b"[1]"])
def test_a_json_file_that_is_no_profile_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "shop.json"
    path.write_bytes(content)
    with pytest.raises(
        UsageError, match=r"not UTF-8 text|does not parse|it holds a list; an object with the fields of a profile"
    ):
        Provider.load(path)


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Provider.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("path", "method", "request_line", "fits"),
    [
        ("/a", None, "PUT /a", True),
        ("/a", "POST", "PUT /a", False),
        ("/a", None, "POST /a/", False),
        ("/a", None, "POST /v1/a", False),
        ("/a/*", None, "POST /a/b", True),
        ("/a/*", None, "POST /a/b/c", False),
        ("/a/*", None, "POST /a/", False),
        ("/a/*:cancel", None, "POST /a/b:cancel", True),
        ("/a/**", None, "POST /a/b/c", True),
        ("/**/c", None, "POST /a/b/c", True),
        ("/a.b", None, "POST /axb", False),
    ],
)
def test_an_endpoint_is_known_by_method_and_path(path: str, method: str | None, request_line: str, fits: bool) -> None:
    verb, _, target = request_line.partition(" ")
    assert Endpoint(path=path, method=method).matches(verb, target) is fits  # type: ignore[arg-type]
