"""Every table and figure as a function that says which experiments and measurements it is made of.

    cases = table5(datasets=("tiktok",), seeds=(0, 1, 2), budget="paper")

A case is a cell of a table: its labels, and the job whose record fills it. Nothing runs here. `budget` is one of
`BUDGETS`: "smoke" shows in seconds that all parts fit together, "quick" gives an idea in minutes of a CPU, "paper" is
what the committed records were made with. `datasets` and `seeds` are the recipe's own unless given.
"""

from __future__ import annotations

from collections.abc import Callable

from mmkd_core.recipes.behaviour import BODY, GRIDS, OVERFITTING, figure3, figure4, figure5, overfitting, table7
from mmkd_core.recipes.cases import BUDGETS, NAMES, REAL, SEEDS, Budget, Case, Job
from mmkd_core.recipes.comparisons import (
    ABLATIONS,
    CHANCE_FREE,
    MULTIMODAL,
    RELEASED,
    START,
    content,
    demo,
    table4,
    table5,
)
from mmkd_core.recipes.costs import table1, table3, table6, table8

__all__ = [
    "ABLATIONS", "BODY", "BUDGETS", "CHANCE_FREE", "FIGURES", "GRIDS", "MULTIMODAL", "NAMES", "OVERFITTING", "REAL",
    "RELEASED", "SEEDS", "START", "TABLES", "Budget", "Case", "Job", "content", "demo", "figure3", "figure4", "figure5",
    "overfitting", "table1", "table3", "table4", "table5", "table6", "table7", "table8",
]  # fmt: skip

# By the name that the command line knows them by.
TABLES: dict[str, Callable[..., list[Case]]] = {
    "1": table1, "3": table3, "4": table4, "5": table5, "6": table6, "7": table7, "8": table8,
    "content": content, "demo": demo, "overfitting": overfitting,
}  # fmt: skip
FIGURES: dict[str, Callable[..., list[Case]]] = {"3": figure3, "4": figure4, "5": figure5}
