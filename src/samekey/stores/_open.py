"""From what a user writes to a store."""

import logging
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

import platformdirs

from samekey._testmode import TESTMODE
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
        spec: a store; a path; a URL (`sqlite:///absolute/path`, `postgresql://…`, `redis://…`, `rediss://…`,
            `valkey://…`, `valkeys://…`, `memory://`); None for the one that `SAMEKEY_STORE` names, else the default
            under the user's state directory.

    Raises:
        UsageError: a URL that this version has no store for, or one that is wrong; or what it needs is not installed.
    """
    return _opened(spec, SQLiteStore, MemoryStore, "from_url")


def open_async_store(spec: AsyncStore | str | os.PathLike[str] | None) -> AsyncStore:
    """Returns the store for event loops that is meant, without opening a file; the same rules as `open_store`.

    Args:
        spec: a store for event loops; otherwise as in `open_store`.

    Raises:
        UsageError: as for `open_store`.
    """
    return _opened(spec, AsyncSQLiteStore, AsyncMemoryStore, "async_from_url")


S = TypeVar("S", Store, AsyncStore)


def _opened(
    spec: S | str | os.PathLike[str] | None,
    sqlite: Callable[[str | os.PathLike[str]], S],
    memory: Callable[[], S],
    from_url: str,
) -> S:
    if TESTMODE.store is not None and (spec is None or isinstance(spec, str | os.PathLike)):
        return sqlite(TESTMODE.store)
    if spec is None:
        spec = os.environ.get(VARIABLE) or None
    if spec is None:
        return _default(sqlite)
    if isinstance(spec, str):
        return _from_text(spec, sqlite, memory, from_url)
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
            extra={"event": "container_store"},
        )
    return store


def _from_text(text: str, sqlite: Callable[[str | os.PathLike[str]], S], memory: Callable[[], S], from_url: str) -> S:
    if not text.strip():
        raise UsageError("store= is an empty text; give a path, or leave it out for the default.")
    if "://" not in text:
        return sqlite(Path(text).expanduser())
    scheme = text.partition("://")[0].lower()
    if scheme == "memory":
        return memory()
    if scheme == "sqlite":
        return sqlite(_sqlite_path(text))
    late = _LATE.get(scheme)
    if late is None:
        raise UsageError(
            f"store= names a {scheme}:// store, and this version of samekey has none; it has paths, "
            f"sqlite:///absolute/path, {', '.join(f'{name}://' for name in _LATE)} and memory://."
        )
    made: S = getattr(import_module(late), from_url)(text)
    return made


# By scheme; imported when they are asked for.
_POSTGRES: Final = "samekey.stores.postgres"
_REDIS: Final = "samekey.stores.redis"
_LATE: Final = {
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    "redis": _REDIS,
    "rediss": _REDIS,
    "valkey": _REDIS,
    "valkeys": _REDIS,
}


def _sqlite_path(text: str) -> str:
    parts = urlsplit(text)
    path = unquote(parts.path)
    if parts.netloc or not path.startswith("/") or path.endswith("/") or parts.query or parts.fragment:
        # Not repeated: whoever took it for a server may have written a password into it.
        raise UsageError("store= is not of the form sqlite:///absolute/path.")
    return path


def in_container() -> bool:
    """Whether this process seems to run in a container."""
    if any(os.path.exists(mark) for mark in CONTAINER_MARKS):
        return True
    try:
        groups = Path(CGROUP).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(word in groups for word in CONTAINER_WORDS)
