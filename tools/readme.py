"""Writes anew from the records what the README and the landing page say of them.

That is whatever stands between a line `<!-- NAME -->` and the next `<!-- end -->`, and the pictures of the argument.
"""

from __future__ import annotations

import re
from pathlib import Path

import argument
import pandas as pd

from mmkd_core.evidence.ledger import judged, summary
from mmkd_core.evidence.questions import comparison, leading
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import markdown
from mmkd_core.files import write_whole

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "book" / "records"
LEADERS = ("LightGCN", "GRCN", "LATTICE", "CLCRec", "SLMRec", "MMKD")  # of the systems of Table 4
PAGES = (ROOT / "README.md", ROOT / "book" / "index.md")
PICTURES = ROOT / "book" / "_static"


def parts(store: Store, ledger: pd.DataFrame) -> dict[str, str]:
    """What is made from the records and their verdicts, by name, as Markdown."""
    rows = store.rows(comparison.cases)
    led = store.rows(leading.cases)
    beside = [*leading.SAME_LOSS, leading.BOTH, leading.STUDENT]
    return {
        "tiktok": markdown(comparison.systems(rows, "tiktok")),
        "overview": markdown(comparison.overview(rows)),
        "leading": markdown(comparison.overview(led[led["system"].isin([*LEADERS, *beside])])),
        "ledger": f"**{summary(ledger)}.**",
    }


def rewritten(text: str, made: dict[str, str]) -> str:
    """`text` with each named part in place of the one that it has."""
    for name, part in made.items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", rf"\g<1>\n{part}\n\g<2>", text, flags=re.DOTALL)
    return text


def files(made: dict[str, str], ledger: pd.DataFrame) -> dict[Path, str]:
    """What each file has to say that is written anew: the pages with their parts, and the pictures."""
    pictures = {PICTURES / name: picture for name, picture in argument.pictures(ledger).items()}
    return {page: rewritten(page.read_text("utf-8"), made) for page in PAGES} | pictures


def main() -> None:
    store = Store(RECORDS)
    ledger = judged(store)
    for file, text in files(parts(store, ledger), ledger).items():
        write_whole(file, lambda temporary, text=text: temporary.write_text(text, "utf-8"))


if __name__ == "__main__":
    main()
