"""Secrets in every place that takes one, and the runs that carry them through every kind of end."""

from __future__ import annotations

import gc
import logging
import pickle
import traceback
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx

import samekey
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import AT_ONCE, ONCE
from tests.client.views import View

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

PLACES = (
    "authorization", "header", "client-header", "cookie", "client-cookie", "user", "password", "auth", "param",
    "client-param", "query", "fragment", "body", "form", "file", "declared", "declared-query", "answer", "proxy",
    "environment", "illegal", "option", "reconcile", "bad-url", "store-url", "vendor",
)  # fmt: skip
"""Where a secret may be given. A scope is no such place: it is stored and shown, as its documentation says."""


def canary(place: str) -> str:
    """The secret in a place: no other text has it."""
    assert place in PLACES
    return f"CANARY-{place}-9f3a"


CANARIES = {place: canary(place) for place in PLACES}

NEEDLES = [
    *CANARIES.items(),
    ("password", b64encode(f"{CANARIES['user']}:{CANARIES['password']}".encode()).decode()),
    ("auth", b64encode(f"me:{CANARIES['auth']}".encode()).decode()),
    ("proxy", b64encode(f"me:{CANARIES['proxy']}".encode()).decode()),
]
"""Basic authentication too."""


def found_in(surface: str | bytes) -> list[str]:
    """The places whose secret a surface shows."""
    text = surface if isinstance(surface, bytes) else surface.encode("utf-8", "backslashreplace")
    return [place for place, secret in NEEDLES if secret.encode() in text]


def environment() -> dict[str, str]:
    """Settings with secrets in them."""
    return {
        "SAMEKEY_SECRET": canary("environment") * 2,
        "HTTP_PROXY": f"http://me:{canary('proxy')}@127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
    }


@dataclass
class Trail:
    """What the runs leave beside the store.

    Attributes:
        keys: of the actions.
        errors: what users got, by the run's name.
        shown: representations of all objects of ours that lived while a request was under way and when it was over.
        stats: what `client.stats()` told.
        logged: every log line of every logger, with all its fields.
    """

    keys: list[str] = field(default_factory=list)
    errors: dict[str, BaseException] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    stats: list[samekey.Stats] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)

    def look_around(self) -> None:
        """Notes how all our objects show themselves."""
        for thing in gc.get_objects():
            module = str(type(thing).__module__)
            if module.startswith("samekey.") and not module.startswith("samekey.testing"):
                with suppress(AttributeError):  # one that another thread is making just now
                    self.shown.append(repr(thing))


class _Listener(logging.Handler):
    def __init__(self, trail: Trail) -> None:
        super().__init__(logging.NOTSET)
        self.trail = trail

    def emit(self, record: logging.LogRecord) -> None:
        self.trail.logged.append(f"{record.getMessage()} {record.__dict__!r}")
        if record.name == "samekey":
            self.trail.look_around()


@contextmanager
def listening(trail: Trail) -> Iterator[None]:
    """Every log line, whatever its level. What was there before is not looked at each time: that took most of it."""
    gc.collect()
    gc.freeze()
    root, handler = logging.getLogger(), _Listener(trail)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        gc.unfreeze()


class Illegal(httpx.Auth):
    """Sets a header that h11 refuses, and quotes, when the connection is up."""

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["Authorization"] = f"Bearer {canary('illegal')}\n"
        yield request


def refuse_to_say(_http: object, _record: object) -> Any:
    raise RuntimeError(canary("reconcile"))


order = samekey.Operation(
    "order",
    scope=("number",),
    reference="/id",
    secret_query=("token",),
    secret_body=("/pin",),
    secret_response=("/client_secret", "/data"),
)
form = samekey.Operation("form", scope=("number",), duplicates="reject", secret_response=("/data",))
doubtful = samekey.Operation(
    "doubtful", scope=("number",), reconcile=refuse_to_say, on_server_error="review", secret_response=("/data",)
)
vendor = samekey.Operation("vendor", scope=("number",), secret_response=("/data",))


