"""What a Redis server says of itself, and what of that a store can live with: pure."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from samekey._core.values import fixed
from samekey.errors import StoreError, StoreFormatError, StoreUnavailableError, UsageError
from samekey.stores._errors import NOTHING_SENT

SCHEMA: Final = 1
SCHEMES: Final = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
"""How a URL may begin, and how redis-py knows it."""


@fixed
class Facts:
    """What is known of the server.

    Attributes:
        version: its version, for people.
        append_only: whether it writes each change into a log; None if that cannot be known.
        sync: when it syncs that log: `always`, `everysec`, `no`; None if that cannot be known.
        eviction: its `maxmemory-policy`; None if that cannot be known.
        replicas: how many servers follow it.
        cluster: whether it is a node of a cluster.
        replica: whether it follows another one.
    """

    version: str
    append_only: bool | None
    sync: str | None
    eviction: str | None
    replicas: int
    cluster: bool
    replica: bool

    @property
    def volatile(self) -> str | None:
        """Why an acknowledged write may be gone later although the server goes on, in a few words; None if it may not."""
        if self.append_only is None:
            return "does not tell whether it keeps an append-only file"
        if not self.append_only:
            return "keeps no append-only file (appendonly no), so what it was told may be gone after a restart"
        if self.eviction is None:
            return "does not tell whether it evicts keys when its memory is full"
        if self.eviction != "noeviction":
            return f"evicts keys when its memory is full (maxmemory-policy {self.eviction})"
        return None

    @property
    def claim_durable(self) -> bool:
        """Whether an acknowledged claim survives a power loss and a failover: each is synced, and none can fail over."""
        alone = not (self.replicas or self.cluster)
        return self.volatile is None and self.sync == "always" and alone


def facts(info: bytes, settings: Mapping[str, str]) -> Facts:
    """Reads what `INFO` and `CONFIG GET` tell.

    Args:
        info: the answer to INFO.
        settings: the answer to CONFIG GET; empty where it is forbidden.
    """
    lines = info.decode("utf-8", "replace").splitlines()
    told = {name: value for name, _, value in (line.partition(":") for line in lines)}
    enabled = told.get("aof_enabled")
    known = settings.get("appendonly", None if enabled is None else "yes" if enabled == "1" else "no")
    return Facts(
        version=told.get("valkey_version") or told.get("redis_version", "unknown"),
        append_only=None if known is None else known == "yes",
        sync=settings.get("appendfsync"),
        eviction=settings.get("maxmemory-policy", told.get("maxmemory_policy")),
        replicas=int(told.get("connected_slaves", "0")),
        cluster=told.get("cluster_enabled") == "1",
        replica=told.get("role") == "slave",
    )


def refuse_volatile(found: Facts, location: str) -> None:
    """Refuses a server that may forget what prevents duplicates.

    Raises:
        StoreFormatError: it may.
    """
    if found.volatile is not None:
        raise StoreFormatError(
            f"the Redis server of {location} {found.volatile}, and with it goes what prevents duplicates, {NOTHING_SENT}; "
            "set appendonly yes, appendfsync always and maxmemory-policy noeviction, or pass allow_volatile=True "
            "where duplicates do no harm."
        )


def shown(url: str) -> str:
    """A URL for people: without user and password, and without options, which may hold secrets too."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def understood(url: str) -> str:
    """The URL as redis-py knows it.

    Raises:
        UsageError: it is not one of a Redis server.
    """
    scheme, colon, rest = url.partition("://")
    example = "redis://host:6379/0 (rediss:// with TLS, valkey:// and valkeys:// too)"
    if not colon or scheme not in SCHEMES:
        raise UsageError(f"the URL of a Redis store is of the form {example}; this one begins with {scheme[:20]!r}.")
    try:
        parts = urlsplit(url)
        path = parts.path.strip("/")
        wrong = not parts.hostname or parts.port == 0 or not (path == "" or path.isdecimal())
    except ValueError:
        wrong = True
    if wrong:
        raise UsageError(f"the URL of a Redis store is of the form {example}; this one is not.")
    return f"{SCHEMES[scheme]}://{rest}"


_REFUSED: Final = {
    "OOM": ("has no memory left", "raise its maxmemory, and run it again"),
    "MISCONF": ("cannot write its files", "free space on its disk, and run it again"),
    "READONLY": ("is a replica, which cannot be written to", "name the primary, and run it again"),
    "LOADING": ("is still loading its data", "run it again in a moment"),
    "MASTERDOWN": ("has lost its primary", "run it again when there is one"),
    "CLUSTERDOWN": ("belongs to a cluster that is down", "run it again when it is up"),
    "TRYAGAIN": ("is moving the store to another node", "run it again in a moment"),
    "NOREPLICAS": ("has too few replicas", "run it again when they are back"),
    "BUSY": ("is busy with another script", "run it again in a moment"),
    "WRONGPASS": ("does not accept the user or the password", "check both"),
    "NOAUTH": ("wants a password", "put it into the URL (redis://user:password@host)"),
    "NOPERM": ("does not let this user do it", "give the user its keys, scripts (+@scripting) and +info, +time"),
    "ERR": ("does not do it", "see what the server says"),
}


def refused(code: str, message: str, location: str, so: str) -> StoreError:
    """What an error reply of the server means: it changed nothing.

    Args:
        code: its first word.
        message: all of it.
        location: the store, for people.
        so: what that means for the caller.
    """
    if code == "WRONGTYPE" or "WRONGTYPE" in message:
        return StoreFormatError(
            f"keys of {location} are those of another program, {so}; give the store another prefix or database."
        )
    what, then = _REFUSED.get(code, ("refused it", "see what the server says"))
    return StoreUnavailableError(f"the Redis server of {location} {what} ({message}), {so}; {then}.")


def unreachable(error: BaseException, location: str, so: str, *, sent: bool) -> StoreUnavailableError:
    """What a lost connection means.

    Args:
        error: what happened.
        location: the store, for people.
        so: what it means for the caller.
        sent: whether the server may have done what it was asked.
    """
    why = str(error) or type(error).__name__
    what = "did not answer" if sent else "cannot be reached"
    return StoreUnavailableError(
        f"the Redis server of {location} {what} ({why}), {so}; check that it runs, and run it again.", uncertain=sent
    )


def gone(location: str, so: str) -> StoreFormatError:
    """The server no longer has the store that was opened."""
    return StoreFormatError(
        f"the store {location} has vanished from its server or was replaced by another, {so}; restore it, and start the "
        "program again: without it, nothing prevents duplicates."
    )
