"""What recipes are made of: cases, budgets, and how a row of a table becomes an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mmkd_core.datasets import CATALOGUE
from mmkd_core.datasets.shapes import SHAPES
from mmkd_core.experiment import Experiment, plan
from mmkd_core.measures import Measurement
from mmkd_core.models import base_of

Job = Experiment | Measurement


class Case(NamedTuple):
    """A cell: `labels` say where it stands, `job` what fills it."""

    labels: dict[str, Any]
    job: Job


@dataclass(frozen=True)
class Budget:
    """What a budget changes: the data sets and seeds, where not None, and settings of every training."""

    datasets: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    fit: Mapping[str, Any] = field(default_factory=dict)


BUDGETS = {
    "smoke": Budget(("demo",), (0,), {"epochs": 1, "evaluate_every": 1}),
    "quick": Budget(None, (0,), {"epochs": 20}),
    "paper": Budget(),
}
NAMES = {
    "popularity": "Popularity", "itemknn": "ItemKNN", "bpr-mf": "BPR-MF", "ngcf": "NGCF", "lightgcn": "LightGCN",
    "vbpr": "VBPR", "mmgcn": "MMGCN", "grcn": "GRCN", "lattice": "LATTICE", "clcrec": "CLCRec", "slmrec": "SLMRec",
    "bm3": "BM3", "teacher": "MMKD's teacher", "mmkd": "MMKD",
}  # fmt: skip
REAL = ("tiktok", "lfm2k", "amazon-beauty")
SEEDS = (0, 1, 2)
Names = Sequence[str] | str | None
Seeds = Sequence[int] | int | None
Row = tuple[dict[str, Any], dict[str, Any]]


def cases_of(rows: Sequence[Row], datasets: Sequence[str], seeds: Sequence[int], budget: str) -> list[Case]:
    """The cases of rows, given as labels and arguments of `plan` ("mmkd" unless it names a model)."""
    spent = budget_of(budget)
    return [
        Case({"dataset": dataset, **labels, "seed": seed}, planned(dataset, seed, arguments, spent))
        for dataset in datasets
        for labels, arguments in rows
        for seed in seeds
    ]


def planned(dataset: str, seed: int, arguments: Mapping[str, Any], spent: Budget) -> Experiment:
    """The experiment of a row: `plan` with the budget's settings of every training, the teacher's too."""
    arguments = {"model": "mmkd", **arguments}
    model = arguments.pop("model")
    fit = {**spent.fit, **arguments.pop("fit", {})}
    if base_of(model) == "mmkd":
        changed = dict(arguments.pop("teacher", {}))  # settings, and the "model" of a variant
        inner = {"model": changed.pop("model", "teacher"), "hparams": changed, "options": arguments.get("options")}
        arguments["teacher"] = planned(dataset, seed, inner, spent)
    return plan(model, dataset, seed=seed, fit=fit, **arguments)


def measured_of(kind: str, system: Job, **arguments: Any) -> Measurement:
    """A measurement of a system, which it is given as a dict."""
    assert isinstance(system, Experiment)
    return Measurement(kind, {"system": system.as_dict(), **arguments})


def chosen_datasets(given: Names, budget: str, own: Sequence[str]) -> Sequence[str]:
    """The data sets given, else those of the budget, else the recipe's own; a text is the name of one.

    Raises `ValueError` for what is no data set's name, no shape's and no folder.
    """
    names = (given,) if isinstance(given, str) else given
    for name in names or ():
        if name not in (*CATALOGUE, *SHAPES) and not Path(name).is_dir():
            raise ValueError(f"{name!r}: no such data set or folder; one of {list(CATALOGUE)}")
    return names or budget_of(budget).datasets or own


def chosen_seeds(given: Seeds, budget: str, own: Sequence[int]) -> Sequence[int]:
    """The seeds given, else those of the budget, else the recipe's own; a number is one seed.

    Raises `ValueError` for what is no whole number.
    """
    seeds = [given] if isinstance(given, int) else list(given or ())
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"seeds={given!r}; expected whole numbers, such as [0, 1, 2]")
    return seeds or budget_of(budget).seeds or own


def budget_of(name: str) -> Budget:
    """The budget of a name; raises `ValueError` for an unknown one."""
    if name not in BUDGETS:
        raise ValueError(f"unknown budget {name!r}; one of {list(BUDGETS)}")
    return BUDGETS[name]
