"""Serves a small export with what is installed, asks it and ends it: `make served`.

Says how long the first answer took, and fails where one is not what it should be or a package of the book is there.
"""

import json
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pyarrow as pa

from mmkd_core.datasets.ids import Ids
from mmkd_core.exported import write_files

BOOK = ("jupyter_book", "sphinx", "jupytext", "papermill", "nbclient", "pytest", "selenium", "onnx")
USERS, ITEMS = 100, 300


def write_export(folder: Path) -> np.ndarray:
    """Random tables; returns the scores."""
    random = np.random.default_rng(0)
    users, items = (random.normal(size=(count, 16)).astype(np.float32) for count in (USERS, ITEMS))
    seen = {"seen_indptr": np.arange(USERS + 1), "seen_items": np.arange(USERS, dtype=np.int32)}
    ids = Ids(pa.array([f"u/{n}" for n in range(USERS)]), pa.array([f"i{n}" for n in range(ITEMS)]))
    named = {"data": {"name": "made up"}, "experiment": {"model": "random"}}
    write_files(folder, {"users": users, "items": items, **seen}, ids, None, named)
    return users @ items.T


def main() -> None:
    if there := [name for name in BOOK if find_spec(name)]:
        sys.exit(f"{there} are installed; expected an environment with the extra `serve` alone")
    with tempfile.TemporaryDirectory() as name:
        scores = write_export(Path(name))
        begun = time.perf_counter()
        command = [str(Path(sys.executable).with_name("mmkd")), "serve", name, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            print(process.stdout.readline().strip())
            address = process.stdout.readline().strip()
            answer = json.load(urlopen(f"{address}recommend/u%2F7?k=3"))
            print(f"first answer after {time.perf_counter() - begun:.2f} s")
            post = Request(f"{address}recommend", b'{"items": ["i1"]}', {"Content-Type": "application/json"})
            folded = json.load(urlopen(post))
            process.terminate()
    scores[7, 7] = -np.inf
    expected = [f"i{item}" for item in np.argsort(-scores[7])[:3]]
    assert [item["item"] for item in answer["items"]] == expected, answer
    assert len(folded["items"]) == 20, folded
    assert process.returncode == 0, process.returncode
    print("lists are right, and it ended as told")


if __name__ == "__main__":
    main()
