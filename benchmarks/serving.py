"""`mmkd serve` under load on loopback, beside a bare NumPy loop that makes the same lists.

    python -m benchmarks.serving --out book/records/speed/serving.json
    python -m benchmarks.serving --at tiktok --seconds 2 --connections 4 --repeat 1

Tables of random numbers at a data set's size, lists of 20. `bare` is the README's loop, `bare, as JSON` has ids and
scores written as the service writes them, by json.dumps, `bare in ASGI` is the latter behind the smallest application
for the same server. `the long way` are requests that the service answers by its schema and not by its short way. Every
round measures all of them in turn; printed are medians. Who serves is held to one thread, who asks runs beside it: so
requests per CPU second of the server, which do not depend on who else computes, are the figure to compare, and requests
per second and percentiles of milliseconds say what was felt while the machine was as busy as it was.
"""

import argparse
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.generated import power_law
from mmkd_core.cost import environment
from mmkd_core.files import write_json

SIZES = {"tiktok": (9308, 6710, 60_000), "netflix": (43_739, 17_239, 900_000), "small": (200, 300, 1000)}
K, DIM = 20, 64
NAMED = {"data": {"name": "made up"}, "experiment": {"model": "random"}}


class Load(NamedTuple):
    """Of a round: requests per CPU second of the server and per second, and milliseconds of the median and of p99."""

    per_cpu: float
    per_second: float
    median: float
    p99: float


def write_export(folder: Path, at: str) -> None:
    """An export of random tables."""
    import pyarrow as pa

    from mmkd_core.datasets.ids import Ids
    from mmkd_core.exported import write_files

    users, items, edges = SIZES[at]
    owners, seen = np.divmod(np.sort(power_law(users, items, edges)), items)
    random = np.random.default_rng(0)
    tables = [random.normal(0, 0.1, (count, DIM)).astype(np.float32) for count in (users, items)]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=users))]).astype(np.int64)
    arrays = {"users": tables[0], "items": tables[1], "seen_indptr": indptr, "seen_items": seen.astype(np.int32)}
    ids = Ids(*(pa.array([f"{kind}{number}" for number in range(n)]) for kind, n in (("u", users), ("i", items))))
    write_files(folder, arrays, ids, None, NAMED)


def bare(folder: Path) -> tuple[Callable[[int], tuple[Any, Any]], int]:
    """The README's loop over an export, and how many users there are."""
    arrays = np.load(folder / "tables.npz")
    users, items = arrays["users"], arrays["items"]
    indptr, seen = arrays["seen_indptr"], arrays["seen_items"]

    def recommend(user: int) -> tuple[Any, Any]:
        scores = items @ users[user]
        scores[seen[indptr[user] : indptr[user + 1]]] = -np.inf
        best = np.argpartition(scores, -K)[-K:]
        best = best[np.argsort(-scores[best])]
        return best, scores[best]

    return recommend, len(users)


def as_json(user: int, best: Any, scores: Any) -> bytes:
    """A list as the service writes it."""
    places = zip(best.tolist(), scores.tolist(), strict=True)
    return json.dumps({"user": f"u{user}", "items": [{"item": f"i{i}", "score": s} for i, s in places]}).encode()


def looped(make: Callable[[int], object], users: Sequence[int], seconds: float) -> float:
    """Lists per CPU second."""
    begun, count = time.process_time(), 0
    while (took := time.process_time() - begun) < seconds:
        make(users[count % len(users)])
        count += 1
    return count / took


