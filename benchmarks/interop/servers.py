"""Third-party idempotency middlewares of the Python package index, each around the same application.

    python servers.py NAME PORT [REDIS_URL]

Runs in an environment of its own (requirements.txt), without samekey. Each is set up as its own documentation shows,
with the store in memory or the database it comes with; those that need Redis get one.
"""

import asyncio
import sys
import time
from typing import Any

from orders import Orders, Steps, answer

ORDERS = Orders()


async def work(body: Any) -> tuple[int, dict[str, str]]:
    """The handler."""
    steps = ORDERS.begin(body)
    await asyncio.sleep(steps.pause)
    reference = ORDERS.make(steps) if steps.effect else ""
    await asyncio.sleep(steps.pause_after)
    return finish(steps, reference)


def work_in_thread(body: Any) -> tuple[int, dict[str, str]]:
    """The handler of servers with a thread per request."""
    steps = ORDERS.begin(body)
    time.sleep(steps.pause)
    reference = ORDERS.make(steps) if steps.effect else ""
    time.sleep(steps.pause_after)
    return finish(steps, reference)


def finish(steps: Steps, reference: str) -> tuple[int, dict[str, str]]:
    if steps.crash:
        raise RuntimeError("the application crashed after the effect")
    return steps.status, answer(steps, reference)


def fastapi_app(decorate: Any = None, route_class: Any = None, *, errors: str = "returned") -> Any:
    """The application for FastAPI; `decorate` goes around its handler.

    Errors are "returned" as responses, "raised", or all answers are "responses": a decorator may understand only one.
    """
    from fastapi import Body, FastAPI, HTTPException, Request
    from fastapi.responses import JSONResponse, Response

    app = FastAPI()
    if route_class is not None:
        app.router.route_class = route_class

    # Some decorators read the request, and one takes nothing but a Response.
    async def create(request: Request, payload: dict = Body()) -> Any:  # noqa: ARG001, B008 - as FastAPI wants it
        status, said = await work(payload)
        if status == 201 and errors != "responses":
            return said
        if errors == "raised":
            raise HTTPException(status, said)
        return JSONResponse(said, status_code=status)

    async def effects() -> Any:
        return Response(ORDERS.listed(), media_type="application/json")

    app.post("/orders", status_code=201)(decorate(create) if decorate else create)
    app.get("/effects")(effects)
    return app


def asgi_idempotency_header(_redis: str) -> Any:
    from idempotency_header_middleware import IdempotencyHeaderMiddleware
    from idempotency_header_middleware.backends import MemoryBackend

    app = fastapi_app()
    app.add_middleware(IdempotencyHeaderMiddleware, backend=MemoryBackend())
    return app


def fastapi_idempotency(_redis: str) -> Any:
    from fastapi_idempotency import IdempotencyMiddleware, MemoryStore

    app = fastapi_app()
    app.add_middleware(IdempotencyMiddleware, store=MemoryStore())
    return app


def fastapi_idempotency_key(_redis: str) -> Any:
    from fastapi_idempotency_key import IdempotencyMiddleware, MemoryBackend

    app = fastapi_app()
    app.add_middleware(IdempotencyMiddleware, backend=MemoryBackend(), default_ttl=86400)
    return app


def idemkit(_redis: str) -> Any:
    from idemkit import IdempotencyMiddleware, InMemoryBackend

    app = fastapi_app()
    app.add_middleware(IdempotencyMiddleware, backend=InMemoryBackend())
    return app


def fastidempotent(_redis: str) -> Any:
    from fastidempotent import IdempotencyMiddleware, MemoryBackend

    app = fastapi_app()
    app.add_middleware(IdempotencyMiddleware, backend=MemoryBackend(ttl=86400), ttl=86400, methods=["POST"])
    return app


def mobius(_redis: str) -> Any:
    from mobius_idempotence import IdempotencyConfig, IdempotencyManager, idempotent
    from mobius_idempotence.backends.memory import MemoryBackend

    manager = IdempotencyManager(MemoryBackend(), IdempotencyConfig(fail_open=False))
    return fastapi_app(idempotent(manager, status_code=201), errors="raised")


def idemptx(_redis: str) -> Any:
    from idemptx import idempotent
    from idemptx.backend import InMemoryBackend

    return fastapi_app(idempotent(storage_backend=InMemoryBackend(), key_ttl=86400), errors="responses")


