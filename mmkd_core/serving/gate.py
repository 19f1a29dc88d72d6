"""What surrounds the service: who may ask, how much and how long, what is counted, and how an error ends."""

import asyncio
import hmac
import logging
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmkd_core.serving.limits import Limits
from mmkd_core.serving.metrics import Metrics
from mmkd_core.serving.problems import FAILED, Problem, problem_response

log = logging.getLogger("mmkd.serve")
OPEN = ("/", "/health")  # without a token: what says nothing of users and items
HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
CLOSE = {"connection": "close"}


class Gate:
    """An ASGI application around another. Whatever happens, a request has an answer, and errors have one shape."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, token: str | None, limits: Limits) -> None:
        self.app, self.metrics, self.limits = app, metrics, limits
        self._token = None if token is None else f"Bearer {token}".encode()

    def admits(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether these headers have the token, if one is wanted; it takes as long whatever is wrong with theirs."""
        if self._token is None:
            return True
        given = [value for name, value in headers if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, statuses = time.perf_counter(), []

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(own for own in HEADERS if own[0] not in there)]
            await send(message)

        problem = await self._carried_out(scope, receive, answer)
        if problem is not None and not statuses:
            await problem_response(problem.status_code, problem.detail, problem.headers)(scope, receive, answer)
        self.metrics.done(_route(scope), statuses[0] if statuses else 0, time.perf_counter() - begun)

    async def _carried_out(self, scope: Scope, receive: Receive, answer: Send) -> Problem | None:
        """Lets the application answer; what is wrong where it could not."""
        seconds = self.limits.request_seconds
        try:
            async with asyncio.timeout(seconds):
                self._check(scope)
                await self.app(scope, self._bounded(receive), answer)
        except Problem as problem:
            return problem
        except TimeoutError:
            return Problem(408, f"the request did not come within {seconds:g} seconds; expected it in less", CLOSE)
        except Exception:  # a fault of ours: told to who runs the service, not to who asked
            log.exception("a request failed: %s %r", scope["method"], scope["path"])
            return Problem(500, FAILED)
        return None

    def _check(self, scope: MutableMapping[str, Any]) -> None:
        if scope["path"] not in OPEN and not self.admits(scope["headers"]):
            raise Problem(401, "no token, or another one; expected the header `Authorization: Bearer TOKEN`",
                          {"www-authenticate": "Bearer"})  # fmt: skip
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value[:20]) > self.limits.body):
                raise self._too_large(value.decode("latin-1"))

    def _bounded(self, receive: Receive) -> Receive:
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.limits.body:
                raise self._too_large("more")
            return message

        return bounded

    def _too_large(self, got: str) -> Problem:
        return Problem(413, f"the body: got {got[:20]} bytes; expected at most {self.limits.body:,}", CLOSE)


def _route(scope: MutableMapping[str, Any]) -> str:
    """The route with the names of its parameters: never what was asked, or there would be no end of them."""
    return getattr(scope.get("route"), "path", "none").replace(":path", "")