def asked(port: int, pid: int, users: Sequence[int], seconds: float, connections: int, more: str = "") -> Load:
    """The service under the load of some connections, each of which asks anew when it has its answer."""
    selector, times = selectors.DefaultSelector(), []
    requests = [f"GET /recommend/u{user}?k={K}{more} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for user in users]
    began, cpu = time.perf_counter(), cpu_seconds(pid)
    for number in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.send(requests[number % len(requests)])
        selector.register(connection, selectors.EVENT_READ, [time.perf_counter(), b""])
    while time.perf_counter() - began < seconds:
        for key, _ in selector.select(1):
            key.data[1] += key.fileobj.recv(65536)  # type: ignore[union-attr]
            if not key.data[1].endswith(b"]}"):
                continue
            if not key.data[1].startswith(b"HTTP/1.1 200"):
                raise ValueError(f"expected a list, got {key.data[1][:200]!r}")
            now = time.perf_counter()
            times.append(now - key.data[0])
            key.data[:] = now, b""
            key.fileobj.send(requests[len(times) % len(requests)])  # type: ignore[union-attr]
    took, cpu = time.perf_counter() - began, cpu_seconds(pid) - cpu
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    selector.close()
    times.sort()
    at = [1000 * times[min(len(times) - 1, int(share * len(times)))] for share in (0.5, 0.99)]
    return Load(len(times) / max(cpu, 0.01), len(times) / took, *at)


def cpu_seconds(pid: int) -> float:
    """What a process has used, by the kernel's clock (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def started(*command: str) -> Iterator[tuple[int, int]]:
    """(port, process id) of a server that prints its address last."""
    with subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            address = ""
            while not address.startswith("http"):
                address = process.stdout.readline().strip() if process.stdout and process.poll() is None else "http:0"
            yield int(address.rstrip("/").rpartition(":")[2]), process.pid
        finally:
            process.terminate()


def asgi(folder: Path) -> None:
    """Serves the bare loop by the smallest application."""
    import uvicorn

    recommend, _ = bare(folder)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        user = int(scope["path"].rpartition("/u")[2])
        body = as_json(user, *recommend(user))
        fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # which connections get from it
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
    config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", access_log=False, log_level="error")
    uvicorn.Server(config).run(sockets=[listening])


def compare(at: str, seconds: float, connections: int, repeat: int) -> dict[str, Load]:
    """Medians over the rounds, by what was measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_export(folder, at)
        recommend, count = bare(folder)
        indptr = np.load(folder / "tables.npz")["seen_indptr"]
        users = np.random.default_rng(1).choice(np.flatnonzero(np.diff(indptr)), min(count, 5000)).tolist()
        rounds: list[dict[str, Load]] = []
        with (
            started("mmkd_core", "serve", name, "--port", "0") as service,
            started("benchmarks.serving", "--asgi", name) as smallest,
        ):
            asked(*service, users, 0.5, connections)
            for _ in range(repeat):
                per_cpu = looped(recommend, users, seconds / 2)
                written = looped(lambda user: as_json(user, *recommend(user)), users, seconds / 2)
                rounds.append({
                    "bare": Load(per_cpu, 0, 0, 0),
                    "bare, as JSON": Load(written, 0, 0, 0),
                    "service": asked(*service, users, seconds, connections),
                    "service, one connection": asked(*service, users, seconds, 1),
                    "service, the long way": asked(*service, users, seconds, connections, "&long=1"),
                    "bare in ASGI": asked(*smallest, users, seconds, connections),
                })  # fmt: skip
    return {who: Load(*map(statistics.median, zip(*(own[who] for own in rounds), strict=True))) for who in rounds[0]}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", nargs="+", choices=list(SIZES), default=["tiktok", "netflix"], help="whose sizes")
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    parser.add_argument("--connections", type=int, default=8, help="that ask at the same time")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a JSON record too")
    parser.add_argument("--asgi", type=Path, metavar="EXPORT", help="serve the bare loop (what this program calls)")
    given = parser.parse_args(arguments)
    if given.asgi:
        asgi(given.asgi)
        return
    measured: dict[str, Any] = {}
    for at in given.at:
        users, items, _ = SIZES[at]
        rows = compare(at, given.seconds, given.connections, given.repeat)
        busy = os.getloadavg()[0]
        measured[at] = {
            "users": users, "items": items, "load": round(busy, 1),
            "requests": {who: load._asdict() for who, load in rows.items()},
        }  # fmt: skip
        print(f"{at}: {users:,} users × {items:,} items, {DIM}-d, lists of {K}; load {busy:.1f}")
        print("  per CPU second   of bare   per second   median ms    p99 ms")
        for who, load in rows.items():
            felt = f"{load.per_second:>13,.0f}{load.median:>12.2f}{load.p99:>10.2f}" if load.median else " " * 35
            print(f"{load.per_cpu:>16,.0f}{load.per_cpu / rows['bare'].per_cpu:>10.2f}{felt}  {who}")
    if given.out:
        how = {"seconds": given.seconds, "connections": given.connections, "repeat": given.repeat}
        write_json(given.out, {"how": how, "at": measured, "environment": environment(torch.device("cpu"))})


if __name__ == "__main__":
    main()
