"""The service by its schema: routes, what each takes and gives, and the page to try it."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from mmkd_core.serving.answers import Answers
from mmkd_core.serving.current import Current
from mmkd_core.serving.gate import Gate
from mmkd_core.serving.limits import ID, K, Limits
from mmkd_core.serving.metrics import Metrics
from mmkd_core.serving.problems import FAILED, Problem, in_words, problem_response
from mmkd_core.serving.shapes import (
    PROBLEM,
    Chosen,
    Folded,
    Health,
    History,
    Length,
    OfItem,
    OfUser,
    Recommended,
    Similar,
    Users,
    problems,
)  # fmt: skip

DESCRIPTION = """\
Lists of items for users, for somebody who is new, and for items, from the tables of an export. Scores are exact: every
item is ranked. Ids are those of the data. What has no answer says why, as `application/problem+json`.
"""
JSON = "application/json"
USUAL = {
    400: "the body cannot be read; expected JSON in UTF-8",
    404: "no such address; expected one of those in /openapi.json",
    405: "no such method of this address; expected one that the header Allow names",
}


def service(current: Current, metrics: Metrics, *, token: str | None = None, limits: Limits | None = None) -> Gate:
    """The service as an ASGI application; all but the page and `/health` want the `token` if there is one."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(current.watch())
        yield
        watching.cancel()

    app = FastAPI(title="mmkd serve", version="1", description=DESCRIPTION, lifespan=lifespan, docs_url=None,
                  redoc_url=None, redirect_slashes=False)  # fmt: skip
    app.include_router(_lists(current))
    app.include_router(_about(current, metrics))
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(Exception, _failed)
    app.openapi = lambda: _schema(app, current.answers, token is not None)
    return Gate(app, metrics, token=token, limits=limits or Limits())


async def _refused(_: Request, error: Any) -> Response:
    detail = error.detail
    if not isinstance(error, Problem):
        detail = USUAL.get(error.status_code, str(detail))
    return problem_response(error.status_code, str(detail), error.headers)


async def _wrong(_: Request, error: Any) -> Response:
    return problem_response(422, in_words(error.errors()))


async def _failed(_: Request, error: Any) -> Response:
    return problem_response(500, FAILED)


def _lists(current: Current) -> APIRouter:
    router = APIRouter(tags=["lists"], default_response_class=Response)

    def route(path: str, model: type, *statuses: int) -> Callable[[Any], Any]:
        return router.get(path, responses={200: {"model": model}, **problems(422, *statuses)})

    @route("/recommend/{user:path}", Recommended, 404)
    async def recommend(user: OfUser, k: Length = 20) -> Response:
        """The best items for a user, without what the user has seen."""
        return Response(current.answers.recommend(user, k), media_type=JSON)

    @router.post("/recommend", responses={200: {"model": Folded}, **problems(400, 404, 413, 422)})
    async def recommend_for_items(chosen: Chosen) -> Response:
        """The best items for somebody who chose some: folded in, nothing is trained or kept."""
        asked = chosen.items, chosen.k, chosen.allow, chosen.deny
        return Response(await asyncio.to_thread(current.answers.for_items, *asked), media_type=JSON)

    @route("/similar/{item:path}", Similar, 404)
    async def similar(item: OfItem, k: Length = 20) -> Response:
        """The items most similar to one."""
        return Response(current.answers.similar(item, k), media_type=JSON)

    @route("/history/{user:path}", History, 404)
    async def history(user: OfUser, k: Length = 20) -> Response:
        """What a user has seen in training, in no order of time."""
        return Response(current.answers.history(user, k), media_type=JSON)

    @route("/users", Users)
    async def users(
        begin: Annotated[str, Query(max_length=ID, description="What the ids begin with.")] = "", k: Length = 20
    ) -> Response:
        """Some users, to choose one."""
        return Response(current.answers.users(begin, k), media_type=JSON)

    pictures = {200: {"description": "The file.", "content": {"image/*": {}}}, **problems(404, 422)}

    @router.get("/pictures/{item:path}", responses=pictures)
    async def picture(item: OfItem) -> Response:
        """An item's picture, if the service was started with a folder of them."""
        file, kind = current.answers.picture(item)
        try:
            content = await asyncio.to_thread(file.read_bytes)
        except OSError:
            raise Problem(404, "the picture is no longer there") from None
        return Response(content, media_type=kind, headers={"cache-control": "private, max-age=3600"})

    return router


def _about(current: Current, metrics: Metrics) -> APIRouter:
    router = APIRouter(tags=["about"], default_response_class=Response)
    page, policy = _page()

    @router.get("/health", responses={200: {"model": Health}})
    async def health() -> Response:
        """What is served, and that it is."""
        catalogue = current.answers.catalogue
        (users, dim), items = catalogue.users.shape, len(catalogue.item_names)
        named = {"data": catalogue.card["data"]["name"], "model": catalogue.card["experiment"]["model"]}
        body = {"status": "ok", "version": catalogue.version, **named, "users": users, "items": items, "dim": dim}
        return Response(json.dumps(body), media_type=JSON)

    @router.get("/metrics", responses={200: {"content": {"text/plain": {}}}, **problems()})
    async def prometheus() -> Response:
        """Requests by route and status, their times, the process and the export, for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/", include_in_schema=False)
    async def try_it() -> Response:
        return Response(page, media_type="text/html", headers={"content-security-policy": policy})

    return router


def _page() -> tuple[bytes, str]:
    """The page, and the policy by which a browser runs what is in it and asks nobody but this service."""
    page = Path(__file__).with_name("page.html").read_bytes()

    def sums(tag: bytes) -> str:
        inner = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one).digest()).decode()}'" for one in inner)

    policy = (
        f"default-src 'none'; script-src {sums(b'script')}; style-src {sums(b'style')}; img-src 'self' blob: data:; "
    )
    return page, policy + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def _schema(app: FastAPI, answers: Answers, token: bool) -> dict[str, Any]:
    """OpenAPI's description, with examples from the export."""
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schema["components"]["schemas"]["Problem"] = PROBLEM
    if token:
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        schema["paths"]["/health"]["get"]["security"] = []
    users, items = answers.catalogue.user_names, answers.catalogue.item_names
    example = {"user": users.texts[0], "item": items.texts[0], "k": min(5, K), "begin": ""}
    for path in schema["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                parameter["example"] = example[parameter["name"]]
    ids = [int(text) if items.whole else text for text in items.texts[:2]]
    body = schema["paths"]["/recommend"]["post"]["requestBody"]["content"][JSON]
    body["example"] = {"items": ids, "k": 5}
    return schema
