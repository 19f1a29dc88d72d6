"""A reader runs a chapter with other parameters: `papermill notebooks/quickstart.ipynb out.ipynb -p epochs 1`."""

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from made_up_folder import write_folder
from papermill import execute_notebook

from mmkd_core.evidence.measurement import find_or_take
from mmkd_core.evidence.questions import consumption
from mmkd_core.evidence.questions import parameters as counted

FOLDER = Path(__file__).parents[2] / "notebooks"
BOUND = ("complexity", "demo")  # to the shape or the data of that name
ARGUMENTS = {"datasets", "seeds", "budget", "records"}  # of every chapter of evidence: those of its cases


def parameters(notebook):
    """The names that a notebook's cell of parameters assigns."""
    cells = nbformat.read(notebook, as_version=4).cells
    sources = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


EVIDENCE = [path for path in sorted(FOLDER.glob("*.ipynb")) if parameters(path) >= ARGUMENTS]


def papermill(notebook, out, *options):
    """The cells of a notebook after it ran with other parameters."""
    command = [sys.executable, "-m", "papermill", str(notebook), str(out), *options, "--no-progress-bar"]
    done = subprocess.run(command, cwd=out.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return nbformat.read(out, as_version=4).cells


def injected(cells):
    return [cell.source for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])]


def test_the_quickstart_takes_parameters(tmp_path):
    parameters = ["-p", "epochs", "2", "-p", "student_epochs", "1", "-p", "user", "5"]
    cells = papermill(FOLDER / "quickstart.ipynb", tmp_path / "out.ipynb", *parameters)
    assert injected(cells) == ["# Parameters\nepochs = 2\nstudent_epochs = 1\nuser = 5\n"]
    text = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    assert "recall@20" in text


def test_the_derivation_is_proved_for_lists_of_another_length(tmp_path):
    cells = papermill(FOLDER / "derivation.ipynb", tmp_path / "out.ipynb", "-p", "size", "4")
    text = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    assert "line 5 = KL(b) + (1 - b+) KL(q): True" in text
    assert "item 4: True" in text


def test_there_is_evidence():
    assert EVIDENCE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set on which a smoke run takes no time."""
    return write_folder(tmp_path_factory.mktemp("data") / "tiny-demo")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all chapters, so that what one has run the next need not.

    It lacks a single one of the footprints on the shape "demo". The others are there, taken in this process: each in
    two of its own, as they are elsewhere, imports torch twice.
    """
    store = tmp_path_factory.mktemp("records")
    cases = [*consumption.cases(budget="smoke"), *counted.cases(budget="smoke")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consumption, "alone", lambda call, *arguments: call(*arguments))
        for job in (case.job for case in cases if case.job != cases[0].job):
            find_or_take(job, consumption.footprint, store)
    return store


@pytest.mark.parametrize("notebook", EVIDENCE, ids=lambda path: path.stem)
def test_a_chapter_of_evidence_runs_what_its_records_lack(notebook, folder, store, tmp_path):
    dataset = "demo" if notebook.stem in BOUND else str(folder)
    arguments = {"datasets": [dataset], "budget": "smoke", "records": str(store)}
    options = {"cwd": tmp_path, "progress_bar": False, "log_output": False}  # what the program calls
    cells = execute_notebook(notebook, tmp_path / "out.ipynb", arguments, **options).cells
    assert len(injected(cells)) == 1
    assert list(store.rglob("*.json"))
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    texts = [o.get("text", "") + str(o.get("data", {}).get("text/markdown", "")) for o in outputs]
    assert any("demo" in text.lower() for text in texts)
