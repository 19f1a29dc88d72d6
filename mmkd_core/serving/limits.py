"""How much of anything a request may have."""

from dataclasses import dataclass

K = 100  # items of an answer
CHOSEN = 1_000  # items that somebody chose
LISTED = 10_000  # ids of a list of what may or may not be shown
ID = 256  # characters of an id


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bytes of a body and of a head (request line and headers), seconds that each may take, open connections."""

    body: int = 2**20
    head: int = 2**15
    head_seconds: float = 10
    request_seconds: float = 20
    idle_seconds: int = 15
    connections: int = 256
