"""Serves the desk on this machine until Ctrl-C."""

from __future__ import annotations

import html
import secrets
import shutil
import socket
import tempfile
import webbrowser
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import uvicorn

from samekey.cli.render import safe
from samekey.cli.web.routes import application
from samekey.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samekey.stores import Store

_LOOPBACK: Final = "127.0.0.1"


def serve(store: Store, *, operation: str | None = None, port: int | None = None, browser: bool = False) -> None:
    """Prints the address of the desk and serves it until Ctrl-C, which raises `KeyboardInterrupt`.

    Args:
        store: an open store.
        operation: the operation that the printed address shows; None for all.
        port: where to listen; None for any free one.
        browser: whether to open a browser too.

    Raises:
        UsageError: the port cannot be had.
    """
    listener = listen(port)
    with listener:
        server, address = desk_at(listener, store)
        if operation is not None:
            address += f"?operation={quote(operation, safe='')}"
        print(f"Review desk of {safe(store.location)}: {address}", flush=True)
        print("Whoever has this address can decide as long as this runs; Ctrl-C ends it.", flush=True)
        with _opened(address) if browser else nullcontext():
            server.run(sockets=[listener])


def listen(port: int | None) -> socket.socket:
    """A socket that only this machine reaches."""
    try:
        return socket.create_server((_LOOPBACK, port or 0))
    except OSError as error:
        raise UsageError(
            f"port {port} of {_LOOPBACK} cannot be had ({error.strerror}); name another one, or leave --port out."
        ) from error


def desk_at(listener: socket.socket, store: Store) -> tuple[uvicorn.Server, str]:
    """A server of the desk for this socket, and the desk's address with its token."""
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(32)
    app = application(store, token=token, hosts=[f"{_LOOPBACK}:{port}", f"localhost:{port}"])
    config = uvicorn.Config(
        app,
        access_log=False,  # it would print the token
        http="h11",
        lifespan="off",
        limit_concurrency=64,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        ws="none",
    )
    return uvicorn.Server(config), f"http://{_LOOPBACK}:{port}/{token}/"


@contextmanager
def _opened(address: str) -> Iterator[None]:
    """Opens a browser by way of a file of this user: other users can read the arguments of its process."""
    folder = Path(tempfile.mkdtemp(prefix="samekey-"))
    try:
        page = folder / "review.html"
        page.touch(0o600)
        target = html.escape(address)
        page.write_text(
            f'<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0;url={target}"><title>samekey review</title>'
            f'<a href="{target}">samekey review</a>\n',
            encoding="utf-8",
        )
        webbrowser.open(page.as_uri())
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
