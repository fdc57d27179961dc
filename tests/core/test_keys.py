"""Identity, scope text and key."""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey._core.keys import MAX_SCOPE_TEXT, derive_key, identify, keyed_digest, mac, scope_texts
from samekey.errors import UsageError

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
scopes = st.dictionaries(words, words, min_size=1, max_size=4)
identities = st.tuples(words, words, scopes, st.integers(1, 5))


class Colour(IntEnum):
    RED = 7


class Place(StrEnum):
    HOME = "home"


def text_of(value: Any) -> str:
    return scope_texts("op", ("field",), {"field": value})["field"]


def key_of(identity: tuple[str, str, dict[str, str], int]) -> str:
    actor, operation, scope, generation = identity
    return derive_key(b"secret", identify(actor, operation, scope).digest, generation)


# Keys


@given(st.binary(max_size=64), st.text(max_size=80), st.integers(1, 10**6))
def test_a_key_is_always_a_canonical_lower_case_uuid4(secret: bytes, identity: str, generation: int) -> None:
    identity = identity.encode("utf-8", "replace").decode()
    key = derive_key(secret, identity, generation)
    assert UUID4.fullmatch(key)
    assert str(UUID(key)) == key
    assert UUID(key).version == 4


@given(identities, identities)
def test_keys_are_equal_exactly_where_identities_are(
    one: tuple[str, str, dict[str, str], int], other: tuple[str, str, dict[str, str], int]
) -> None:
    assert (key_of(one) == key_of(other)) is (one == other)


@given(identities)
def test_the_order_of_the_scope_fields_does_not_matter(one: tuple[str, str, dict[str, str], int]) -> None:
    actor, operation, scope, generation = one
    turned = dict(reversed(scope.items()))
    assert key_of((actor, operation, turned, generation)) == key_of(one)


def test_fields_cannot_run_into_each_other() -> None:
    assert identify("a", "b", {"x": "1", "y": "2"}).digest != identify("a", "b", {"x": '1","y":"2'}).digest
    assert identify("a,b", "c", {}).digest != identify("a", "b,c", {}).digest


def test_another_secret_gives_another_key() -> None:
    identity = identify("a", "b", {"x": "1"}).digest
    assert derive_key(b"one", identity, 1) != derive_key(b"two", identity, 1)


def test_the_key_of_an_identity_never_changes_between_releases() -> None:
    digest = identify("default", "create_order", {"customer": "42", "cart": "c-9"}).digest
    assert derive_key(b"s" * 32, digest, 1) == "f0d39f04-bd4c-4362-bec2-c2a1745e6c51"


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_mac_is_that_of_the_standard_library_for_secrets_of_every_length(secret: bytes, data: bytes) -> None:
    assert mac(secret, data) == hmac.digest(secret, data, "sha256")
    assert mac(secret, data) == mac(secret, data)


def test_an_identity_shows_its_label() -> None:
    shown = identify("default", "create_order", {"customer": "42", "cart": "c-9"}).label
    assert shown == "create_order(customer=42, cart='c-9')"


def test_a_keyed_digest_depends_on_secret_purpose_and_data() -> None:
    base = keyed_digest(b"s", "credential", b"data")
    assert len(base) == 32
    assert len(keyed_digest(b"s", "credential", b"data", 8)) == 16
    assert len({base, *(keyed_digest(*a) for a in [(b"t", "credential", b"data"), (b"s", "x", b"data")])}) == 3


# Scope texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("c-9", "c-9"),
        (42, "42"),
        (-7, "-7"),
        (True, "true"),
        (False, "false"),
        (Colour.RED, "7"),
        (Place.HOME, "home"),
        (Decimal("19.90"), "19.9"),
        (Decimal("1E+3"), "1000"),
        (Decimal(100), "100"),
        (Decimal("-0.00"), "0"),
        (Decimal("0E+5"), "0"),
        (Decimal("0.000001"), "0.000001"),
        (UUID("7F3C2A1B-0000-4000-8000-000000000000"), "7f3c2a1b-0000-4000-8000-000000000000"),
        (date(2026, 11, 24), "2026-11-24"),
        (datetime(2026, 11, 24, 5, 10, tzinfo=UTC), "2026-11-24T05:10:00Z"),
        (datetime(2026, 11, 24, 6, 10, 0, 5, timezone(timedelta(hours=1))), "2026-11-24T05:10:00.000005Z"),
        ("e\u0301", "\u00e9"),
        ("", ""),
    ],
)
def test_each_value_has_one_text(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_equal_text_is_the_same_action() -> None:
    assert text_of(42) == text_of("42") == text_of(Decimal("42.0"))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_text_is_normalised_once(value: str) -> None:
    text = text_of(value)
    assert text == unicodedata.normalize("NFC", value)
    assert text_of(text) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6), st.integers(0, 5))