def pyidempotent(_redis: str) -> Any:
    from fastapi.responses import JSONResponse
    from pyidempotent import IdempotencyConflict, IdempotencyProcessing, idempotent
    from pyidempotent.backends.memory import MemoryBackend

    app = fastapi_app(idempotent(backend=MemoryBackend(), ttl=86400))
    for error, status in ((IdempotencyConflict, 422), (IdempotencyProcessing, 409)):
        app.add_exception_handler(error, lambda _, exc, status=status: JSONResponse({"error": str(exc)}, status))
    return app


def idemgate(redis: str) -> Any:
    from idemgate import IdempotencyRoute, idempotent
    from idemgate.redis_store import RedisAcquirer
    from redis.asyncio import Redis

    app = fastapi_app(idempotent(ttl=86400), IdempotencyRoute)
    app.state.idempotency_store = RedisAcquirer(Redis.from_url(redis, decode_responses=False))
    return app


def ichido(redis: str) -> Any:
    from ichido import IchidoConfig, IchidoMiddleware, RedisIdempotencyStore
    from redis.asyncio import Redis

    app = fastapi_app()
    store = RedisIdempotencyStore(Redis.from_url(redis), ttl=86400)
    app.add_middleware(IchidoMiddleware, store=store, config=IchidoConfig())
    return app


def django_app(middleware: str, apps: tuple[str, ...] = (), **settings: Any) -> Any:
    """The application for Django, behind one middleware."""
    import json

    import django
    from django.conf import settings as configured
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse, JsonResponse
    from django.urls import path

    def create(request: Any) -> Any:
        status, said = work_in_thread(json.loads(request.body))
        return JsonResponse(said, status=status)

    def effects(_request: Any) -> Any:
        return HttpResponse(ORDERS.listed(), content_type="application/json")

    urls = type(sys)("urls")
    urls.urlpatterns = [path("orders", create), path("effects", effects)]  # type: ignore[attr-defined]
    sys.modules["urls"] = urls
    configured.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="urls",
        SECRET_KEY="for tests",
        MIDDLEWARE=[middleware],
        INSTALLED_APPS=list(apps),
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[4]}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        **settings,
    )
    django.setup()
    if apps:
        call_command("migrate", verbosity=0)
    return get_wsgi_application()


def django_idempotency_key(_redis: str) -> Any:
    return django_app("idempotency_key.middleware.IdempotencyKeyMiddleware")


def drf_idempotency(_redis: str) -> Any:
    backend = {"BACKEND": "drf_idempotency.backends.database.DatabaseBackend"}
    return django_app(
        "drf_idempotency.middleware.IdempotencyMiddleware",
        ("django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "drf_idempotency"),
        IDEMPOTENCY=backend,
    )


def flask_once(_redis: str) -> Any:
    import flask
    import flask_once as once

    app = flask.Flask(__name__)
    app.cache = {}  # type: ignore[attr-defined]
    once.attach(app, app.cache)  # type: ignore[attr-defined]

    @app.route("/orders", methods=["POST"])
    @once.idempotent()
    def create() -> Any:
        status, said = work_in_thread(flask.request.get_json())
        return flask.make_response(flask.jsonify(said), status)

    @app.route("/effects")
    def effects() -> Any:
        return flask.Response(ORDERS.listed(), content_type="application/json")

    return app


ASGI = {
    "asgi-idempotency-header": asgi_idempotency_header,
    "fastapi-idempotency": fastapi_idempotency,
    "fastapi-idempotency-key": fastapi_idempotency_key,
    "fastidempotent": fastidempotent,
    "ichido": ichido,
    "idemgate": idemgate,
    "idemkit": idemkit,
    "idemptx": idemptx,
    "mobius-idempotence-library": mobius,
    "pyidempotent": pyidempotent,
}
WSGI = {
    "django-idempotency-key": django_idempotency_key,
    "drf-idempotency": drf_idempotency,
    "flask-once": flask_once,
}


def main() -> None:
    name, port, redis = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if name in ASGI:
        import uvicorn

        uvicorn.run(ASGI[name](redis), host="127.0.0.1", port=port, log_level="error")
    else:
        from werkzeug.serving import run_simple

        run_simple("127.0.0.1", port, WSGI[name](redis), threaded=True)


if __name__ == "__main__":
    main()
