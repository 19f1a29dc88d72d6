"""How systems behave: mixing, settings, convergence, adaptation and overfitting."""

from __future__ import annotations

from typing import Any

from mmkd_core.experiment import plan
from mmkd_core.measures import Measurement
from mmkd_core.recipes.cases import (
    NAMES,
    REAL,
    SEEDS,
    Case,
    Names,
    Row,
    Seeds,
    budget_of,
    cases_of,
    chosen_datasets,
    chosen_seeds,
    measured_of,
    planned,
)


def figure3(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """How far modalities mix, before and after the teacher's layers; points of pictures for the first seed alone."""
    own, spent = chosen_seeds(seeds, budget, SEEDS), budget_of(budget)
    cases = []
    for dataset in chosen_datasets(datasets, budget, ("tiktok",)):
        for seed in own:
            taught = planned(dataset, seed, {}, spent).as_dict()
            unprompted = planned(dataset, seed, {"model": "teacher", "hparams": {"prompt_rate": 0.0}}, spent).as_dict()
            arguments = {"taught": taught, "unprompted": unprompted, "coordinates": seed == own[0]}
            cases.append(Case({"dataset": dataset, "seed": seed}, Measurement("mixing", arguments)))
    return cases


# Sec. 4.5; the weights' grid is the paper's, the prompt's is not given. Where: whose setting it is.
DIMS, DEPTHS = (16, 32, 64, 128), (1, 2, 3, 4)
WEIGHTS = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)
GRIDS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "teacher.dim": ("d of the teacher", DIMS),
    "dim": ("d of the student", DIMS),
    "teacher.layers": ("L of the teacher", DEPTHS),
    "layers": ("L of the student", DEPTHS),
    "teacher.dropout": ("dropout of the teacher's reduction", (0.0, 0.2, 0.4, 0.6, 0.8)),
    "teacher.prompt_rate": ("prompt rate λ₁", WEIGHTS),
    "pair": ("pair-wise weight λ₂", WEIGHTS),
    "list": ("list-wise weight λ₃", WEIGHTS),
}


def figure4(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """One setting at a time over the paper's grids.

    Of a setting of the teacher both curves are there, the teacher's and the student's.
    """
    cases, own = [], chosen_seeds(seeds, budget, SEEDS)
    for dataset in chosen_datasets(datasets, budget, ("lfm2k",)):
        for setting, (_, grid) in GRIDS.items():
            name = setting.removeprefix("teacher.")
            taught = name != setting
            roles = ("teacher", "mmkd") if taught else ("mmkd",)
            in_force = plan("teacher" if taught else "mmkd", dataset).hparams[name]
            in_force = 1 if in_force is None else in_force  # the student's layers
            for value in sorted({*grid, in_force}):
                changed = {} if value == in_force else {name: value}
                for role in roles:
                    labels = {"setting": setting, "value": value, "in force": value == in_force, "system": NAMES[role]}
                    inner = role == "mmkd" and taught
                    arguments = {"model": role, "teacher" if inner else "hparams": changed}
                    cases += cases_of([(labels, arguments)], [dataset], own, budget)
    return cases


def figure5(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Both stages' histories: the records of the teacher and of MMKD."""
    rows: list[Row] = [({"system": NAMES[model]}, {"model": model}) for model in ("teacher", "mmkd")]
    return cases_of(rows, chosen_datasets(datasets, budget, REAL), chosen_seeds(seeds, budget, SEEDS), budget)


ADAPTED = ("lattice", "bm3", "mmkd", "lightgcn")  # those of the paper's Table 7, and the plain rival
TUNING = 20  # epochs of fine-tuning at most


def table7(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Adaptation to new interactions: a tenth of those of training comes later."""
    rows: list[Row] = [({"system": NAMES[model]}, {"model": model}) for model in ADAPTED]
    cases = cases_of(
        rows, chosen_datasets(datasets, budget, ("tiktok", "lfm2k")), chosen_seeds(seeds, budget, SEEDS), budget
    )
    epochs = min(TUNING, budget_of(budget).fit.get("epochs", TUNING))
    return [Case(labels, measured_of("incremental", job, epochs=epochs)) for labels, job in cases]


# Long enough for most systems here to pass their best epoch. Of TikTok, whose epochs cost thrice as much, two seeds.
LONG = {"epochs": 200, "evaluate_every": 5}
LONG_SEEDS = {"tiktok": SEEDS[:2]}
BODY = "teacher, no content"
OVERFITTING: dict[str, dict[str, Any]] = {
    "LightGCN": {"model": "lightgcn"},
    BODY: {"model": "lightgcn"},  # the rest of it is LightGCN, with the settings of the teacher
    "VBPR": {"model": "vbpr"},
    "teacher": {"model": "teacher"},
    "teacher, no dropout": {"model": "teacher", "hparams": {"dropout": 0.0}},
    "teacher, w/o-Prompt": {"model": "teacher", "hparams": {"prompt_rate": 0.0}},
    "student": {},
    "student, random start": {"hparams": {"init": "random"}},
}


def overfitting(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Does what reduces features overfit, and what it takes against it (I1)? Long trainings that nothing stops."""
    cases = []
    for dataset in chosen_datasets(datasets, budget, ("tiktok", "lfm2k")):
        other = plan("teacher", dataset)
        body = {"hparams": {name: other.hparams[name] for name in ("dim", "layers", "l2")}}
        body["fit"] = {"lr": other.fit.lr, "batch_size": other.fit.batch_size}
        for system, row in OVERFITTING.items():
            arguments = row | (body if system == BODY else {})
            arguments["fit"] = arguments.get("fit", {}) | LONG | dict(budget_of(budget).fit)
            own = chosen_seeds(seeds, budget, LONG_SEEDS.get(dataset, SEEDS))
            cases += cases_of([({"system": system}, arguments)], [dataset], own, budget)
    return [Case(labels, measured_of("overfitting", job)) for labels, job in cases]
