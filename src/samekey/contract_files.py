"""Contracts in a TOML file: what a team signs off, apart from the code that keeps it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from samekey.contracts import Operation
from samekey.errors import UsageError
from samekey.lookups import lookup_get, lookup_list
from samekey.reconcile import CANCEL

__all__ = ["load"]

_DURATIONS: Final = ("duplicate_window", "retention", "window", "absent_after", "max_delay")
_UNITS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|d)")
_LOOK_UPS: Final = {"get": lookup_get, "list": lookup_list}


def load(path: str | os.PathLike[str]) -> tuple[Operation, ...]:
    """Reads operations from a TOML file, for `Client(operations=…)`.

    Each table `[operations.NAME]` has the options of `Operation`. Durations are texts like `"24h"`, `"30 d"`, `"2 min"` or
    `"90 s"`. `reconcile` is `{get = "/orders/{cart}"}` or `{list = "/orders", …}` with the options of
    `samekey.lookups`, or the `"module:name"` of a function of yours, or
    `"cancel"`. `retry` stays in code.

    Raises:
        UsageError: the file cannot be read, is not TOML, or an option is unknown or has a wrong value.
    """
    shown = os.fspath(path)
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{shown} cannot be read ({error.strerror or type(error).__name__}); give a TOML file."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{shown} is not TOML: {error}.") from None
    tables = document.pop("operations", None)
    if document or not isinstance(tables, dict) or not tables:
        raise UsageError(f"{shown} is no contract: it needs tables [operations.NAME], and nothing else at the top.")
    return tuple(_operation(shown, name, table) for name, table in tables.items())


def _operation(shown: str, name: str, table: Any) -> Operation:
    if not isinstance(table, dict):
        raise UsageError(f"{shown}: operations.{name} is not a table.")
    options = dict(table)
    for option in _DURATIONS:
        if option in options:
            options[option] = _duration(f"{shown}: operations.{name}.{option}", options[option])
    if "reconcile" in options:
        options["reconcile"] = _look_up(f"{shown}: operations.{name}.reconcile", options["reconcile"])
    if "retry" in options or "name" in options:
        raise UsageError(f"{shown}: operations.{name}: 'retry' stays in code, and the name is the table's.")
    try:
        return Operation(name, **options)
    except UsageError as error:
        raise UsageError(f"{shown}: {error}") from None


def _duration(where: str, value: Any) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise UsageError(f'{where} is {value!r}; write a number and its unit: "90 s", "2 min", "24h", "30 d".')
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def _look_up(where: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        kinds = [kind for kind in _LOOK_UPS if kind in value]
        if len(kinds) == 1:
            options = dict(value)
            url = options.pop(kinds[0])
            try:
                return _LOOK_UPS[kinds[0]](url, **options)
            except (TypeError, AttributeError) as error:
                raise UsageError(f"{where}: {error}; see samekey.lookups.{_LOOK_UPS[kinds[0]].__name__}.") from None
    elif value == CANCEL:
        return value
    elif isinstance(value, str) and value.count(":") == 1:
        module, _, name = value.partition(":")
        try:
            return getattr(import_module(module), name)
        except Exception as error:
            raise UsageError(f"{where}: {value!r} cannot be loaded: {type(error).__name__}: {error}.") from error
    raise UsageError(f'{where}: give {{get = "/…"}}, {{list = "/…"}}, "module:name" or "{CANCEL}".')
