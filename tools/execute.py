"""Executes notebooks in place: `python tools/execute.py notebooks/quickstart.ipynb ...`."""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def execute(path: Path) -> None:
    """Runs the cells from top to bottom in the notebook's folder and writes their outputs, without times."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        coalesce_streams=True,  # else how stdout is cut into pieces depends on the machine's load
        resources={"metadata": {"path": path.parent}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns of TCP on every start
    )
    client.execute()
    notebook.metadata.pop("language_info", None)  # names the Python of this machine
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        start = time.perf_counter()
        execute(Path(argument))
        print(f"{argument}: {time.perf_counter() - start:.1f} s")
