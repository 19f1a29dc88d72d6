"""HTTP's side of the service: limits on what comes before a request is one, and the short way of the usual request.

`GET /recommend/USER?k=K` takes NumPy some tens of microseconds and the service by its schema a hundred more. So a
request of just that form is answered where its head has been read, by the same function and with the same bytes. What
is not plain in it (an unknown user, another parameter, a wrong token) goes the long way, which knows what to say.
"""

import logging
import re
import time
from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mmkd_core.serving.current import Current
from mmkd_core.serving.gate import HEADERS, Gate
from mmkd_core.serving.limits import ID, K
from mmkd_core.serving.problems import KIND, problem_json

log = logging.getLogger("mmkd.serve")
PLAIN = re.compile(rb"/recommend/([!-\"$->@-~]{1,%d})(?:\?k=([1-9][0-9]{0,2}))?" % (3 * ID))  # no ? or # in the id
OWN = b"".join(b"%b: %b\r\n" % header for header in HEADERS)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: application/json\r\n" + OWN + b"\r\n%b"
ROUTE = "/recommend/{user}"
SPECIAL = {b"connection", b"content-length", b"expect", b"transfer-encoding", b"upgrade"}


class _Answered:
    """What stands in place of uvicorn's own record of a request that has its answer."""

    response_started, response_complete, disconnected, keep_alive = True, True, False, True
    message_event = type("_Nobody", (), {"set": staticmethod(lambda: None)})


def protocol(current: Current, gate: Gate) -> type[HttpToolsProtocol]:
    """The protocol for one service."""
    limits, counted = gate.limits, gate.metrics.requests.labels(ROUTE, "200")
    took = gate.metrics.seconds.labels(ROUTE)

    class Protocol(HttpToolsProtocol):
        """A connection."""

        heading, come = True, 0  # whether a head is expected, and the bytes that came since it was

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.since = self.loop.time()
            self.deadline = self.loop.call_later(limits.head_seconds, self.late)

        def connection_lost(self, exc: Exception | None) -> None:
            self.deadline.cancel()
            super().connection_lost(exc)

        def late(self) -> None:
            """Ends a connection whose request does not become one, and one that is idle."""
            waits = self.come or self.cycle is None
            left = self.since + (limits.head_seconds if waits else limits.idle_seconds) - self.loop.time()
            if left > 0 or not self.heading:
                self.deadline = self.loop.call_later(max(left, 0.1), self.late)
            elif waits:
                self.refuse(408, f"the request did not come within {limits.head_seconds:g} seconds")
            else:
                self.transport.close()

        def data_received(self, data: bytes) -> None:
            if not self.come:
                self.since = self.loop.time()
            self.come += len(data)
            super().data_received(data)
            if self.heading and self.come > limits.head:
                self.too_large()

        def on_message_begin(self) -> None:
            self.url, self.headers, self.expect_100_continue = b"", [], False

        def on_headers_complete(self) -> None:
            self.heading = False
            if self.transport.is_closing():
                self.cycle = _Answered  # type: ignore[assignment]
            elif self.come > limits.head and self.size_of_head() > limits.head:
                self.too_large()
            elif max(len(self.connections), len(self.tasks)) > limits.connections:
                self.refuse(503, f"more than {limits.connections} connections are open; try again in a second")
            elif not self.answered():
                url, headers, expects = self.url, self.headers, self.expect_100_continue
                super().on_message_begin()  # a scope, which the short way does without
                self.url, self.expect_100_continue = url, expects
                self.headers.extend(headers)
                super().on_headers_complete()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self.heading, self.come = True, 0

        def answered(self) -> bool:
            """Whether this request was plain, and has its answer."""
            plain = PLAIN.fullmatch(self.url)
            busy = self.cycle is not None and not self.cycle.response_complete
            parser: Any = self.parser
            if plain is None or busy or self.flow.write_paused or parser.get_method() != b"GET":
                return False
            if not SPECIAL.isdisjoint([name for name, _ in self.headers]) or parser.get_http_version() != "1.1":
                return False
            user, k = unquote(plain[1].decode("ascii")), int(plain[2] or 20)
            if k > K or len(user) > ID or not gate.admits(self.headers):
                return False
            begun = time.perf_counter()
            body = current.answers.plain(user, k)
            if body is None:
                return False
            self.cycle = _Answered  # type: ignore[assignment]
            self.transport.write(ANSWER % (len(body), body))
            counted.inc()
            took.observe(time.perf_counter() - begun)
            self.server_state.total_requests += 1
            return True

        def size_of_head(self) -> int:
            return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

        def too_large(self) -> None:
            self.refuse(431, f"request line and headers: got more than {limits.head:,} bytes; expected fewer")

        def send_400_response(self, msg: str) -> None:
            self.refuse(400, "what came is no request that HTTP/1.1 knows")

        def refuse(self, status: int, detail: str) -> None:
            """Answers with a problem and ends the connection."""
            if self.transport.is_closing():
                return
            body = problem_json(status, detail)
            head = b"HTTP/1.1 %d \r\ncontent-type: %b\r\n%bconnection: close\r\ncontent-length: %d\r\n\r\n"
            cycle = self.cycle or _Answered
            if cycle.response_complete or not (cycle.response_started or self.pipeline):  # else others come first
                self.transport.write(head % (status, KIND.encode(), OWN, len(body)) + body)
            if cycle is not _Answered:  # who works at it hears that nobody waits for it
                cycle.disconnected = True
                cycle.message_event.set()
            self.cycle = _Answered  # type: ignore[assignment]
            gate.metrics.done("none", status, 0.0)
            self.transport.close()

    return Protocol
