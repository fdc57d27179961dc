"""Ready-made look-ups: what became of an action, by reading the API's own objects.

They are made for `Operation(reconcile=…)`, under `samekey.Client` and `samekey.AsyncClient` alike. Each asks with GET, follows
no redirect, and says in its evidence what it asked and which status came back, never a query value or a body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from samekey._core.model import Record, Reply
from samekey._core.reading import reference_of
from samekey.errors import UsageError
from samekey.http.urls import shown
from samekey.reconcile import Absent, Ask, Asking, Found, Inconclusive, LookUp, performed

__all__ = ["lookup_get", "lookup_list", "stamp"]

OK: Final = 200
GONE: Final = frozenset({404, 410})

Answer = Found | Absent | Inconclusive


def stamp(record_or_scope: Record | Mapping[str, Any], *, length: int = 32) -> str:
    """A text of your own to put into the request, by which `lookup_list` can find the object again.

    Put it where the API keeps what callers send along (an external reference, metadata, a memo): `json={"external_id":
    samekey.lookups.stamp(scope), …}`. It depends on the scope alone, so a rerun makes the same one, and a person who sees it
    learns nothing of the key.

    Args:
        record_or_scope: the scope of the action, or its record.
        length: how many characters the API takes, 16 to 64.

    Raises:
        UsageError: the length is out of bounds, or a value is not one a scope may have.
    """
    if not 16 <= length <= 64:
        raise UsageError(f"stamp: length is {length}; give 16 to 64 characters.")
    from samekey._core.keys import identify, scope_texts

    given = record_or_scope.scope if isinstance(record_or_scope, Record) else record_or_scope
    # Scope alone: the script that sends it need not know under which actor and name the action runs.
    return identify("stamp", "stamp", scope_texts("stamp", None, given)).digest[:length]


def lookup_get(url: str, *, reference: str = "/id", consistent: bool = False) -> LookUp:
    """Looks up one object at an address that the scope or the key names.

    Args:
        url: a template, relative to the client's base URL or absolute: `/orders/by-cart/{cart}`. Fields are those of the
            scope, besides `{idempotency_key}`, `{operation_name}`, `{actor_id}` and `{stamp}`.
        reference: the JSON pointer to the object's id in the answer, or `header:NAME`.
        consistent: that the API answers 404 from its own data, so that what is not there did not happen.

    Returns:
        A function for `Operation(reconcile=…)`. 200 is `Found`, 404 and 410 are `Absent`, all else is `Inconclusive`.

    Raises:
        UsageError: the template has a field without a name.
    """
    _check(url)

    def asking(record: Record) -> Asking[Answer]:
        response = yield Ask("GET", _filled(url, record, quoted=True))
        told = _told(response)
        if response.status_code in GONE:
            return Absent(told, consistent=consistent)
        if response.status_code != OK:
            return Inconclusive(told)
        found = reference_of(_reply(response), reference)
        return Found(found, response, told) if found else Inconclusive(f"{told}, without {reference}")

    return lambda http, record: performed(asking(record), http)


def lookup_list(
    url: str,
    *,
    params: Mapping[str, str] | None = None,
    items: str = "",
    match: Mapping[str, str] | Callable[[Any, Record], bool] | None = None,
    reference: str = "/id",
    consistent: bool = False,
) -> LookUp:
    """Looks for the one object in a list or a search.

    Args:
        url: as for `lookup_get`.
        params: query parameters; the values are templates too: `{"cart": "{cart}"}`.
        items: the JSON pointer to the list in the answer; "" if the answer is the list.
        match: which items count: JSON pointers into an item with the text that must stand there, a template
            (`{"/external_id": "{stamp}"}`), or a function of (item, record). None if the API's own search is exact.
        reference: the JSON pointer to the id of an item.
        consistent: that the list is whole and read from the API's own data: no search index, no second page.

    Returns:
        A function for `Operation(reconcile=…)`. One match is `Found`, none is `Absent`, and more are `Inconclusive`,
        as is any answer that is not a list with status 200.

    Raises:
        UsageError: a template has a field without a name.
    """
    wanted = match if isinstance(match, Mapping) else {}
    for template in (url, *(params or {}).values(), *wanted.values()):
        _check(template)

    def asking(record: Record) -> Asking[Answer]:
        query = {name: _filled(text, record) for name, text in (params or {}).items()}
        response = yield Ask("GET", _filled(url, record, quoted=True), {"params": query or None})
        told = _told(response)
        if response.status_code != OK:
            return Inconclusive(told)
        listed = _at(response.json(), items)
        if not isinstance(listed, list):
            return Inconclusive(f"{told}, without a list at {items or 'its root'}")
        found = [item for item in listed if _matches(item, record, match)]
        if not found:
            return Absent(f"{told}, {len(listed)} listed and none that matches", consistent=consistent)
        if len(found) > 1:
            return Inconclusive(f"{told}, {len(found)} that match")
        named = _at(found[0], reference)
        # The answer is a list: as the write's own result it would mislead.
        return Found(str(named), None, told) if named is not None else Inconclusive(f"{told}, without {reference}")

    return lambda http, record: performed(asking(record), http)


def _matches(item: Any, record: Record, match: Mapping[str, str] | Callable[[Any, Record], bool] | None) -> bool:
    if match is None:
        return True
    if isinstance(match, Mapping):
        return all(_text(_at(item, pointer)) == _filled(text, record) for pointer, text in match.items())
    return match(item, record)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _at(value: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            value = value[int(name)] if name.isdecimal() and int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def _fields(record: Record) -> dict[str, str]:
    facts = {
        "idempotency_key": record.idempotency_key,
        "operation_name": record.operation_name,
        "actor_id": record.actor_id,
        "stamp": stamp(record),
    }
    return facts | dict(record.scope)


def _filled(template: str, record: Record, *, quoted: bool = False) -> str:
    from urllib.parse import quote

    fields = _fields(record)
    return template.format_map({name: quote(text, safe="") for name, text in fields.items()} if quoted else fields)


def _check(template: str) -> None:
    from string import Formatter

    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise UsageError(
            f"look-up: {template!r} is not a template ({error}); write {{cart}} for a scope field."
        ) from None
    if not all(name and not {".", "[", "!"} & set(name) for name in names):
        raise UsageError(f"look-up: {template!r} has a field without a plain name; write {{cart}} for a scope field.")


def _told(response: Any) -> str:
    return f"GET {shown(response.request.url)}: HTTP {response.status_code}"


def _reply(response: Any) -> Reply:
    headers = tuple((name.lower(), value) for name, value in response.headers.items())
    return Reply(response.status_code, headers, response.content)
