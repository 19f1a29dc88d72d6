"""Tables for people: from the records of a recipe to frames, by the name that the command line knows a table by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmkd_core import recipes
from mmkd_core.recipes import Case
from mmkd_core.tables import adaptation, complexity, operations, quality
from mmkd_core.tables.text import Frames, markdown, numbered

__all__ = ["TABLES", "Table", "adaptation", "complexity", "markdown", "numbered", "operations", "quality"]

HOW_TO_READ = (
    "Test metrics: mean ± standard deviation over seeds. ¹ best, ² second best. †: at least one run, or its teacher's, "
    "ended at its cap of epochs while it could still improve. 'not run': planned, no record yet."
)
HOW_TESTED = (
    "Differences are over the seeds that both systems have, paired over the test users: 95 % interval, and p of the "
    "t-test. '0.041 of 14': after Holm's correction over the 14 comparisons made together. 'capped': a run of either "
    "side is one of those marked †, so that nothing is decided."
)


@dataclass(frozen=True)
class Table:
    """A table: the cases it is made of, the frames (by title) that their records give, and what a reader must know."""

    recipe: Callable[..., list[Case]]
    frames: Callable[[Sequence[Case], Path], Frames]
    notes: tuple[str, ...] = ()


TABLES: dict[str, Table] = {
    "1": Table(recipes.table1, operations.table1, (operations.HOW_COUNTED, operations.HOW_FITTED)),
    "3": Table(recipes.table3, quality.table3, ("The paper's data cannot be had.",)),
    "4": Table(recipes.table4, quality.table4, (HOW_TO_READ, HOW_TESTED, quality.DIFFERENT_DATA)),
    "5": Table(recipes.table5, quality.table5, (HOW_TO_READ, HOW_TESTED, quality.DIFFERENT_DATA)),
    "6": Table(recipes.table6, complexity.table6, (complexity.HOW_MEASURED, complexity.HOW_COUNTED)),
    "7": Table(
        recipes.table7, adaptation.table7, (adaptation.HOW_ADAPTED, adaptation.HOW_TIMED, quality.DIFFERENT_DATA)
    ),
    "8": Table(recipes.table8, complexity.table8, (complexity.WHAT_A_GCN_NEEDS,)),
    "content": Table(recipes.content, quality.content, (HOW_TO_READ, HOW_TESTED, "Settings as with real content.")),
    "demo": Table(recipes.demo, quality.demo, (HOW_TO_READ, "The content of the demo was made to matter.")),
    "overfitting": Table(recipes.overfitting, adaptation.overfitting, (adaptation.HOW_MEASURED,)),
}
