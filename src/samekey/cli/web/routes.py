"""The addresses of the desk. Work with the store is done in threads, so that one slow disk holds up nobody else."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from samekey.cli.web.desk import Desk
from samekey.cli.web.forms import MOST_BYTES, Filled, read
from samekey.cli.web.guard import Guard
from samekey.cli.web.listing import asked_for, listing
from samekey.cli.web.pages import STYLE_HASH, Pages
from samekey.errors import SamekeyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from samekey._core.model import Record
    from samekey.stores import Store

_NOTHING_DECIDED = "Nothing was decided."


def application(store: Store, *, token: str, hosts: Collection[str]) -> ASGIApp:
    """The desk, behind its guard.

    Args:
        store: an open store.
        token: what every path must begin with.
        hosts: what `Host` may be, with the port.
    """
    routes = _Routes(Desk(store), Pages(f"/{token}", store.location))
    app = Starlette(
        routes=[
            Route("/", routes.listing, methods=["GET"]),
            Route("/actions/{key:path}", routes.action, methods=["GET"]),
            Route("/actions/{key:path}", routes.decide, methods=["POST"]),
        ],
        exception_handlers={HTTPException: routes.refused, SamekeyError: routes.failed},
    )
    return Guard(app, token=token, hosts=hosts, style_hash=STYLE_HASH)


class _Routes:
    def __init__(self, desk: Desk, pages: Pages) -> None:
        self._desk = desk
        self._pages = pages

    def listing(self, request: Request) -> Response:
        found = listing(self._desk.store, asked_for(request.query_params), self._desk.now().wall)
        return HTMLResponse(self._pages.listing(found))

    def action(self, request: Request) -> Response:
        shown = self._desk.show(self._record(request))
        return HTMLResponse(self._pages.action(shown, decided="decided" in request.query_params))

    async def decide(self, request: Request) -> Response:
        filled = await _filled(request)
        return await run_in_threadpool(self._decide, request, filled)

    def _decide(self, request: Request, filled: Filled) -> Response:
        record = self._record(request)
        if not self._desk.is_ours(filled, record.idempotency_key):
            raise HTTPException(403, f"This form is not one of this desk; load the page again. {_NOTHING_DECIDED}")
        shown = self._desk.decide(record, filled)
        if shown is None:
            return RedirectResponse(f"{self._pages.address(record.idempotency_key)}?decided=1#told", 303)
        return HTMLResponse(self._pages.action(shown, decided=False), 422 if shown.faults else 409)

    def _record(self, request: Request) -> Record:
        key = request.path_params["key"]
        record = self._desk.find(key)
        if record is None:
            raise HTTPException(404, f"No action in this store has the key {key!r}.")
        return record

    def refused(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        title = "Not found" if error.status_code == 404 else "Refused"
        bare = error.detail == HTTPStatus(error.status_code).phrase  # the framework's own
        sentence = f"There is no such page. {_NOTHING_DECIDED}" if bare else error.detail
        return HTMLResponse(self._pages.message(title, sentence), error.status_code, error.headers)

    def failed(self, _request: Request, error: Exception) -> Response:
        wrong_call = isinstance(error, UsageError)
        title = "That is not possible" if wrong_call else "The store cannot be used"
        return HTMLResponse(self._pages.message(title, str(error)), 422 if wrong_call else 503)


async def _filled(request: Request) -> Filled:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, f"This is not a form of this desk. {_NOTHING_DECIDED}")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(
                413, f"The form is too long; keep notes short, and link to the rest. {_NOTHING_DECIDED}"
            )
    try:
        return read(body)
    except ValueError:
        raise HTTPException(400, f"This is not a form of this desk. {_NOTHING_DECIDED}") from None
