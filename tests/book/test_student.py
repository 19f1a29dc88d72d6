"""The student edition: no solution in it, each check fails on a starter, and the solutions make all of it run."""

from pathlib import Path

import nbformat
import pytest
import student
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
COPIES = sorted((ROOT / "_build/html/colab").glob("*.ipynb"))
PARTS = {ROOT / "_build/html/colab/lightgcn.ipynb": 1, ROOT / "_build/html/colab/build.ipynb": 7}
PART = """\
# @title Show the solution of part 1
def double(x):
    \"\"\"Twice.\"\"\"
    ### BEGIN SOLUTION
    twice = x + x
    return twice
    ### END SOLUTION"""


def code(source, **metadata):
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def test_a_part_is_handed_out_without_its_lines_and_an_exercise_without_anything():
    told = "<details>\n<summary>Show the solution of exercise 2</summary>\n\nIt is 4.\n\n</details>"
    copy = nbformat.v4.new_notebook(
        metadata={"mmkd": {"chapter": "*One*", "needs": "looks for a folder"}},
        cells=[
            nbformat.v4.new_markdown_cell("This is a plain copy."),
            nbformat.v4.new_markdown_cell(f"Task.\n\n{told}\n\nEnd."),
            code(PART, cellView="form", jupyter={"source_hidden": True}),
            code("# @title Show the solution of exercise 1\nprint(4)\n# That is it.", cellView="form"),
            code("# @title The code of Fig. 1\nplot()", cellView="form"),
        ],
    )
    made = student.student(copy)
    first, *sources = [cell.source for cell in made.cells]
    assert first.startswith("This is the student edition of the chapter *One*.")
    assert first.endswith("The cell below looks for a folder.")
    assert sources == [
        "Task.\n\n*Your answer:*\n\nEnd.",
        'def double(x):\n    """Twice."""\n    ...',
        "# Exercise 1: your code\n",
        "# @title The code of Fig. 1\nplot()",
    ]
    assert [dict(cell.metadata) for cell in made.cells[1:]] == [{}, {}, {}, {"cellView": "form"}]
    assert copy.cells[2].source == PART  # the copy stays


needs_copies = pytest.mark.skipif(not COPIES, reason="no rendered book: run `make html`")


@needs_copies
@pytest.mark.parametrize("path", COPIES, ids=lambda path: path.stem)
def test_no_chapter_gives_a_solution_away(path):
    copy = nbformat.read(path, as_version=4)
    made = student.student(copy)
    text = "\n".join(cell.source for cell in made.cells)
    assert text.startswith("This is the student edition of the chapter ")
    assert "Show the solution" not in text
    assert "SOLUTION" not in text
    folded = [c for c in copy.cells if student.FOLDED.match(c.source)]
    assert sum(c.source.startswith("# Exercise") or c.source.endswith("    ...") for c in made.cells) == len(folded)
    assert len(made.cells) == len(copy.cells)


def ran(notebook, allow_errors=False):
    """What each check says, run in the book's own folder without what installs, and without what comes after them."""
    checks = [number for number, cell in enumerate(notebook.cells) if cell.source.startswith("print(check(")]
    cells = [cell for cell in notebook.cells[: checks[-1] + 1] if cell.cell_type == "code"]
    part = nbformat.v4.new_notebook(cells=[code(cell.source) for cell in cells if "MMKD_BOOK" not in cell.source])
    options = {"extra_arguments": ["--IPKernelApp.log_level=ERROR"], "resources": {"metadata": {"path": ROOT}}}
    NotebookClient(part, timeout=300, allow_errors=allow_errors, **options).execute()
    return {c.source: c.outputs for c in part.cells if c.source.startswith("print(check(")}


@needs_copies
@pytest.mark.parametrize(("chapter", "parts"), PARTS.items(), ids=lambda given: getattr(given, "stem", None))
def test_each_check_fails_on_its_starter_and_says_so_in_a_line(chapter, parts):
    checks = ran(student.student(nbformat.read(chapter, as_version=4)), allow_errors=True)
    assert len(checks) == parts
    for source, outputs in checks.items():
        (output,) = outputs
        name = source.removeprefix("print(check(").removesuffix("))")
        assert output.output_type == "error"
        assert output.ename == "DiffersError"
        assert output.traceback[0].startswith(f"✗ {name}, case 1 of ")
        assert "your lines are missing" in output.traceback[0]
        assert len(output.traceback) == 1


@needs_copies
@pytest.mark.parametrize(("chapter", "parts"), PARTS.items(), ids=lambda given: getattr(given, "stem", None))
def test_each_check_passes_on_the_starter_with_its_solution_filled_in(chapter, parts):
    copy = nbformat.read(chapter, as_version=4)
    made = student.student(copy)
    for cell, own in zip(made.cells, copy.cells, strict=True):
        if cell.source.rstrip().endswith("..."):
            found = student.LINES.search(own.source)
            cell.source = cell.source.removesuffix("    ...") + found[0]
    checks = ran(made)
    assert len(checks) == parts
    assert all(outputs[0].text.startswith("✓") for outputs in checks.values())
