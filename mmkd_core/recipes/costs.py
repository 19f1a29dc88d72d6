"""What systems cost and what data are: Tables 1, 3, 6 and 8. Seeds play no part in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmkd_core.datasets.shapes import shape_of
from mmkd_core.measures import Measurement
from mmkd_core.measures.operations import SIZES
from mmkd_core.recipes.cases import NAMES, REAL, Case, Names, Seeds, chosen_datasets

# Of Table 1; of Table 6, with how they differ from a model's defaults.
COUNTED = ("mmgcn", "grcn", "lattice", "slmrec", "bm3", "teacher", "mmkd")
FROZEN = "MMKD, prompt frozen"
WEIGHED: dict[str, dict[str, Any]] = {
    **{NAMES[model]: {"model": model} for model in ("teacher", "lattice", "bm3", "mmkd")},
    FROZEN: {"model": "mmkd", "settings": {"prompt_mode": "frozen"}},
}
GCN = "MMKD, GCN student"


# What a measurement of a small shape, or in a hurry, does less of.
DOUBLED = {"smoke": {"doublings": (1, 2, 4)}}
STEPS = {"smoke": {"batch": 64, "steps": 2}, "quick": {"steps": 2}}


def table1(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Operations of each model as one size after the other grows from a small shape. Seeds play no part."""
    cases = []
    for dataset in _shapes(datasets, budget, ("demo",)):
        for model in COUNTED:
            for size in SIZES:
                labels = {"dataset": dataset, "model": model, "size": size}
                arguments = {"model": model, "size": size, "shape": dataset, **DOUBLED.get(budget, {})}
                cases.append(Case(labels, Measurement("operations", arguments)))
    return cases


def table6(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Seconds, memory and numbers at the shapes of the paper's data, which are no data sets here."""
    return _weighed(WEIGHED, _shapes(datasets, budget, ("netflix", "electronics")), budget)


def table8(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """The numbers of the teacher and of both students; the rest of the table is arithmetic."""
    rows = {name: WEIGHED[name] for name in (NAMES["teacher"], NAMES["mmkd"])}
    rows[GCN] = {"model": "mmkd", "settings": {"student": "gcn"}}
    return _weighed(rows, _shapes(datasets, budget, ("netflix",)), budget)


def _weighed(rows: Mapping[str, Mapping[str, Any]], shapes: Sequence[str], budget: str) -> list[Case]:
    less = STEPS.get(budget, {})
    return [
        Case({"dataset": shape, "system": system}, Measurement("footprint", {"shape": shape, **row, **less}))
        for shape in shapes
        for system, row in rows.items()
    ]


def _shapes(given: Names, budget: str, own: Sequence[str]) -> Sequence[str]:
    names = chosen_datasets(given, budget, own)
    for name in names:
        shape_of(name)
    return names


def table3(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Statistics of each data set. Seeds play no part."""
    return [
        Case({"dataset": dataset}, Measurement("statistics", {"dataset": dataset}))
        for dataset in chosen_datasets(datasets, budget, (*REAL, "ml-100k", "demo"))
    ]
