"""The client of the user's own program, which knows its credentials and its contracts."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from samekey.client import Client
from samekey.errors import SamekeyError, UsageError

ClientOption = Annotated[
    str,
    typer.Option(
        "--client",
        metavar="MODULE:NAME",
        help="A samekey.Client, or a function without arguments that makes one, in a module of yours.",
    ),
]


def load_client(spec: str) -> Client[Any]:
    """The client that is meant.

    Raises:
        UsageError: there is none.
    """
    found = load_object(spec, "--client", "shop.samekey_client:make_client")
    made = found() if callable(found) and not isinstance(found, Client) else found
    if not isinstance(made, Client):
        raise UsageError(f"--client {spec!r} is a {type(made).__name__}; name a samekey.Client, or what makes one.")
    return made


def load_object(spec: str, option: str, example: str) -> Any:
    """What `module:name` names; the working directory comes first.

    Raises:
        UsageError: there is no such module or name, or importing it fails.
    """
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise UsageError(f"{option} {spec!r} is not of the form module:name, such as {example}.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except SamekeyError:
        raise
    except Exception as error:
        raise UsageError(f"{option} {spec!r} cannot be loaded: {type(error).__name__}: {error}.") from error
    return found