def test_a_decimals_trailing_zeros_do_not_matter(value: Decimal, zeros: int) -> None:
    text = text_of(value)
    assert Decimal(text) == value
    assert text_of(Decimal(f"{text}.{'0' * zeros}" if "." not in text else text + "0" * zeros)) == text


@given(st.datetimes(timezones=st.timezones()))
def test_a_datetime_is_its_moment_in_utc_or_is_refused(value: datetime) -> None:
    try:
        text = text_of(value)
    except UsageError as error:
        assert "calendar" in str(error)  # noqa: PT017 - most of them are inside
    else:
        assert text.endswith("Z")
        assert datetime.fromisoformat(text) == value.astimezone(UTC)


def test_a_datetime_outside_the_calendar_is_refused() -> None:
    edge = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))
    with pytest.raises(UsageError, match="outside the calendar"):
        text_of(edge)


PLAIN = [
    st.text(),
    st.integers(),
    st.booleans(),
    st.decimals(),
    st.uuids(),
    st.dates(),
    st.floats(),
    st.none(),
]


@given(st.one_of(*PLAIN))
def test_a_value_gives_a_text_that_can_be_stored_or_a_usage_error(value: Any) -> None:
    try:
        text = text_of(value)
    except UsageError as error:
        assert str(error).startswith("op: ")  # noqa: PT017 - either is right
    else:
        assert isinstance(text, str)
        assert len(text) <= MAX_SCOPE_TEXT
        text.encode()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (1.5, "is a float, which has no single spelling; pass a Decimal or a str."),
        (None, "is None, which all actions without a field would share; give a value."),
        (datetime(2026, 11, 24), "is a datetime without a time zone"),  # noqa: DTZ001 - the point
        (Decimal("NaN"), "is NaN, which names nothing"),
        (Decimal("-Infinity"), "which names nothing"),
        (Decimal("1E+2000"), "is a Decimal with exponent 2000"),
        (1 << 5000, "is an integer of 5001 bits"),
        ("x" * 1025, "has 1025 characters"),
        (10**1100, "has 1101 characters"),
        ("\ud800", "holds a lone surrogate"),
        (b"bytes", "is a bytes; pass a str"),
        (["list"], "is a list; pass a str"),
    ],
)
def test_what_has_no_single_text_is_refused(value: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        text_of(value)
    assert str(caught.value).startswith("op: scope field 'field' ")
    assert says in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("declared", "scope", "says"),
    [
        (
            ("customer", "cart"),
            {"customer": 1, "crat": 2},
            "op: the scope lacks 'cart' and has 'crat', which is not declared; give exactly customer, cart.",
        ),
        (("a", "b"), {}, "op: the scope lacks 'a', 'b'; give exactly a, b."),
        (
            ("a",),
            {"a": 1, "x": 1, "y": 2},
            "op: the scope has 'x', 'y', which are not declared; give exactly a.",
        ),
        ((), {"x": 1}, "op: the scope has 'x', which is not declared; give an empty scope."),
        (None, {}, "op: the scope is empty, which makes every call the same action; name its fields."),
        (None, [("a", 1)], "op: scope is a list; give a mapping of field names to values."),
        (None, {"": 1}, "op: scope field name '' is not a non-empty string; use words."),
        (None, {5: 1}, "op: scope field name 5 is not a non-empty string; use words."),
    ],
)
def test_a_scope_that_differs_from_its_declaration_is_refused(
    declared: tuple[str, ...] | None, scope: Any, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        scope_texts("op", declared, scope)
    assert str(caught.value) == says


def test_a_field_name_that_is_not_text_is_refused() -> None:
    with pytest.raises(UsageError, match="lone surrogate"):
        scope_texts("op", None, {"\udc00": 1})


def test_an_empty_declaration_takes_an_empty_scope() -> None:
    empty: Mapping[str, str] = {}
    assert scope_texts("op", (), empty) == {}


@pytest.mark.parametrize("declared", [None, ("\u00e9", "e\u0301")])
def test_names_that_a_reader_cannot_tell_apart_swallow_no_value(declared: tuple[str, ...] | None) -> None:
    with pytest.raises(UsageError, match="two field names of the scope are the same to a reader"):
        scope_texts("op", declared, {"\u00e9": 1, "e\u0301": 2})
