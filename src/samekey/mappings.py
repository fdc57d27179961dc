"""Files that hold a mapping: profiles, contracts, and what a probe sends."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from samekey.errors import UsageError


def read_mapping(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """The fields of a JSON or TOML file.

    Args:
        path: its name ends in `.json` or `.toml`.
        what: the fields that are wanted, for the message.

    Raises:
        UsageError: it cannot be read, or has something else in it.
    """
    name = Path(path)
    if name.suffix.lower() not in {".json", ".toml"}:
        raise UsageError(f"{path}: a file whose name ends in .json or .toml is wanted.")
    try:
        text = name.read_text(encoding="utf-8")
        fields = json.loads(text) if name.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: it cannot be read ({error.strerror or type(error).__name__}).") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: it is not UTF-8 text.") from None
    except (ValueError, RecursionError) as error:
        # Both parsers quote a character at most, and tell the place.
        raise UsageError(f"{path}: it does not parse: {error}.") from None
    if not isinstance(fields, dict):
        raise UsageError(f"{path}: it holds a {type(fields).__name__}; an object with {what} is wanted.")
    return fields
