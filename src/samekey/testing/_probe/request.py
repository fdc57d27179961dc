"""What a probe sends: read from a file, checked before anything is sent."""

import copy
import os
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from samekey.contracts import Declared, Where
from samekey.errors import UsageError
from samekey.mappings import read_mapping

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BODIES: Final = ("json", "form", "body")
_INDEX: Final = re.compile(r"0|[1-9][0-9]*")


def _place(value: str) -> str:
    if value and not value.startswith("/"):
        raise ValueError(f"{value!r} is not a JSON pointer; it starts with a slash, like '/data'")
    return value


class ProbeCount(Declared):
    """A read that tells how many effects there are: its answer rises by one with each.

    Args:
        url: where to GET it.
        at: the JSON pointer to a number, or to a list whose items are counted; "" for the whole answer.
        headers: header fields of its own. Those of the write go along if the origin is the same.
    """

    url: str = Field(min_length=1, repr=False)
    at: Annotated[str, AfterValidator(_place)] = ""
    headers: dict[str, str] = Field(default_factory=dict, repr=False)

    def __init__(self, url: str, at: str = "", headers: Mapping[str, str] | None = None, **unknown: Any) -> None:
        self._build("count", {"url": url, "at": at, "headers": dict(headers or {}), **unknown})


class ProbeRequest(Declared):
    """The write that a probe sends, and the changed one that it sends under the same key.

    Args:
        url: where to, whole.
        method: the HTTP method.
        headers: header fields; credentials belong here.
        json: a JSON body.
        form: the fields of a form body.
        body: a body as text; give its content type among the headers.
        other: the changed body, of the same kind as the body. The API must accept it as well.
        change: in place of `other`, the field that is changed: a JSON pointer, or the name of a form field. A number
            goes up by one, a truth value is turned round, a text gets a 2 at its end.
        reference: where the object's id is in the answer: a JSON pointer, or `header:Location`.
        count: the read that counts effects. Without it they are told by the references in the answers, which is weaker.

    Raises:
        UsageError: an option is unknown, missing or has a wrong value.
    """

    url: str = Field(min_length=1, repr=False)
    method: str = "POST"
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    json_body: Any = Field(default=None, alias="json", repr=False)
    form: dict[str, str | list[str]] | None = Field(default=None, min_length=1, repr=False)
    body: str | None = Field(default=None, repr=False)
    other: Any = Field(default=None, repr=False)
    change: str | None = None
    reference: Where = "/id"
    count: ProbeCount | None = None
    _source: str = PrivateAttr("probe request")
    _secrets: tuple[str, ...] = PrivateAttr(())

    def __init__(self, url: str = "", *, source: str = "probe request", **fields: Any) -> None:
        counted = fields.get("count")
        if isinstance(counted, Mapping):
            try:
                fields["count"] = ProbeCount(**{"url": "", **counted})
            except UsageError as error:
                raise UsageError(f"{source}: {error}") from None
        self._build(source, {"url": url, **fields})
        self._source = source

    @property
    def source(self) -> str:
        """What messages call this request: the file that it is from."""
        return self._source

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values of the variables that were filled in, which nobody is shown."""
        return self._secrets

    @classmethod
    def read(cls, path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Self:
        """Reads a request from a JSON or TOML file, by the ending of its name.

        Args:
            path: the file. Its fields are the arguments of this class.
            environ: what `${NAME}` in a URL or in the value of a header stands for; None for the environment.

        Raises:
            UsageError: the file cannot be read, a field is wrong, or a variable is not set.
        """
        fields = read_mapping(path, "fields such as url")
        known = _Used(os.environ if environ is None else environ)
        try:
            _expand(fields, known, "")
            if isinstance(fields.get("count"), dict):
                _expand(fields["count"], known, "count.")
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
        if "source" in fields:
            raise UsageError(f"{path}: source: there is no such option.")
        request = cls(source=str(path), **fields)
        request._secrets = tuple(known.values)
        return request

    @model_validator(mode="after")
    def _check_bodies(self) -> Self:
        given = [name for name in _BODIES if self._body_named(name) is not None]
        if len(given) > 1:
            raise ValueError(f"a request has one body, and this one has {' and '.join(given)}")
        if self.other is not None and self.change is not None:
            raise ValueError("give the changed body as other, or the field to change as change, not both")
        kind = given[0] if given else None
        if kind is None and (self.other is not None or self.change is not None):
            raise ValueError("there is no body (json, form or body) to be changed")
        if self.change is not None:
            self.changed_body()
        wanted = {"form": dict, "body": str}.get(kind or "")
        if self.other is not None and wanted and not isinstance(self.other, wanted):
            raise ValueError(f"other is not like {kind}; give the whole changed body")
        if self.other is not None and self.other == self._body_named(kind or ""):
            raise ValueError(f"other is the same as {kind}; change something")
        return self

    def _body_named(self, name: str) -> Any:
        return {"json": self.json_body, "form": self.form, "body": self.body}.get(name)

    @property
    def kind(self) -> str:
        """Which of the bodies is given: "json", "form", "body", or "" for none."""
        return next((name for name in _BODIES if self._body_named(name) is not None), "")

    @property
    def options(self) -> dict[str, Any]:
        """The write, as options of httpx."""
        return self._options(self._body_named(self.kind))

    @property
    def other_options(self) -> dict[str, Any]:
        """The write with the changed body, as options of httpx.

        Raises:
            UsageError: nobody has said what to change.
        """
        if self.other is None and self.change is None:
            raise UsageError(
                "other: there is no changed body, which is sent under the same key; give other, or change, the field."
            )
        return self._options(self.changed_body() if self.other is None else self.other)

    def _options(self, body: Any) -> dict[str, Any]:
        options: dict[str, Any] = {"headers": dict(self.headers)}
        if self.kind:
            options[{"json": "json", "form": "data", "body": "content"}[self.kind]] = body
        return options

    def changed_body(self) -> Any:
        """The body with the field `change` changed.

        Raises:
            ValueError: there is no such field, or it is nothing that can be changed.
        """
        where, kind = self.change or "", self.kind
        body = copy.deepcopy(self._body_named(kind))
        if kind == "body":
            raise ValueError("change names a field, and body is text; give the changed text as other")
        parts = [where] if kind == "form" else [_unescaped(part) for part in _pointer(where).split("/")[1:]]
        holder = body
        for part in parts[:-1]:
            holder = _step(holder, part, where)
        value = _step(holder, parts[-1], where)
        holder[int(parts[-1]) if isinstance(holder, list) else parts[-1]] = _changed(value, where)
        return body


class _Used:
    """Variables, and the values of those that were asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.values: set[str] = set()

    def get(self, name: str) -> str:
        value = self._environ.get(name, "")
        self.values.add(value)
        return value


