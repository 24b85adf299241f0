"""The web application: routes, errors, static files, and the task that follows the changes."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from stream_app.errors import Broken, Incompatible, PlumblineError, UnknownFormat
from stream_app.http import hosts
from stream_app.kafka.topics import Topics
from stream_app.projection.client import client
from stream_app.settings import Settings
from stream_app.tasks import end
from stream_app.web import (
    attending,
    commanding,
    figures,
    first_page,
    live,
    pipeline_view,
    reading,
    redriving,
    settings_view,
)
from stream_app.web.answers import Refused
from stream_app.web.auth import Tokens
from stream_app.web.guard import Guard, RequestTraffic
from stream_app.web.live import Hub
from stream_app.web.site import Site
from stream_app.worker.metrics import MetricsPage

_STATIC: Final = Path(__file__).parent / "static"
#: Addresses of the page; each is the same file, which looks at its own address.
_PAGES: Final = (
    "/", "/models/{model}", "/alerts", "/alerts/{id}", "/retraining", "/retraining/{model}", "/settings", "/audit",
    "/pipeline",
)  # fmt: skip

#: What any request may be answered with, whatever it asks (:mod:`stream_app.http.bounds`).
_BOUNDS: Final[dict[int | str, str]] = {
    401: "No token, or one that is nobody's.",
    408: "The request did not come whole within ten seconds.",
    413: "The body has more than 1 MiB.",
    421: "The name in Host is none of this installation's: setting web_allowed_hosts.",
    429: "This token is wrong, like many before it from the same address; a right one is taken at any time.",
    503: "Too much is in work, or Redis or Kafka is away: try again after Retry-After.",
}


def create(settings: Settings, topics: Topics, tokens: Tokens, host: str = "") -> FastAPI:
    """Make the application; connections open when it starts. ``Incompatible`` if it could never work.

    ``host``: a further name that it is asked for by.
    """

    redis, blocking, traffic = client(settings), client(settings, answer_s=None), RequestTraffic()
    _plotly()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.site = Site(settings, topics, redis, tokens)
        app.state.hub = Hub(app.state.site, blocking)
        #: redrives under way, by the id of their command
        app.state.redrives = {}
        app.state.page = MetricsPage(partial(figures.put, app.state.site, app.state.hub, traffic))
        task = asyncio.create_task(app.state.hub.run())
        try:
            yield
        finally:
            await asyncio.gather(*app.state.redrives.values())
            await end(task)
            await redis.aclose()
            await blocking.aclose()

    app = FastAPI(
        title="Plumbline",
        description="What the models do, and commands to the pipeline. Every time is UTC.",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={status: {"description": text} for status, text in _BOUNDS.items()},
    )
    for part in (reading, first_page, commanding, attending, redriving, pipeline_view, settings_view, live, figures):
        app.include_router(part.router)
    _errors(app)
    _pages(app)
    app.add_middleware(GZipMiddleware, minimum_size=2_048, compresslevel=1)
    ours = hosts.allowed(settings.web_allowed_hosts, settings.dashboard_url, settings.dashboard_host, host)
    app.add_middleware(Guard, hosts=ours, traffic=traffic)
    return app


def _errors(app: FastAPI) -> None:
    """Every failure is the same shape and says what to do."""

    async def refused(request: Request, error: Exception) -> Response:
        return cast(Refused, error).response()

    async def invalid(request: Request, error: Exception) -> Response:
        found = cast(RequestValidationError, error).errors()
        told = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {_told(item)}" for item in found)
        return Refused(422, "invalid", told[:1_000]).response()

    async def http(request: Request, found: Exception) -> Response:
        error = cast(HTTPException, found)
        if error.status_code == 404 and _is_of_people(request):
            return _index(404)
        told = {404: "nothing is here: GET /api/v1/openapi.json lists what is", 405: "another method is needed here"}
        headers = dict(error.headers or {})
        text = told.get(error.status_code, str(error.detail))
        return Refused(error.status_code, "http", text, headers).response()

    async def away(request: Request, error: Exception) -> Response:
        text = f"the read model does not answer ({type(error).__name__}); the pipeline goes on: try again"
        return Refused(503, "redis_away", text, {"retry-after": "5"}).response()

    async def unreadable(request: Request, error: Exception) -> Response:
        await request.app.state.site.reader.unreadable(str(error))
        text = f"{error}; the read model is built anew, and the pipeline goes on: try again"
        return Refused(503, "read_model_unreadable", text, {"retry-after": "5"}).response()

    async def unavailable(request: Request, error: Exception) -> Response:
        return Refused(503, "kafka_away", str(error), {"retry-after": "5"}).response()

    for kind, handler in (
        (Refused, refused),
        (RequestValidationError, invalid),
        (HTTPException, http),
        (RedisError, away),
        (OSError, away),
        (UnknownFormat, unreadable),
        (Broken, unreadable),
        (orjson.JSONDecodeError, unreadable),
        (PlumblineError, unavailable),
    ):
        app.add_exception_handler(kind, handler)


def _told(item: Any) -> str:
    """What is wrong with a part of a request; a pattern says little to people."""
    if item["type"] == "string_pattern_mismatch":
        return f"{str(item['input'])[:100]!r} is not written as one is"
    return str(item["msg"])


def _is_of_people(request: Request) -> bool:
    """Whether a browser asks for a page, rather than a program or a page's script for something else."""
    page = not request.url.path.startswith(("/api/", "/static/"))
    return page and request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")


def _index(status: int = 200) -> Response:
    return FileResponse(_STATIC / "index.html", status, headers={"cache-control": "no-cache"})


def _pages(app: FastAPI) -> None:
    async def livez() -> Any:
        """The process answers; what Redis does is for `/api/v1/status`."""
        return {"alive": True}

    async def page() -> Any:
        return _index()

    async def chart() -> Any:
        return FileResponse(_plotly(), media_type="text/javascript", headers={"cache-control": "max-age=604800"})

    app.add_api_route("/livez", livez, include_in_schema=False)
    for path in _PAGES:
        app.add_api_route(path, page, include_in_schema=False)
    app.add_api_route("/static/plotly.js", chart, include_in_schema=False)
    app.mount("/static", _Static(directory=_STATIC))


class _Static(StaticFiles):
    """Files that browsers ask for anew each time, and mostly hear that they have not changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Add the header."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


def _plotly() -> Path:
    """The chart library, as the plotly package brings it; the package itself is slow to import and not needed."""
    spec = importlib.util.find_spec("plotly")
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise Incompatible("the chart library is missing: install the package `plotly`, as `make setup` does")
    return path
