"""Draws anew, in CONTRIBUTING, which part of the library imports which: a Mermaid picture made from the code.

An arrow that others make up for is left out. `python tools/imports.py` writes it; a test holds it to the code.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mmkd_core.files import write_whole

ROOT = Path(__file__).parents[1]
PACKAGE, PAGE = ROOT / "mmkd_core", ROOT / "CONTRIBUTING.md"
Arrows = dict[str, set[str]]  # what each part imports


def part_of(module: str) -> str | None:
    """The part of the house that a module is, by its dotted name inside the package; None for the package itself."""
    rooms = module.split(".")
    return None if rooms == [""] else ".".join(rooms[: 2 if rooms[0] == "evidence" and len(rooms) > 1 else 1])


def arrows() -> Arrows:
    """The parts that each part imports, wherever in its files."""
    names = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    names = {name.removesuffix(".__init__"): path for name, path in names.items() if name != "__init__"}
    imported: Arrows = {}
    for name, path in names.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
                start = node.module.split(".")[1:] if node.module else []
                for alias in node.names:
                    whole = ".".join([*start, alias.name])
                    target = part_of(whole if whole in names else ".".join(start))
                    imported.setdefault(part_of(name) or "", set()).add(target or "")
    return {part: others - {part, "", "evidence"} for part, others in imported.items() if part not in ("", "evidence")}


def reached(part: str, imported: Arrows) -> set[str]:
    """All that a part imports, by way of others, too."""
    direct = imported.get(part, set())
    return direct.union(*(reached(other, imported) for other in direct)) if direct else set()


def picture() -> str:
    """The Mermaid picture: the wing of evidence as a part with its own, the rest above it."""
    imported = arrows()
    needed = {
        (part, other)
        for part, others in imported.items()
        for other in others
        if not any(other in reached(via, imported) for via in others - {other})
    }
    inside = sorted({part for pair in needed for part in pair if part.startswith("evidence.")})
    lines = ["flowchart BT", " subgraph evidence", *(f"  {part}[{part.partition('.')[2]}]" for part in inside), " end"]
    return "\n".join(lines + [f" {part} --> {other}" for part, other in sorted(needed)])


def drawn(text: str) -> str:
    """`text` with the picture in place of the one that it has."""
    return re.sub(
        r"(<!-- imports -->\n).*?(\n<!-- end -->)", rf"\g<1>```mermaid\n{picture()}\n```\g<2>", text, flags=re.DOTALL
    )


def main() -> None:
    text = drawn(PAGE.read_text("utf-8"))
    write_whole(PAGE, lambda temporary: temporary.write_text(text, "utf-8"))


if __name__ == "__main__":
    main()
