"""What is wrong with a request, in one shape for all of it: RFC 9457's `application/problem+json`."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from mmkd_core.settings import quoted

KIND = "application/problem+json"
FAILED = "the service failed at this request; its log says where"  # the fault is ours


class Problem(HTTPException):
    """A request that gets no answer: `detail` says what was got, what was expected and what to do."""


def problem_json(status: int, detail: str) -> bytes:
    """The body. ASCII, since a request may hold half a character, which UTF-8 cannot say."""
    title = HTTPStatus(status).phrase
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The response."""
    return Response(problem_json(status, detail), status, headers, KIND)


def in_words(errors: Sequence[Mapping[str, Any]]) -> str:
    """What pydantic found, as a message: where, what was got, what was expected; the first of several."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "json_invalid":
        return f'the body is no JSON ({first["ctx"]["error"]}); expected an object such as {{"items": ["B001"]}}'
    if first["type"] == "missing":
        return f"{where}: is missing{more}; expected it to be there"
    said = first["msg"][:1].lower() + first["msg"][1:]
    return f"{where}: got {quoted(first['input'])}{more}; {said}"
