"""What requests and answers look like: the types behind the schema."""

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from mmkd_core.serving.limits import CHOSEN, ID, LISTED, K
from mmkd_core.serving.problems import KIND

Id = Annotated[StrictStr, Field(max_length=ID)] | Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
OfUser = Annotated[str, Path(max_length=ID, description="The user's id; / and other signs percent-encoded.")]
OfItem = Annotated[str, Path(max_length=ID, description="The item's id; / and other signs percent-encoded.")]
Length = Annotated[int, Query(ge=1, le=K, description="How many items at most.")]


class Item(BaseModel):
    """An item: its id, and title and address of a picture where the service was started with them."""

    item: str | int
    title: str | None = None
    picture: str | None = None


class Scored(Item):
    """An item of a list. `score` orders the items of one list: an inner product, or a cosine in `/similar`."""

    score: float


class Recommended(BaseModel):
    """The best items for a user, best first, without what the user has seen."""

    user: str | int
    items: list[Scored]


class Similar(BaseModel):
    """The items most similar to an item, by the cosine of their rows, the nearest first."""

    item: str | int
    items: list[Scored]


class Folded(BaseModel):
    """The best items for somebody who chose some, without these. `unknown` are ids of the request that are no items."""

    items: list[Scored]
    unknown: list[str | int]


class History(BaseModel):
    """What a user has seen: `count` items, of which the first `k` are shown."""

    user: str | int
    count: int
    items: list[Item]


class Users(BaseModel):
    """Ids of users, spread evenly over those that begin as asked for."""

    users: list[str | int]


class Health(BaseModel):
    """What is served. `version` are the first digits of the sum of its tables, another one for another export."""

    status: str
    version: str
    data: str
    model: str
    users: int
    items: int
    dim: int


class Chosen(BaseModel):
    """What somebody chose, and what may be shown."""

    model_config = ConfigDict(extra="forbid")

    items: list[Id] = Field(min_length=1, max_length=CHOSEN, description="Ids of the items that were chosen.")
    k: StrictInt = Field(20, ge=1, le=K, description="How many items at most.")
    allow: list[Id] | None = Field(None, max_length=LISTED, description="If given, only these are shown.")
    deny: list[Id] | None = Field(None, max_length=LISTED, description="These are not shown.")


PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "Why there is no answer (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was got, what was expected and what to do."},
    },
}
SAYS = {
    400: "What came is no request.",
    401: "The service was started with a token, and the request has another one or none.",
    404: "There is no such user or item, or no history of the user.",
    408: "The request took too long to come.",
    413: "The body is too large.",
    422: "A value is not what it should be.",
    431: "Request line and headers are too large.",
    503: "Too many connections are open.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers that a route may give in place of its own, for the schema."""
    content = {KIND: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": SAYS[status], "content": content} for status in sorted({401, 408, *statuses})}
