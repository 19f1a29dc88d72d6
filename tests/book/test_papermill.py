"""A reader runs a chapter with other parameters: `papermill notebooks/quickstart.ipynb out.ipynb -p epochs 1`."""

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from made_up_folder import write_folder
from nbclient import NotebookClient
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from mmkd_core.evidence.challenge import Result
from mmkd_core.evidence.measurement import find_or_take
from mmkd_core.evidence.questions import complexity, consumption
from mmkd_core.evidence.questions import parameters as counted
from mmkd_core.evidence.store import Store

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
BOUND = ("complexity", "demo")  # to the shape or the data of that name
ARGUMENTS = {"datasets", "seeds", "budget", "records"}  # of every chapter of evidence: those of its cases


def parameters(notebook):
    """The names that a notebook's cell of parameters assigns."""
    cells = nbformat.read(notebook, as_version=4).cells
    sources = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


EVIDENCE = [path for path in sorted(FOLDER.glob("*.ipynb")) if parameters(path) >= ARGUMENTS]


# What chapters do whatever their budget they do in full where they are executed as they are. Here two degrees of a
# change show as much as five, and two epochs as much as fifteen.
HURRY = """
from dataclasses import replace
from functools import partial
import mmkd_core
from mmkd_core.evidence.questions import demo
from sklearn import manifold
demo.DEGREES = {"noise": (0.0, 0.4), "redundancy": (0, 32)}
manifold.TSNE = partial(manifold.TSNE, max_iter=250)
def short(model, data, config, fit=mmkd_core.fit, **others):
    less = {"epochs": min(config.epochs, 2), "evaluate_every": min(config.evaluate_every, 2)}
    return fit(model, data, replace(config, **less), **others)
mmkd_core.fit = short
"""
# The names of the notebook before. (%reset takes Python's own as well, without which no process can be started.)
FORGET = """
for name in [*get_ipython().run_line_magic("who_ls", ""), "name"]:
    globals().pop(name)
"""


@pytest.fixture(scope="module")
def execute(tmp_path_factory):
    """Runs a notebook with other parameters and gives its cells; all in one kernel, which imports the library once."""
    code, client = nbformat.v4.new_code_cell, NotebookClient(nbformat.v4.new_notebook(), kernel_name="python3")

    def run(*cells):
        client.nb.cells = [*cells]
        return [client.execute_cell(cell, place) for place, cell in enumerate(cells)]

    def execute(notebook, parameters):
        chapter = parameterize_notebook(load_notebook_node(str(notebook)), parameters)
        return run(code(FORGET), *chapter.cells)[1:]

    with client.setup_kernel(cwd=tmp_path_factory.mktemp("kernel")):
        run(code(f"exec({HURRY!r}, {{}})"))  # in a namespace that is not forgotten
        yield execute


def injected(cells):
    return [cell.source for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])]


def test_the_quickstart_takes_parameters(execute):
    parameters = {"epochs": 2, "student_epochs": 1, "user": 5}
    cells = execute(FOLDER / "quickstart.ipynb", parameters)
    assert injected(cells) == ["# Parameters\nepochs = 2\nstudent_epochs = 1\nuser = 5\n"]
    text = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    assert "recall@20" in text


def test_the_derivation_is_proved_for_lists_of_another_length(tmp_path):
    out = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(FOLDER / "derivation.ipynb"), str(out), "-p", "size", "4"]
    done = subprocess.run([*command, "--no-progress-bar"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(out, as_version=4).cells
    assert injected(cells) == ["# Parameters\nsize = 4\n"]
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

    It lacks a single one of the footprints on the shape "demo", and of the counts of operations. The other footprints
    are there, taken in this process: each in two of its own, as they are elsewhere, imports torch twice. The other
    counts are the committed ones, as far as this budget goes.
    """
    store = tmp_path_factory.mktemp("records")
    cases = [*consumption.cases(budget="smoke"), *counted.cases(budget="smoke")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consumption, "alone", lambda call, *arguments: call(*arguments))
        for job in (case.job for case in cases if case.job != cases[0].job):
            find_or_take(job, consumption.footprint, store)
    committed = Store(ROOT / "book/records").taken(complexity.cases())
    for case, (labels, values) in zip(complexity.cases(budget="smoke")[1:], committed[1:], strict=True):
        assert case.labels == labels
        first = len(case.job.arguments["doublings"])
        find_or_take(case.job, lambda *_, **__: shortened(values, first), store)  # noqa: B023
    return store


def shortened(counts, length):
    """The first of each list in nested dictionaries."""
    return {
        name: value[:length] if isinstance(value, list) else shortened(value, length) for name, value in counts.items()
    }


def test_a_challenge_leaves_a_result(folder, execute, tmp_path):
    asked = {"claim": "list", "datasets": [str(folder)], "budget": "smoke", "runs": str(tmp_path)}
    outputs = [output for cell in execute(FOLDER / "challenge.ipynb", asked) for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    (file,) = tmp_path.glob("list-*.json")
    result = Result.read(file)
    assert (result.claim, result.datasets, result.seeds) == ("list", (str(folder),), (0, 1))
    assert len(list((tmp_path / folder.name / "mmkd").glob("*.json"))) == 4


@pytest.mark.parametrize("notebook", EVIDENCE, ids=lambda path: path.stem)
def test_a_chapter_of_evidence_runs_what_its_records_lack(notebook, folder, store, execute):
    dataset = "demo" if notebook.stem in BOUND else str(folder)
    arguments = {"datasets": [dataset], "budget": "smoke", "records": str(store)}
    cells = execute(notebook, arguments)
    assert len(injected(cells)) == 1
    assert list(store.rglob("*.json"))
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    texts = [o.get("text", "") + str(o.get("data", {}).get("text/markdown", "")) for o in outputs]
    assert any("demo" in text.lower() for text in texts)
