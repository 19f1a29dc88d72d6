"""Writes the README's tables anew from the records: whatever stands between `<!-- NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from pathlib import Path

from mmkd_core import recipes
from mmkd_core.experiment import write_whole
from mmkd_core.results import collect
from mmkd_core.tables import markdown, quality

ROOT = Path(__file__).parents[1]


def tables() -> dict[str, str]:
    """The README's tables by name, as Markdown."""
    rows = collect(recipes.table4(), ROOT / "book" / "records")
    return {"tiktok": markdown(quality.systems(rows, "tiktok")), "overview": markdown(quality.overview(rows))}


def rewritten(text: str) -> str:
    """`text` with each named table in place of the one that it has."""
    for name, table in tables().items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", rf"\g<1>\n{table}\n\g<2>", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    write_whole(readme, lambda temporary: temporary.write_text(rewritten(readme.read_text("utf-8")), "utf-8"))
