"""Credentials in a URL or a body: out of what is stored, and in again at each send.

The facts of such a request, from which it is frozen and its fingerprint taken, have the place of the credential and not
its value: a query parameter or a form field without a value, null in a JSON body. So what is at rest never has one, a
credential that was renewed leaves the action the same, and a resend is the frozen bytes with today's value in its place.
"""

from __future__ import annotations

import json
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from samekey._core.jsonplaces import UNREADABLE, place_of, put
from samekey._core.reading import is_json
from samekey._core.values import fixed
from samekey.errors import UsageError
from samekey.http import urls

if TYPE_CHECKING:
    from samekey._core.model import Frozen
    from samekey.http.library import Library
    from samekey.http.outgoing import Prepared

_FORM: Final = "application/x-www-form-urlencoded"


@fixed
class Secrets:
    """What of a request is not stored.

    Attributes:
        query: query parameters that the operation names; the request must have each.
        body: JSON pointers that it names; the body must have each.
        may_query: those of the API's profile, where a request has them.
        may_body: those of the API's profile.
    """

    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    may_query: tuple[str, ...] = ()
    may_body: tuple[str, ...] = ()


def conceal(library: Library[Any, Any], prepared: Prepared, secrets: Secrets) -> Prepared:
    """The request, with facts that have no secret in them.

    Raises:
        UsageError: what is declared a secret is not there, or cannot be found; a name that is mistyped would be stored.
    """
    outgoing = prepared.outgoing
    query = _in_query(prepared.url, secrets)
    changes: dict[str, Any] = {"secret_query": query}
    if query:
        url = library.module.URL(outgoing.url)
        bare = url.copy_with(query=_emptied(url.query, query))
        changes |= {"url": str(bare), "shown_url": urls.shown(bare)}
    if secrets.body or (secrets.may_body and outgoing.body):
        changes["body"], changes["secret_body"] = _without(outgoing.body, outgoing.content_type, secrets)
    return replace(prepared, outgoing=replace(outgoing, **changes))


def _in_query(url: Any, secrets: Secrets) -> tuple[str, ...]:
    for name in secrets.query:
        if name not in url.params:
            raise UsageError(f"secret_query= names {name!r}, which is no parameter of this URL; correct the name.")
    return tuple(dict.fromkeys([*secrets.query, *(name for name in secrets.may_query if name in url.params)]))


def _emptied(text: bytes, names: tuple[str, ...]) -> bytes:
    """A query or a form without the values of these fields."""
    return _filled(text, dict.fromkeys(names, iter(())))


def _filled(text: bytes, values: dict[str, Any]) -> bytes:
    """A query or a form in which these fields have the next of their values, or none."""
    items = []
    for item in text.split(b"&"):
        name, equals, _ = item.partition(b"=")
        known = values.get(_name(name))
        items.append(item if known is None else name + equals + next(known, b""))
    return b"&".join(items)


def _name(raw: bytes) -> str:
    return unquote_plus(raw.decode("latin-1"))


def _values(text: bytes, name: str) -> list[bytes]:
    """The values of a field, as they are written."""
    pairs = [item.partition(b"=") for item in text.split(b"&")]
    return [value for each, _, value in pairs if _name(each) == name]


def _without(body: bytes | None, content_type: str, secrets: Secrets) -> tuple[bytes | None, tuple[str, ...]]:
    """The body without its secrets, and which those are."""
    given = _Body.of(body, content_type)
    if given is None:
        if secrets.body:
            raise UsageError("secret_body= works in JSON and form bodies; give the body as json= or data=.")
        return body, ()
    found: list[str] = []
    for pointer in dict.fromkeys([*secrets.body, *secrets.may_body]):
        value = given.value(pointer)
        if value is not None:
            given = given.put(pointer, [])
            found.append(pointer)
        elif pointer in secrets.body:
            raise UsageError(f"secret_body= names {pointer!r}, which this body does not have; correct the pointer.")
    return given.text, tuple(found)


@fixed
class _Body:
    """A body whose values can be replaced.

    Attributes:
        text: its bytes.
        is_json: whether it is JSON; else it is a form.
    """

    text: bytes = field(repr=False)
    is_json: bool

    @classmethod
    def of(cls, body: bytes | None, content_type: str) -> _Body | None:
        if body is None or not (is_json(content_type) or content_type.partition(";")[0].strip().lower() == _FORM):
            return None
        return cls(body, is_json(content_type))

    def value(self, pointer: str) -> list[bytes] | None:
        """What is at a pointer, as it is written."""
        if not self.is_json:
            return _values(self.text, _field(pointer)) or None
        try:
            text = self.text.decode("utf-8")
            json.loads(text)  # all of it: nothing comes after the value that is found
            place = place_of(text, pointer)
        except UNREADABLE:
            raise UsageError(
                "the body, in which secrets are declared, cannot be read as JSON without doubt; give it as json=."
            ) from None
        return None if place is None else [text[place[0] : place[1]].encode()]

    def put(self, pointer: str, values: list[bytes]) -> _Body:
        """The body with something else there; null, or nothing, for an empty list."""
        if self.is_json:
            value = values[0].decode() if values else "null"
            return replace(self, text=(put(self.text.decode("utf-8"), pointer, value) or "").encode())
        return replace(self, text=_filled(self.text, {_field(pointer): iter(values)}))


def _field(pointer: str) -> str:
    return pointer.removeprefix("/").replace("~1", "/").replace("~0", "~")


def full_url(library: Library[Any, Any], frozen: Frozen, fresh: Any) -> Any:
    """The frozen URL with the secrets that this run's request has; their names are part of the fingerprint."""
    url = library.module.URL(frozen.url)
    if not frozen.secret_query:
        return url
    values = {name: iter(_values(fresh.url.query, name)) for name in frozen.secret_query}
    return url.copy_with(query=_filled(url.query, values))


def full_body(frozen: Frozen, fresh: Any) -> bytes | None:
    """The frozen body with the secrets that this run's request has.

    Raises:
        UsageError: it lacks one.
    """
    if not frozen.secret_body or frozen.body is None:
        return frozen.body
    kind = next((value for name, value in frozen.headers if name == "content-type"), "")
    body, mine = _Body.of(frozen.body, kind), _Body.of(fresh.content, fresh.headers.get("content-type", ""))
    assert body is not None
    for pointer in frozen.secret_body:
        values = None if mine is None or mine.is_json is not body.is_json else mine.value(pointer)
        if values is None:
            raise UsageError(
                f"the value at {pointer!r} is a secret that was not stored, and this run's request has none to put there; "
                f"give it again."
            )
        body = body.put(pointer, values)
    return body.text
