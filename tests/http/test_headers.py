"""A field that is put last: as the library's own way would, in half the steps."""

from __future__ import annotations

from typing import Any

import pytest

from samekey.http.headers import put_last

FIELDS: tuple[list[tuple[bytes, bytes]], ...] = (
    [],
    [(b"Host", b"shop.example"), (b"Accept", b"*/*")],
    [(b"x-key", b"1"), (b"Accept", b"*/*")],
    [(b"X-KEY", b"1"), (b"Accept", b"*/*"), (b"X-Key", b"2"), (b"X-Keys", b"3")],
)


@pytest.mark.parametrize("fields", FIELDS)
def test_it_goes_behind_all_others_in_place_of_those_of_its_name(
    module: Any, fields: list[tuple[bytes, bytes]]
) -> None:
    headers = module.Headers(fields)
    put_last(headers, "X-Key", "new")
    rest = [field for field in fields if field[0].lower() != b"x-key"]
    assert headers.raw == [*rest, (b"X-Key", b"new")]
    assert headers["x-key"] == "new"
    assert headers.get_list("x-key") == ["new"]


@pytest.mark.parametrize("fields", FIELDS)
def test_headers_of_another_make_are_asked_in_public(module: Any, fields: list[tuple[bytes, bytes]]) -> None:
    class Elsewhere(module.Headers):  # type: ignore[misc]
        """A kind that keeps its fields as we do not know it."""

        _list = property(lambda self: self.kept, lambda self, fields: setattr(self, "kept", [list(f) for f in fields]))

    known, other = module.Headers(fields), Elsewhere([])
    for name, value in fields:
        other.kept.append([name, name.lower(), value])
    for headers in (known, other):
        put_last(headers, "X-Key", "new")
    assert known.raw == other.raw
    assert all(type(field) is list for field in other.kept[: len(fields) - 1] if field[1] != b"x-key")