def write() -> dict[str, Any]:
    """A write with a secret wherever one fits."""
    return {
        "url": f"/orders#{canary('fragment')}",
        "params": {"q": canary("param"), "token": canary("declared-query")},
        "json": {"iban": canary("body"), "pin": canary("declared")},
        "headers": {"Authorization": f"Bearer {canary('authorization')}", "X-Token": canary("header"),
                    "Cookie": f"s={canary('cookie')}"},
    }  # fmt: skip


def form_write() -> dict[str, Any]:
    return {"url": "/orders", "data": {"iban": canary("form")}, "auth": ("me", canary("auth"))}


def file_write() -> dict[str, Any]:
    return {"url": "/orders", "files": {"doc": ("a.txt", BytesIO(canary("file").encode()))}}


def vendor_write() -> dict[str, Any]:
    """What a vendor's SDK sends through its own HTTP client."""
    secret = canary("vendor")
    return {"params": {"q": secret}, "json": {"iban": secret}, "headers": {"Authorization": secret}}


@dataclass
class Runs:
    """Carries the secrets through every kind of end. At last every action is settled.

    Attributes:
        server: the API.
        store: where the store is.
        trail: what is left beside it.
        portal: the event loop of asynchronous clients; None for synchronous ones.
    """

    server: FlakyServer
    store: Path
    trail: Trail
    portal: BlockingPortal | None = None

    def connect(self, **options: Any) -> samekey.Client:
        url = self.server.url.replace("http://", f"http://{canary('user')}:{canary('password')}@")
        defaults: dict[str, Any] = {
            "window": timedelta(days=1),
            "store": self.store,
            "retry": AT_ONCE,
            "params": {"api_key": canary("client-param")},
            "headers": {"X-Client-Token": canary("client-header")},
            "cookies": {"session": canary("client-cookie")},
            "timeout": 5,
            "verify": False,
        }
        if self.portal is None:
            return samekey.Client(url, **(defaults | options))
        return cast("samekey.Client", View(self.portal, samekey.AsyncClient(url, **(defaults | options))))

    def one(
        self, name: str, client: samekey.Client, number: int, *, operation: Any = order, made: Any = None
    ) -> samekey.Action | None:
        """One action; what it raises is kept."""
        request = dict(write() if made is None else made)
        action = client.action(operation, scope={"number": number})
        try:
            with action:
                action.post(request.pop("url"), **request)
        except samekey.SamekeyError as error:
            self.trail.errors[name] = error
        self.trail.shown += [repr(action), repr(action.record), repr(client), repr(client.store)]
        if action.key:
            self.trail.keys.append(action.key)
        return action

    def all(self) -> None:
        """Every kind of end."""
        self.server.on_request = lambda _seen: self.trail.look_around()
        with self.connect() as client:
            self.ends(client)
            self.faults_of_callers(client)
        self.vendor()
        self.without_a_way()
        self.settle()

    def ends(self, client: samekey.Client) -> None:
        answer = {"id": "o-1", "client_secret": canary("answer")}
        self.server.script(Fault.REJECT(200, answer))
        self.one("success", client, 1)
        self.one("replay", client, 1)
        self.server.script(Fault.COMMIT_THEN_DROP)
        self.one("second try", client, 2)
        self.server.script(Fault.REJECT(422, {"error": "no"}))
        self.one("refused", client, 3)
        self.one("form", client, 4, operation=form, made=form_write())
        self.one("duplicate", client, 5, operation=form, made=form_write())
        self.one("file", client, 6, operation=form, made=file_write())
        changed = write()
        changed["json"]["iban"] = "other"
        self.one("reused", client, 1, made=changed)
        with self.connect(params={}) as bare:
            self.one("query", bare, 10, operation=doubtful, made={"url": f"/orders?q={canary('query')}", "json": {}})
        once = self.connect(retry=ONCE)
        self.server.script(Fault.COMMIT_THEN_DROP)
        self.one("unknown", once, 7)
        self.server.script(Fault.UNAVAILABLE(500))
        self.one("review", once, 8, operation=doubtful)
        self.server.script(Fault.GARBAGE)
        self.one("garbage", once, 9)
        once.close()

    def faults_of_callers(self, client: samekey.Client) -> None:
        """Calls that are refused, or fail on the way."""
        bad = canary("option")
        self.one("line break", client, 20, made=write() | {"headers": {"Authorization": f"Bearer {bad}\n"}})
        self.one("letter", client, 20, made=write() | {"headers": {"Authorization": f"{bad}é"}})
        self.one("no text", client, 20, made=write() | {"headers": {"Authorization": {bad}}})
        self.one("no json", client, 20, made=write() | {"json": {"a": {bad}}})
        self.one("no body", client, 20, made=write() | {"data": {bad: bad}})
        self.one("no params", client, 20, made=write() | {"params": [bad]})
        self.one("no auth", client, 20, made=write() | {"auth": (bad, {bad})})
        self.one("no url", client, 20, made=write() | {"url": f"http://x:{canary('bad-url')}@[::1"})
        self.one("no scheme", client, 20, made=write() | {"url": f"ftp://x:{canary('bad-url')}@h/?{canary('bad-url')}"})
        self.one("no secret", client, 20, made=write() | {"json": {"iban": canary("body")}})
        self.one("elsewhere", client, 1, made=write() | {"url": f"http://127.0.0.1:9/?token={canary('bad-url')}"})
        self.one("illegal", client, 21, made=write() | {"auth": Illegal()})

    def vendor(self, *, settling: bool = False) -> None:
        """A vendor's SDK whose HTTP client is ours below: one send that succeeds, and one whose answer is lost."""
        given: dict[str, Any] = {"window": timedelta(days=1), "store": self.store, "retry": ONCE, "verify": False}
        if not settling:
            self.server.script(Fault.REJECT(200, {}), Fault.COMMIT_THEN_DROP)
        for number in (30, 31):
            action = samekey.action(vendor, scope={"number": number})
            try:
                if self.portal is None:
                    with httpx.Client(transport=samekey.Transport(**given), base_url=self.server.url) as http, action:
                        http.post("/orders", **vendor_write())
                else:
                    self.portal.call(self._vendor, action, given)
            except samekey.SamekeyError as error:
                self.trail.errors[f"vendor {number}"] = error
            self.trail.shown.append(repr(action))

    async def _vendor(self, action: samekey.AmbientAction, given: dict[str, Any]) -> None:
        transport = samekey.AsyncTransport(**given)
        async with httpx.AsyncClient(transport=transport, base_url=self.server.url) as http:
            with action:
                await http.post("/orders", **vendor_write())

    def without_a_way(self) -> None:
        """Nothing reaches the API."""
        proxy = f"http://me:{canary('proxy')}@127.0.0.1:9"
        with self.connect(proxy=proxy, trust_env=False, retry=ONCE) as client:
            self.one("proxy", client, 22)
        secret = canary("store-url")
        places = {
            "store": Path("/proc") / "samekey.db",
            "postgres": f"postgresql://me:{secret}@127.0.0.1:9/x?connect_timeout=1&options={secret}",
            "redis": f"redis://me:{secret}@127.0.0.1:9/0",
        }
        for name, place in places.items():
            with self.connect(store=place, retry=ONCE) as client:
                self.one(name, client, 23)
        try:
            self.connect(secret="", window=None)
        except samekey.SamekeyError as error:
            self.trail.errors["client"] = error

    def settle(self) -> None:
        """Settles what is open, so that no request is kept any more."""
        with self.connect() as client:
            self.one("settled 7", client, 7)
            self.one("settled 9", client, 9)
            self.one("settled 21", client, 21)
            self.one("settled 22", client, 22)
            self.trail.stats += [client.stats(), client.stats(since=timedelta(days=1), operation="order")]
        self.vendor(settling=True)


def told(error: BaseException) -> str:
    """All that an exception shows of itself and of what led to it."""
    shown = "".join(traceback.format_exception(error))
    for link in chain(error):
        shown += f"{link!r} {link} {link.args!r} {getattr(link, '__notes__', '')} {vars(link)!r}"
        request = getattr(link, "_request", None)
        if request is not None:
            shown += f"{request.url!s} {request.headers!r} {request.read()!r} {request.extensions!r}"
    return shown


def chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and link not in seen:
            seen.append(link)
            yield link
            waiting += [link.__cause__, link.__context__]


def pickled(thing: object) -> bytes:
    return pickle.dumps(thing)
