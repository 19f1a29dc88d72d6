"""Runs chapters' copies as a reader of Colab does, `make colab-check`: from the site alone, in their own environment.

The site, built for the address that it is served at here, is all there is: no repository, no book packages. Each copy
installs the library from it, fetches the records, and must run from top to bottom without torch being touched.
"""

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": "."}}).execute()
text = [o.get("text", "") for o in notebook.cells[1].outputs]
print("".join(text).strip().replace("\\n", "; "))
"""


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    def log_message(self, *_: object) -> None:
        pass


def served(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of a folder on loopback, which answers until it is shut down."""
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(site)))
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def run(python: str, copy: Path, folder: Path) -> tuple[bool, str]:
    """Whether a copy runs in a folder by an interpreter, and the last words of what it said."""
    known = {name: value for name, value in os.environ.items() if name not in ("MMKD_BOOK", "MMKD_DATA", "PYTHONPATH")}
    done = subprocess.run(
        [python, "-c", RUN, str(copy.resolve())], cwd=folder, env=known, capture_output=True, text=True, check=False
    )
    return done.returncode == 0, (done.stdout if done.returncode == 0 else done.stderr).strip()[-2000:]


def torch_of(python: str) -> str:
    """The version of torch that an interpreter has."""
    command = [python, "-c", "import torch; print(torch.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main(site: str, port: str, python: str, *names: str) -> None:
    """Runs the copies called `names`, or all chapters', and ends with 1 if one fails."""
    copies = [path for path in sorted((Path(site) / "colab").glob("*.ipynb")) if not path.stem.startswith("challenge-")]
    chosen = [path for path in copies if not names or path.stem in names]
    if not chosen:
        sys.exit(f"no such copies in {site}/colab: {names or 'none at all'}; run `make colab-check`")
    server, torch, failed = served(Path(site), int(port)), torch_of(python), []
    with tempfile.TemporaryDirectory() as temporary:
        for copy in chosen:
            start = time.perf_counter()
            well, said = run(python, copy, Path(temporary))
            took = time.perf_counter() - start
            print(f"{copy.stem}: {'ran' if well else 'FAILED'}, {took:.0f} s; {said}", flush=True)
            failed += [copy.stem] * (not well)
    server.shutdown()
    server.server_close()
    if torch_of(python) != torch:
        failed.append(f"torch was {torch} and is {torch_of(python)}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
