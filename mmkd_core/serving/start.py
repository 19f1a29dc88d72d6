"""A process that serves an export until it is told to end."""

import logging
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import uvicorn

from mmkd_core.serving.answers import Answers
from mmkd_core.serving.app import service
from mmkd_core.serving.catalogue import read_catalogue
from mmkd_core.serving.current import Current
from mmkd_core.serving.limits import Limits
from mmkd_core.serving.metrics import Metrics
from mmkd_core.serving.protocol import protocol
from mmkd_core.serving.shown import shown_of
from mmkd_core.settings import quoted

SHORTEST = 16  # characters of a token


def serve(
    folder: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: str | Path | None = None,
    titles: str | Path | None = None,
    pictures: str | Path | None = None,
    on_start: Callable[[str, str], None] = lambda address, what: None,
) -> None:
    """Serves the export in `folder` until SIGTERM or Ctrl-C; `on_start` gets its address, and what it is.

    SIGHUP has it read the folder anew; a change of its card is noticed within a second. Raises `ValueError` for what is
    no export, an address that cannot be had, a token that is none, titles or pictures that cannot be read.
    """
    token = None if token_file is None else token_of(Path(token_file))
    with _listening(host, port) as listening:
        _serve(folder, listening, token, titles, pictures, on_start)


def _serve(
    folder: str | Path,
    listening: socket.socket,
    token: str | None,
    titles: str | Path | None,
    pictures: str | Path | None,
    on_start: Callable[[str, str], None],
) -> None:
    address = _address(listening)
    if token is None and not _loopback(listening):
        warnings.warn(
            f"whoever reaches {address} may ask for anybody's list; --token-file FILE lets those in who know its token",
            stacklevel=3,
        )
    shown = None

    def read() -> Answers:
        nonlocal shown
        catalogue = read_catalogue(folder)
        if shown is None:
            shown = shown_of(dict.fromkeys(catalogue.item_names.texts), titles, pictures)
        return Answers(catalogue, shown)

    metrics, limits = Metrics(), Limits()
    current = Current(folder, read, metrics)
    gate = service(current, metrics, token=token, limits=limits)
    config = uvicorn.Config(
        gate, http=protocol(current, gate), ws="none", lifespan="on", access_log=False, log_config=None,
        server_header=False, date_header=False, proxy_headers=False, timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = uvicorn.Server(config)
    # From here on, so that a signal that comes before uvicorn's own handlers ends it, too. uvicorn ends its work at a
    # signal, then raises it once more; for who started the service that is an end like any.
    signal.signal(signal.SIGTERM, server.handle_exit)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: current.look())
    _log()
    on_start(address, current.answers.summary())
    server.run(sockets=[listening])


def token_of(file: Path) -> str:
    """The token in a file. Raises `ValueError` for one that is short or could not stand in a header."""
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise ValueError(
            f"{file}: cannot be read ({reason}); expected a token of {SHORTEST} characters or more"
        ) from None
    if len(token) < SHORTEST or any(not "!" <= sign <= "~" for sign in token):
        raise ValueError(
            f"{file}: got {len(token)} characters; expected a token of {SHORTEST} or more, letters and digits without "
            "spaces, for example from `openssl rand -hex 32`"
        )
    return token


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port}; expected from 1 to 65535, or 0 for any that is free")
    try:
        family, kind, number, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, number)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"--host {quoted(host)}: no address ({error}); expected one of this machine") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen()
    except OSError as error:
        listening.close()
        raise ValueError(
            f"port {port} of {host}: cannot be had ({error.strerror}); expected one that is free: --port takes another"
        ) from None
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _loopback(listening: socket.socket) -> bool:
    host = listening.getsockname()[0]
    return host == "::1" or host.startswith("127.")


def _log() -> None:
    """Log lines to stderr, from us and what uvicorn finds wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("mmkd: %(asctime)s %(message)s"))
    for name, level in (("mmkd.serve", logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
