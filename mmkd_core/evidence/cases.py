"""What tables and figures are made of: cases, budgets, and how a row of a table becomes an experiment."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from mmkd_core import datasets as data_sets
from mmkd_core.datasets import DATASETS
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.paper import told
from mmkd_core.evidence.shapes import SHAPES, shape_of
from mmkd_core.experiment import Experiment, plan
from mmkd_core.models import teachers_of

Job = Experiment | Measurement


class Case(NamedTuple):
    """A cell of a table: `labels` say where it stands, `job` what fills it."""

    labels: dict[str, Any]
    job: Job


@dataclass(frozen=True)
class Budget:
    """What a budget changes: the data sets and seeds, where not None, and settings of every training."""

    datasets: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    fit: Mapping[str, Any] = field(default_factory=dict)


# "smoke" shows in seconds that all parts fit together, "quick" gives an idea in minutes of a CPU, "paper" is what the
# committed records were made with.
BUDGETS = {
    "smoke": Budget(("demo",), (0,), {"epochs": 1, "evaluate_every": 1}),
    "quick": Budget(None, (0,), {"epochs": 20}),
    "paper": Budget(),
}
REAL = ("tiktok", "lfm2k", "amazon-beauty")
SEEDS = (0, 1, 2)
EARLIER: dict[str, dict[str, Any]] = told("earlier")
Names = Sequence[str] | str | None
Seeds = Sequence[int] | int | None


def earlier(dataset: str, model: str) -> Mapping[str, Any]:
    """What a newer study has replaced: `hparams`, `fit` and the `trials` that chose them; empty where it is nothing."""
    return EARLIER.get(dataset, {}).get(model, {})


@dataclass(frozen=True)
class Variant:
    """What a row of a table trains: a model, and how it and its teachers differ from the settings in force."""

    model: str = "mmkd"
    hparams: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    teacher: "Variant | None" = None
    second: "Variant | None" = None


Variants = Iterable[tuple[dict[str, Any], Variant]]  # labels, and what is trained


@dataclass(frozen=True)
class Asked:
    """The data sets, seeds and budget that somebody asked for: a text is one data set, a number one seed, None any.

    `shapes`: the question is about shapes, whose names stand in place of those of data sets. `earlier`: it rests on the
    settings of `earlier.toml`, where there are any, in place of those in force. Raises `ValueError` for an unknown
    budget, for what is no data set's name and no folder, or no shape's, and for a seed that is no whole number.
    """

    datasets: Names = None
    seeds: Seeds = None
    budget: str = "paper"
    shapes: bool = False
    earlier: bool = False

    def __post_init__(self) -> None:
        if self.budget not in BUDGETS:
            raise ValueError(f"unknown budget {self.budget!r}; one of {list(BUDGETS)}")
        names = (self.datasets,) if isinstance(self.datasets, str) else tuple(self.datasets or ())
        for name in names:
            if self.shapes:
                shape_of(name)
            elif name not in DATASETS and not Path(name).is_dir():
                raise ValueError(f"{name!r}: no such data set or folder; one of {list(DATASETS)}")
        seeds = (self.seeds,) if isinstance(self.seeds, int) else tuple(self.seeds or ())
        if any(isinstance(seed, bool) or not isinstance(seed, int) for seed in seeds):
            raise ValueError(f"seeds={self.seeds!r}; expected whole numbers, such as [0, 1, 2]")
        object.__setattr__(self, "datasets", names)
        object.__setattr__(self, "seeds", seeds)

    def datasets_or(self, usual: Sequence[str]) -> Sequence[str]:
        """The data sets asked for, else those of the budget, else the question's usual ones."""
        return self.datasets or BUDGETS[self.budget].datasets or usual  # pyright: ignore[reportReturnType]

    def seeds_or(self, usual: Sequence[int]) -> Sequence[int]:
        """The seeds asked for, else those of the budget, else the question's usual ones."""
        return self.seeds or BUDGETS[self.budget].seeds or usual  # pyright: ignore[reportReturnType]

    def cases(self, rows: Variants, datasets: Iterable[str], seeds: Sequence[int]) -> list[Case]:
        """A case for each data set, row and seed, these three changing in this order."""
        rows = list(rows)
        return [
            Case({"dataset": dataset, **labels, "seed": seed}, self.planned(dataset, seed, variant))
            for dataset in datasets
            for labels, variant in rows
            for seed in seeds
        ]

    def planned(self, dataset: str, seed: int, variant: Variant) -> Experiment:
        """The experiment of a row: every training in it, those of its teachers too, has the budget's settings."""
        usual = teachers_of(variant.model).items()
        own = {name: replace(getattr(variant, name) or Variant(kind), options=variant.options) for name, kind in usual}
        teachers: dict[str, Any] = {name: self.planned(dataset, seed, teacher) for name, teacher in own.items()}
        held = earlier(dataset, variant.model) if self.earlier else {}
        given: dict[str, Any] = {
            "hparams": {**held.get("hparams", {}), **variant.hparams},
            "fit": {**held.get("fit", {}), **BUDGETS[self.budget].fit, **variant.fit},
        }
        return plan(variant.model, dataset, seed=seed, options=variant.options, **given, **teachers)


Cases = Sequence[Case] | Callable[[], Sequence[Case]]  # a question's cases, or the function that makes them


def title_of_place(name: str) -> str:
    """What prose calls the place of a case: a data set, or the paper's data whose shape alone is known."""
    return name.capitalize() if name in SHAPES and name not in DATASETS else data_sets.title_of(name)
