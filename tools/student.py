"""Writes the student edition, `make student`: the chapters' plain copies with solutions taken out and starters put in.

Three editions come from one source. The book folds solutions away; the copies under `_build/colab/` have them, folded,
for who teaches; here a part that is to be written has `...` in place of its lines, and an exercise has an empty cell.
"""

import re
import shutil
import sys
from copy import deepcopy
from pathlib import Path

import nbformat

BUILD = Path(__file__).parent.parent / "_build"
FOLDED = re.compile(r"# @title Show the solution of (?P<what>.*)\n")
LINES = re.compile(r"^(?P<indent> *)### BEGIN SOLUTION\n.*?\n *### END SOLUTION$", re.DOTALL | re.MULTILINE)
TOLD = re.compile(r"<details>\n<summary>Show the solution of .*?</summary>.*?</details>\n*", re.DOTALL)


def starter(source: str) -> str:
    """A cell with a solution as it is handed out: `...` for the lines between the marks, or nothing but a heading."""
    what, own = FOLDED.match(source), FOLDED.sub("", source, count=1)
    if what is None:
        return source
    begun = LINES.sub(r"\g<indent>...", own)
    return begun if begun != own else f"# {what['what'].capitalize()}: your code\n"


def student(copy: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The student edition of a chapter's plain copy."""
    made = deepcopy(copy)
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = TOLD.sub("", cell.source).rstrip()
        elif FOLDED.match(cell.source):
            cell.source = starter(cell.source)
            for mark in ("cellView", "jupyter"):  # nothing is folded any more
                cell.metadata.pop(mark, None)
    return made


def main() -> None:
    out = BUILD / "student"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    copies = sorted((BUILD / "html/colab").glob("*.ipynb"))
    if not copies:
        sys.exit("There are no copies: run `make html`.")
    for path in copies:
        nbformat.write(student(nbformat.read(path, as_version=4)), out / path.name)
    print(f"{len(copies)} chapters in {out.relative_to(BUILD.parent)}")


if __name__ == "__main__":
    main()
