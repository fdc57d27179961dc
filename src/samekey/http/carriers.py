"""Where a key goes into a request: a header, the query, a member of a JSON body, a field of a form.

The frozen request is kept without the key, and the key is written into each send by rules that look at nothing but the
frozen bytes and the key. So every send of a key has the same bytes, and the fingerprint never sees the key.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote_plus

from samekey._core.jsonplaces import UNREADABLE, members, skip
from samekey._core.reading import is_json
from samekey.errors import StoreFormatError, UsageError
from samekey.http.headers import put_last

if TYPE_CHECKING:
    from samekey._core.model import Outgoing
    from samekey._core.plan import Profile
    from samekey.http.library import Library

_KEY: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
"""Wider than our keys are: a store may be older than their shape."""

_FORM: Final = "application/x-www-form-urlencoded"


def check(profile: Profile, outgoing: Outgoing, url: Any) -> None:
    """Looks whether the key has a place in the request, and that nothing is there yet.

    Raises:
        UsageError: the request brings a key of its own, or cannot carry one.
    """
    name = profile.key_header
    match profile.carrier:
        case "header":
            for each in filter(None, (name, profile.first_sent_header)):
                if each.lower() in outgoing.header_names:
                    raise UsageError(_own(f"{each} header"))
        case "query":
            if name in url.params:
                raise UsageError(_own(f"query parameter {name}"))
        case "form":
            _check_form(profile, outgoing)
        case "json" | "graphql" if not is_json(outgoing.content_type):
            raise UsageError(f"{profile.name} takes its key as {name} in the JSON body; give the body as json=.")
        case "json" | "graphql":  # pragma: no branch - the types allow nothing else
            body = _whole(profile.name, outgoing)
            in_json(body, _path(profile), "")
            if profile.carrier == "graphql":
                _check_graphql(name, body)


def check_stamp(profile: Profile, stamp: str, outgoing: Outgoing) -> None:
    """Looks whether the key can be stamped into the body, and that nothing is there yet.

    Raises:
        UsageError: the body brings something there, or cannot carry it.
    """
    if profile.carrier in {"json", "form"} and stamp == profile.key_header:
        raise UsageError(f"the key of {profile.name} is at {stamp} already; leave stamp= out.")
    if _is_form(outgoing.content_type):
        _check_field(stamp, _whole("stamp=", outgoing))
    elif is_json(outgoing.content_type):
        in_json(_whole("stamp=", outgoing), stamp.split("."), "")
    else:
        raise UsageError(f"stamp={stamp!r} writes the key into a JSON or form body; give the body as json= or data=.")


def _check_form(profile: Profile, outgoing: Outgoing) -> None:
    name = profile.key_header
    if not _is_form(outgoing.content_type):
        raise UsageError(f"{profile.name} takes its key as the form field {name}; give the body as data=.")
    _check_field(name, _whole(profile.name, outgoing))


def _check_field(name: str, body: bytes) -> None:
    if any(each == name for each, _ in parse_qsl(body.decode("latin-1"), keep_blank_values=True)):
        raise UsageError(_own(f"form field {name}"))


def _check_graphql(name: str, body: bytes) -> None:
    """A variable that the mutation does not hand on would be a key that nobody reads."""
    try:
        query = json.loads(body).get("query")
    except (ValueError, RecursionError):
        query = None
    uses = len(re.findall(rf"\${re.escape(name)}\b", query)) if isinstance(query, str) else 0
    if uses < 2:
        raise UsageError(
            f"the key goes into the variable ${name}, which the query does not declare and use; write "
            f"mutation(${name}: String!) {{ ... @idempotent(key: ${name}) }}, or as the API has it."
        )


def _path(profile: Profile) -> list[str]:
    return ["variables", profile.key_header] if profile.carrier == "graphql" else profile.key_header.split(".")


def _is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == _FORM


def write(library: Library[Any, Any], profile: Profile, request: Any, key: str, first_sent: datetime | None) -> Any:
    """The request with the key in it.

    Args:
        library: the client's library.
        profile: says where the key goes.
        request: the native request.
        key: the key.
        first_sent: when the key was first sent, for APIs that want to be told.

    Raises:
        StoreFormatError: the key has characters that no key of ours has: somebody else wrote it.
    """
    if not _KEY.fullmatch(key):
        raise StoreFormatError(
            "what the store has as a key is no key, so nothing was sent; the store was changed by somebody else, restore it "
            "from a backup."
        )
    name, value = profile.key_header, profile.carried(key)
    match profile.carrier:
        case "header":
            put_last(request.headers, name, value)
            if profile.first_sent_header and first_sent is not None:
                sent = format_datetime(first_sent.replace(microsecond=0), usegmt=True)
                put_last(request.headers, profile.first_sent_header, sent)
            return request
        case "query":
            # As text: the library's own way writes the caller's parameters anew, in another spelling.
            query, field = request.url.query, _with_field(b"", name, value)
            if not (b"&" + query).endswith(b"&" + field):  # it may be there already
                request.url = request.url.copy_with(query=_with_field(query, name, value))
            return request
        case "form":
            return _with_body(library, request, _with_field(bytes(request.content), name, value))
        case "json" | "graphql":  # pragma: no branch - the types allow nothing else
            return _with_body(library, request, in_json(bytes(request.content), _path(profile), value))


def write_stamp(library: Library[Any, Any], stamp: str, request: Any, key: str) -> Any:
    """The request with the key stamped into its body."""
    body = bytes(request.content)
    if _is_form(request.headers.get("content-type", "")):
        return _with_body(library, request, _with_field(body, stamp, key))
    return _with_body(library, request, in_json(body, stamp.split("."), key))


def _with_field(text: bytes, name: str, value: str) -> bytes:
    return b"&".join(filter(None, (text, f"{quote_plus(name)}={quote_plus(value)}".encode())))


def _with_body(library: Library[Any, Any], request: Any, body: bytes) -> Any:
    headers = [(n, str(len(body)).encode() if n.lower() == b"content-length" else v) for n, v in request.headers.raw]
    return library.module.Request(
        request.method, request.url, headers=headers, content=body, extensions=request.extensions
    )


def in_json(body: bytes, path: list[str], value: str) -> bytes:
    """The JSON text with one more member, at the front of the object that it belongs to; all other bytes stay.

    Args:
        body: the text of an object.
        path: the member's name, behind the names of the objects that it lies in. The last of these is made if missing.
        value: the member's value.

    Raises:
        UsageError: the body is not such an object, or has that member already.
    """
    place = ".".join(path)
    try:
        text = body.decode("utf-8")
        start = skip(text, 0)
        *parents, name = path
        for depth, parent in enumerate(parents):
            inside = members(text, start)
            if parent not in inside and depth == len(parents) - 1:
                return _put(text, start, parent, f"{{{json.dumps(name)}:{json.dumps(value)}}}").encode()
            start = inside[parent]
        inside = members(text, start)
        if name not in inside:
            return _put(text, start, name, json.dumps(value)).encode()
    except UNREADABLE:
        raise UsageError(f"the key goes into the JSON body as {place}, and the body has no object for it.") from None
    raise UsageError(_own(f"{place} in the body"))


def _put(text: str, start: int, name: str, member: str) -> str:
    first = skip(text, start + 1)
    comma = "" if text[first] == "}" else ","
    return f"{text[: start + 1]}{json.dumps(name)}:{member}{comma}{text[start + 1 :]}"


def _whole(who: str, outgoing: Outgoing) -> bytes:
    if outgoing.body is None:
        raise UsageError(f"{who} takes its key in the body, which a stream cannot carry; give the body whole.")
    return outgoing.body


def _own(what: str) -> str:
    return f"the request brings its own {what}; leave it out, samekey makes the key."
