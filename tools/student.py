"""Writes the student edition, `make student`: the chapters' plain copies with solutions taken out and starters put in.

Three editions come from one source. The book folds solutions away; the copies under `_build/colab/` have them, folded,
for who teaches; here a part that is to be written has `...` in place of its lines, and an exercise has an empty cell.
"""

import re
from copy import deepcopy

import nbformat
from colab import BUILD, copies_for

FOLDED = re.compile(r"# @title Show the solution of (?P<what>.*)\n")
LINES = re.compile(r"^(?P<indent> *)### BEGIN SOLUTION\n.*?\n *### END SOLUTION$", re.DOTALL | re.MULTILINE)
TOLD = re.compile(r"<details>\n<summary>Show the solution of .*?</summary>.*?</details>", re.DOTALL)
ANSWER = "*Your answer:*"
INTRODUCTION = """\
This is the student edition of the chapter {chapter}. Run the cells from the top, each with Shift and Enter. Write where
a cell says `...`, "your code" or "Your answer". A check stops until its part is right.

The cell below {needs}."""


def starter(solution: str, what: str) -> str:
    """What is handed out of a solution: `...` for the lines between its marks; without marks nothing but a heading."""
    begun, parts = LINES.subn(r"\g<indent>...", solution)
    return begun if parts else f"# {what.capitalize()}: your code\n"


def student(copy: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The student edition of a chapter's plain copy."""
    made = deepcopy(copy)
    made.cells[0].source = INTRODUCTION.format(**copy.metadata["mmkd"])
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = TOLD.sub(ANSWER, cell.source)
        elif folded := FOLDED.match(cell.source):
            cell.source = starter(cell.source[folded.end() :], folded["what"])
            for mark in ("cellView", "jupyter"):  # nothing is folded any more
                cell.metadata.pop(mark, None)
    return made


def main() -> None:
    copies, out = copies_for("student")
    for path in copies:
        nbformat.write(student(nbformat.read(path, as_version=4)), out / path.name)
    print(f"{len(copies)} copies in {out.relative_to(BUILD.parent)}")


if __name__ == "__main__":
    main()
