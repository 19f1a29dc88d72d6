"""Executes notebooks in place: `python tools/execute.py [--record] notebooks/quickstart.ipynb ...`.

Two runs leave a notebook byte-identical. With `--record`, when it ran, where and for how long goes to a record of its
own, `book/records/execution/<notebook>.json`, which the book's status page and runtimes are made from.
"""

import argparse
import base64
import io
import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from mmkd_core.cost import environment
from mmkd_core.files import write_json
from mmkd_core.training import choose_device

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "book/records/execution"


def execute(path: Path) -> dict[str, float]:
    """Runs the cells from top to bottom in the notebook's folder and writes their outputs, without times.

    Returns the wall and CPU seconds of it, those of starting the kernel included.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        coalesce_streams=True,  # else how stdout is cut into pieces depends on the machine's load
        resources={"metadata": {"path": path.parent}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns of TCP on every start
    )
    wall, cpu = time.perf_counter(), _cpu_of_children()
    client.execute()
    took = {"seconds": time.perf_counter() - wall, "cpu_seconds": _cpu_of_children() - cpu}
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = lighter(output.data["image/png"])
    notebook.metadata.pop("language_info", None)  # names the Python of this machine
    nbformat.write(notebook, path)
    return {name: round(seconds, 1) for name, seconds in took.items()}


def lighter(png: str) -> str:
    """A figure, a base64 text, with 256 colours of its own: a third of the size, and no eye sees it."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png))) as figure:
        palette = figure.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
        palette.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def note(path: Path, took: dict[str, float], records: Path | None = None) -> None:
    """Makes `took` the notebook's last execution on this kind of device; one on another kind stays beside it."""
    device = choose_device()
    file = (records or RECORDS) / f"{path.stem}.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    write_json(file, {**known, device.type: took | environment(device)})


def _cpu_of_children() -> float:
    """CPU seconds of all processes that this one started and that have ended, a notebook's kernel among them."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Executes notebooks in place.")
    parser.add_argument("--record", action="store_true", help="write the times to book/records/execution")
    parser.add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    for notebook in options.notebooks:
        took = execute(notebook)
        if options.record:
            note(notebook, took)
        print(f"{notebook}: {took['seconds']:.1f} s, {took['cpu_seconds']:.1f} s of CPU")


if __name__ == "__main__":
    main()