def _expand(fields: dict[str, Any], environ: _Used, at: str) -> None:
    if isinstance(fields.get("url"), str):
        fields["url"] = _filled(fields["url"], environ, f"{at}url")
    headers = fields.get("headers")
    if isinstance(headers, dict):
        fields["headers"] = {
            name: _filled(value, environ, f"{at}headers.{name}") if isinstance(value, str) else value
            for name, value in headers.items()
        }


def _filled(text: str, environ: _Used, at: str) -> str:
    def value_of(match: re.Match[str]) -> str:
        value = environ.get(match[1])
        if not value:
            raise UsageError(f"{at}: the environment variable {match[1]} is not set; set it. Nothing was sent.")
        return value

    if "${" in _VARIABLE.sub("", text):
        raise UsageError(f"{at}: a ${{ has no variable's name and }} behind it.")
    return _VARIABLE.sub(value_of, text)


def _pointer(where: str) -> str:
    if not where.startswith("/"):
        raise ValueError(f"change: {where!r} is not a JSON pointer; it starts with a slash, like '/total'")
    return where


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _step(holder: Any, part: str, where: str) -> Any:
    if isinstance(holder, dict) and part in holder:
        return holder[part]
    if isinstance(holder, list) and _INDEX.fullmatch(part) and int(part) < len(holder):
        return holder[int(part)]
    raise ValueError(f"change: there is no {where} in the body")


def _changed(value: Any, where: str) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return _changed_text(value)
    raise ValueError(f"change: {where} is neither text nor a number; name another field, or give other")


def _changed_text(text: str) -> str:
    """The text with a 2 at its end; a number in it goes up by one, with its decimals."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return f"{text}2"
    return str(number + 1) if number.is_finite() else f"{text}2"
