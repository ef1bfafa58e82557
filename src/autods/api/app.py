"""The application: what it answers besides runs, and how it says what went wrong."""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from autods.api import examples
from autods.api.guard import PROBLEM, Guard, problem
from autods.api.runs import NothingMoreError, RunId, Streams, nothing_more, routes
from autods.errors import AutodsError, PlaceError, UsageError
from autods.recipes.runs import NoRunError, NotAtWorkError, show_run
from autods.workspace import Workspace

_STATUS: dict[type[Exception], HTTPStatus] = {
    NoRunError: HTTPStatus.NOT_FOUND,
    NotAtWorkError: HTTPStatus.CONFLICT,
    UsageError: HTTPStatus.BAD_REQUEST,
    PlaceError: HTTPStatus.SERVICE_UNAVAILABLE,
    AutodsError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def create_app(place: Workspace) -> tuple[Guard, Streams]:
    """Make what answers for a workspace, and the streams that have to be closed at its end."""
    streams = Streams()
    app = FastAPI(
        title="autods",
        version=version("autods"),
        description="The runs of a workspace, for this machine alone.",
        docs_url=None,  # Its pages would be fetched from elsewhere; /openapi.json is all there is.
        redoc_url=None,
        responses=examples.PROBLEMS,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    _tell_problems(app)
    _add_checks(app, place)
    _add_page(app, place)
    app.include_router(routes(place, streams))
    return Guard(app), streams


def _add_checks(app: FastAPI, place: Workspace) -> None:
    @app.get("/health", tags=["server"], summary="Tell that the server lives")
    async def health() -> dict[str, str]:
        return {"status": "alive", "version": app.version}

    @app.get("/ready", tags=["server"], summary="Tell that the catalog answers")
    def ready() -> dict[str, str]:
        with place.catalog.read() as db:
            db.execute(sa.select(sa.literal(1)))
        return {"status": "ready", "catalog": place.catalog.url}


def _add_page(app: FastAPI, place: Workspace) -> None:
    @app.get("/runs/{run_id}/live", tags=["runs"], summary="See a run live", response_model=None,
             responses={200: {"description": "A page.", "content": {"text/html": {}}}})  # fmt: skip
    def live(run_id: RunId) -> Response:
        show_run(place, run_id)
        page, policy = _page()
        headers = {"content-security-policy": policy}
        return Response(page, media_type="text/html", headers=headers)


@cache
def _page() -> tuple[str, str]:
    """Read the page, and the policy that lets its own style and script run, and no other."""
    page = (files("autods.api") / "live.html").read_text(encoding="utf-8")
    style, script = (_hash_of(page, tag) for tag in ("style", "script"))
    return page, (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for "
        "'script'"
    )


def _hash_of(page: str, tag: str) -> str:
    [inside] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return "sha256-" + base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()


def _tell_problems(app: FastAPI) -> None:
    """Have every error told as a problem (RFC 9457); one that nobody expected keeps its text."""

    @app.exception_handler(NothingMoreError)
    async def nothing(_: Request, __: Exception) -> Response:
        return nothing_more()

    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, _teller(status))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        said = error.detail if error.detail != status.phrase else _phrase(request, status)
        return _told(request, status, said, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        wrong = [{"where": ".".join(map(str, e["loc"])), "what": e["msg"]} for e in error.errors()]
        said = "; ".join(f"{one['where']}: {one['what']}" for one in wrong)
        return _told(request, HTTPStatus.UNPROCESSABLE_ENTITY, said, errors=wrong)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, _: Exception) -> Response:
        return _told(request, HTTPStatus.INTERNAL_SERVER_ERROR, "an error of autods: see its log")


def _teller(status: HTTPStatus) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def tell(request: Request, error: Exception) -> Response:
        later = {"retry-after": "5"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
        return _told(request, status, str(error), headers=later)

    return tell


def _phrase(request: Request, status: HTTPStatus) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return f"nothing is at {request.url.path} (/openapi.json tells what is where)"
    return f"{request.method} {request.url.path}: {status.description or status.phrase}"


def _told(
    request: Request, status: HTTPStatus, detail: str, headers: Any = None, **more: Any
) -> Response:
    body = problem(status, detail, instance=request.url.path, **more)
    return Response(body, status, headers, media_type=PROBLEM)
