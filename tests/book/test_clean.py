"""`make sync`, `make format` and `make notebooks` change nothing where there is nothing to change."""

import re
import shutil
import subprocess
from pathlib import Path

import execute
import jupytext
import nbformat
import pytest
from jupytext.cli import jupytext as command
from jupytext.config import load_jupytext_config

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TWINS = sorted((ROOT / "notebooks").glob("*.md"))


@pytest.mark.parametrize("path", TWINS, ids=lambda path: path.stem)
def test_a_twin_is_as_make_format_writes_it(path):
    config = load_jupytext_config(str(path))
    text = path.read_text(encoding="utf-8")
    again = jupytext.writes(jupytext.reads(text, fmt="md:myst", config=config), fmt="md:myst", config=config)
    assert again == text, "run `make format`"


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


def test_executing_writes_a_record_when_asked_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "RECORDS", tmp_path / "records")
    path = tmp_path / "one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1", id="a")]), path)
    execute.main([str(path)])
    assert sorted(tmp_path.iterdir()) == [path]
    execute.main(["--record", str(path)])
    assert (tmp_path / "records" / "one.json").is_file()


@pytest.mark.parametrize(("given", "recorded"), [([], False), (["RECORD=1"], True)])
def test_make_asks_for_a_record_when_told_to(given, recorded):
    wanted = ["make", "--dry-run", "--always-make", "notebooks", "notebook", "NB=notebooks/tsne.ipynb", *given]
    said = subprocess.run(wanted, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [line for line in said.splitlines() if "tools/execute.py" in line]
    assert len(lines) == 2
    assert [("--record" in line) for line in lines] == [recorded, recorded]


def test_make_clean_takes_away_what_a_package_that_moved_left_behind(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for file in ("figures/__pycache__/style.pyc", "models/__pycache__/mmkd.pyc", "models/mmkd.py"):
        (tmp_path / "mmkd_core" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mmkd_core" / file).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"Makefile", "mmkd_core", "mmkd_core/models", "mmkd_core/models/mmkd.py"}
