"""An export that is served: in this process through FastAPI's test client, or by `mmkd serve` as a user starts it."""

import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from fastapi.testclient import TestClient

from mmkd_core.datasets.ids import Ids
from mmkd_core.exported import write_files
from mmkd_core.serving.answers import Answers
from mmkd_core.serving.app import service
from mmkd_core.serving.catalogue import read_catalogue
from mmkd_core.serving.current import Current
from mmkd_core.serving.limits import Limits
from mmkd_core.serving.metrics import Metrics
from mmkd_core.serving.shown import shown_of

ROOT = Path(__file__).parents[2]
NAMED = {"data": {"name": "made up"}, "experiment": {"model": "bpr-mf"}}


def write_made_up(folder, users=None, items=None, *, seed=0, counts=(6, 40), dim=8):
    """An export of random tables; each user but the last has seen three items. `users` and `items` are their ids."""
    counts = (len(users), len(items)) if users is not None else counts
    random = np.random.default_rng(seed)
    seen = np.concatenate([np.sort(random.choice(counts[1], 3, replace=False)) for _ in range(counts[0] - 1)])
    arrays = {
        name: random.normal(size=(n, dim)).astype(np.float32)
        for name, n in zip(("users", "items"), counts, strict=True)
    }
    arrays["seen_indptr"] = 3 * np.minimum(np.arange(counts[0] + 1), counts[0] - 1)
    arrays["seen_items"] = seen.astype(np.int32)
    folder.mkdir(exist_ok=True)
    write_files(folder, arrays, None if users is None else Ids(pa.array(users), pa.array(items)), None, NAMED)
    return folder


def gate_of(folder, *, titles=None, pictures=None, token=None, limits=None):
    """(service, current) of an export."""

    def read():
        catalogue = read_catalogue(folder)
        return Answers(catalogue, shown_of(dict.fromkeys(catalogue.item_names.texts), titles, pictures))

    metrics = Metrics()
    current = Current(folder, read, metrics)
    return service(current, metrics, token=token, limits=limits or Limits()), current


def client_of(folder, **options):
    return TestClient(gate_of(folder, **options)[0], raise_server_exceptions=False)


def problem(response, status):
    """The detail of a problem, in the one shape that all have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json().keys() == {"type", "title", "status", "detail"}
    assert response.json()["status"] == status
    return response.json()["detail"]


@contextmanager
def started(folder, *options, said=None, program=None):
    """(process, port) of `mmkd serve`; what it says on stderr is appended to `said` when it has ended.

    `program` may stand in for the command line.
    """
    command = [sys.executable, *(["-c", program] if program else ["-m", "mmkd_core"])]
    command += ["serve", str(folder), "--port", "0", *map(str, options)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        yield process, int(address.rstrip("/").rpartition(":")[2])
    finally:
        process.terminate()
        err = process.communicate(timeout=30)[1]
        if said is not None:
            said.append(err)


def exchanged(port, *parts, timeout=20):
    """All that the service sends until it closes the connection, or for two seconds more, for these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break  # it has heard enough
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except OSError:
            pass
        return received


def answered(port, request, **options):
    """(status, headers, body) of the one answer to these bytes, which ask for the connection's end."""
    head, _, body = exchanged(port, request, **options).partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    return int(line.split()[1]), dict(field.lower().split(": ", 1) for field in fields), body


def ask(port, path, *fields, method="GET", body=b""):
    """(status, headers, JSON) of a plain request."""
    fields = [*fields, *([f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else [])]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", ""])
    status, headers, received = answered(port, head.encode("latin-1") + body)
    return status, headers, json.loads(received)
