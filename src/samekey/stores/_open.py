"""From what a user writes to a store."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

import platformdirs

from samekey.errors import UsageError
from samekey.stores._contract import AsyncStore, Store
from samekey.stores.async_memory import AsyncMemoryStore
from samekey.stores.async_sqlite import AsyncSQLiteStore
from samekey.stores.memory import MemoryStore
from samekey.stores.sqlite import SQLiteStore

VARIABLE: Final = "SAMEKEY_STORE"
"""The environment variable that names the store where the program does not."""

CONTAINER_MARKS: tuple[str, ...] = ("/.dockerenv", "/run/.containerenv")
CGROUP: str = "/proc/1/cgroup"
CONTAINER_WORDS: Final = ("docker", "containerd", "kubepods", "libpod", "lxc")

_log = logging.getLogger("samekey")


def open_store(spec: Store | str | os.PathLike[str] | None) -> Store:
    """Returns the store that is meant, without opening a file.

    Args:
        spec: a store; a path; a URL (`sqlite:///absolute/path`, `memory://`); None for the one that `SAMEKEY_STORE`
            names, else the default under the user's state directory.

    Raises:
        UsageError: a URL that this version has no store for.
    """
    return _opened(spec, SQLiteStore, MemoryStore)


def open_async_store(spec: AsyncStore | str | os.PathLike[str] | None) -> AsyncStore:
    """Returns the store for event loops that is meant, without opening a file; the same rules as `open_store`.

    Args:
        spec: a store for event loops; otherwise as in `open_store`.

    Raises:
        UsageError: a URL that this version has no store for.
    """
    return _opened(spec, AsyncSQLiteStore, AsyncMemoryStore)


S = TypeVar("S", Store, AsyncStore)


def _opened(
    spec: S | str | os.PathLike[str] | None, sqlite: Callable[[str | os.PathLike[str]], S], memory: Callable[[], S]
) -> S:
    if spec is None:
        spec = os.environ.get(VARIABLE) or None
    if spec is None:
        return _default(sqlite)
    if isinstance(spec, str):
        return _from_text(spec, sqlite, memory)
    if isinstance(spec, os.PathLike):
        return sqlite(spec)
    return spec


def _default(sqlite: Callable[[str | os.PathLike[str]], S]) -> S:
    store = sqlite(platformdirs.user_state_path("samekey") / "samekey.db")
    if in_container():
        _log.warning(
            "the store %s is inside a container and dies with it, and with it what prevents duplicates; put it on a "
            "volume with %s or store=",
            store.location,
            VARIABLE,
        )
    return store


def _from_text(text: str, sqlite: Callable[[str | os.PathLike[str]], S], memory: Callable[[], S]) -> S:
    if not text.strip():
        raise UsageError("store= is an empty text; give a path, or leave it out for the default.")
    if "://" not in text:
        return sqlite(Path(text).expanduser())
    parts = urlsplit(text)
    if parts.scheme == "memory":
        return memory()
    if parts.scheme != "sqlite":
        raise UsageError(
            f"store= names a {parts.scheme}:// store, and this version of samekey has none; it has paths, "
            "sqlite:///absolute/path and memory://."
        )
    path = unquote(parts.path)
    if parts.netloc or not path.startswith("/") or path.endswith("/") or parts.query or parts.fragment:
        raise UsageError(f"store={text!r} is not of the form sqlite:///absolute/path.")
    return sqlite(path)


def in_container() -> bool:
    """Whether this process seems to run in a container."""
    if any(os.path.exists(mark) for mark in CONTAINER_MARKS):
        return True
    try:
        groups = Path(CGROUP).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(word in groups for word in CONTAINER_WORDS)
