"""`make sync`, `make format` and `jupytext --sync` change nothing where there is nothing to change."""

import re
import shutil
from pathlib import Path

import pytest
from jupytext.cli import jupytext as command

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.fixture
def copy(tmp_path):
    """A chapter with figures as a fresh clone has it: both twins, and jupytext's settings."""
    shutil.copy(ROOT / "jupytext.toml", tmp_path)
    (tmp_path / "notebooks").mkdir()
    for name in ("tsne.md", "tsne.ipynb"):
        shutil.copy(ROOT / "notebooks" / name, tmp_path / "notebooks" / name)
    command(["--to", "ipynb", "--update", str(tmp_path / "notebooks" / "tsne.md")])  # whatever is being edited
    command(["--to", "md:myst", str(tmp_path / "notebooks" / "tsne.ipynb")])
    return tmp_path / "notebooks"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def arguments(target):
    """What the Makefile gives to jupytext in a target, less the names of the files."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe is not None
    (line,) = (line for line in recipe[1].splitlines() if "jupytext" in line)
    return line.split()[1:-1]


@pytest.mark.parametrize(
    ("options", "suffix"),
    [(arguments("sync"), "md"), (arguments("format"), "ipynb"), (["--sync"], "md"), (["--sync"], "ipynb")],
)
def test_jupytext_leaves_a_clean_pair_clean(options, suffix, copy):
    before = contents(copy)
    for _ in range(2):
        command([*options, str(copy / f"tsne.{suffix}")])
        assert contents(copy) == before
