"""What every notebook pair must be like; nbval compares its numbers."""

import ast
import re
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from jupytext.compare import NotebookDifference, compare_notebooks

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/<])(/(home|root|Users|tmp|var|usr|opt|work|content|private|mnt)/|[A-Z]:\\)")


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cells_tagged(notebook, tag):
    return [cell for cell in code_cells(notebook) if tag in cell.metadata.get("tags", [])]


def output_texts(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            yield output.get("text", "")
            yield from (str(content) for mime, content in output.get("data", {}).items() if mime != "image/png")


def definitions_and_loops(source):
    """The statements that belong in mmkd_core: definitions, and loops that take optimiser steps."""
    for node in ast.walk(ast.parse(TransformerManager().transform_cell(source))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield node
        if isinstance(node, ast.For | ast.While):
            calls = {
                n.func.attr for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
            }
            if calls & {"backward", "step"}:
                yield node


def test_every_notebook_has_its_twin():
    assert NOTEBOOKS
    assert [path.stem for path in NOTEBOOKS] == sorted(path.stem for path in FOLDER.glob("*.md"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return read(path)


def test_twins_agree(path, notebook):
    try:
        compare_notebooks(notebook, jupytext.read(path.with_suffix(".md")), fmt="md:myst")
    except NotebookDifference as difference:
        pytest.fail(f"{path.stem}: run `make sync`. {difference}")


def test_ran_from_top_to_bottom(notebook):
    cells = [cell for cell in code_cells(notebook) if cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_uses_no_command_that_the_vendored_mathjax_would_fetch(notebook):
    assert not [cell.source for cell in notebook.cells if "\\boldsymbol" in cell.source]  # stops all math of a page


def test_has_parameters(notebook):
    assert len(cells_tagged(notebook, "parameters")) == 1


def test_each_parameter_has_a_line_of_help(path):
    told = papermill.inspect_notebook(str(path))
    assert [name for name, about in told.items() if not about["help"]] == []
    (cell,) = cells_tagged(read(path), "parameters")
    assert list(told) == [target.id for line in ast.parse(cell.source).body for target in line.targets]


def test_has_checked_output(notebook):
    assert any(cell.outputs for cell in cells_tagged(notebook, "nbval-check-output"))


def test_says_what_a_reader_needs_to_know(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert all(f"- **{part}**" in text for part in ("You will learn", "You need", "It takes"))
    assert text.count(":class: exercise") >= 2
    assert "## Summary" in text
    assert "\nNext: [" in text


def test_leads_on_to_the_next_page(path, notebook):
    pages = re.findall(r"^\s*- file: (\S+)", (FOLDER.parent / "_toc.yml").read_text(), re.MULTILINE)
    after = pages[pages.index(f"notebooks/{path.stem}") + 1]
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    (leads,) = re.findall(r"^Next: \[[^]]*\]\(([^)]*)\)", text, re.MULTILINE)
    assert leads == (f"../{after}.md" if after.startswith("book/") else f"{Path(after).name}.ipynb")


def test_only_calls_the_library(path, notebook):
    written = {"solution", "given"} if path.stem in ("lightgcn", "build") else set()  # there a reader writes parts
    cells = [cell for cell in code_cells(notebook) if not written & set(cell.metadata.get("tags", []))]
    found = [ast.unparse(node) for cell in cells for node in definitions_and_loops(cell.source)]
    assert not found, "definitions and training loops belong in mmkd_core"


def test_no_sentence_is_broken_so_that_its_number_begins_a_list(path, notebook):
    """Of "has become 0 or" and, in the next line, "1. Trained" Markdown makes a list of one."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    broken = re.compile(r"^(?!\s|\d+[.)] |[-*:]).+\n\d+[.)] .*", re.MULTILINE)
    assert not [found[0] for text in texts for found in broken.finditer(text)]


def test_outputs_have_no_errors_or_warnings(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


def test_outputs_name_no_absolute_path(notebook):
    assert not [text for text in output_texts(notebook) if ABSOLUTE_PATH.search(text)]


def test_has_no_metadata_of_one_run(notebook):
    assert set(notebook.metadata) <= {"kernelspec", "jupytext"}
    assert not [cell.metadata for cell in notebook.cells if not set(cell.metadata) <= {"tags", "mystnb"}]


def test_is_small(path):
    assert path.stat().st_size < 500_000


@pytest.mark.parametrize(
    "source",
    [
        "def f(): pass",
        "class A: pass",
        "f = lambda x: x",
        "for b in data:\n    loss(b).backward()",
        "%time\nasync def f(): pass",
    ],
)
def test_the_gate_finds(source):
    assert list(definitions_and_loops(source))


def test_the_gate_lets_through():
    source = "%matplotlib inline\nloss.backward()\nfor name, p in model.named_parameters():\n    print(name, p.grad)"
    assert not list(definitions_and_loops(source))


@pytest.mark.parametrize(
    "change", [("source", "changed = 1"), ("metadata", {"tags": ["remove-cell"]}), ("cell_type", "raw")]
)
def test_the_twin_gate_finds(change):
    notebook, changed = read(NOTEBOOKS[0]), jupytext.read(NOTEBOOKS[0].with_suffix(".md"))
    key, value = change
    cells_tagged(changed, "parameters")[0][key] = nbformat.from_dict(value)
    with pytest.raises(NotebookDifference):
        compare_notebooks(notebook, changed, fmt="md:myst")


P_SAID = re.compile(r"\bp (?:=|<) \.?\d[\d.]*(?P<family> of \d+)?")  # within a sentence that cells print
P_CELL = re.compile(r"((<|\d)\.\d{3} of \d+|capped|–|)")


def p_columns(text):
    """The cells of the columns headed "p" of the Markdown tables in a text."""
    place = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(" | ")] if line.startswith("| ") else []
        if not cells:
            place = None
        elif place is None:
            place = cells.index("p") if "p" in cells else -1
        elif place >= 0 and not set(line) <= set("|-: "):
            yield cells[place]


def test_a_column_of_p_is_found():
    assert list(p_columns("| a | p | b |\n| --- | --: | --- |\n| x | 0.041 of 14 | y |\n\n| p |\n")) == ["0.041 of 14"]


def test_a_p_has_the_number_of_tests_beside_it_wherever_it_stands(path):
    for text in output_texts(read(path)):
        assert not [found.group() for found in P_SAID.finditer(text) if not found["family"]]
        assert not [cell for cell in p_columns(text) if not P_CELL.fullmatch(cell)]
