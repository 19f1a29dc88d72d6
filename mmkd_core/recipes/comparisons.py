"""Which system is better: Tables 4 and 5, whether content helps, and controlled trouble on the demo."""

from __future__ import annotations

from typing import Any

from mmkd_core.models import MODELS
from mmkd_core.recipes.cases import (
    NAMES,
    REAL,
    SEEDS,
    Case,
    Names,
    Row,
    Seeds,
    cases_of,
    chosen_datasets,
    chosen_seeds,
)

START = "MMKD's student, untrained"
MULTIMODAL = ("vbpr", "mmgcn", "grcn", "lattice", "clcrec", "slmrec", "bm3", "teacher", "mmkd")
CHANCE_FREE = ("popularity", "itemknn")  # one seed says all


# MMKD and, by mean validation Recall@20 over seeds 0 to 2, the two best of the others but its own teacher.
FIVE_SEEDS = {
    "tiktok": ("mmkd", "lightgcn", "clcrec"),
    "lfm2k": ("mmkd", "grcn", "lattice"),
    "amazon-beauty": ("mmkd", "clcrec", "slmrec"),
}


def table4(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """All systems: five seeds for MMKD and the two best of the others on validation, three for the rest."""
    rows: list[Row] = [({"system": NAMES[model]}, {"model": model}) for model in MODELS]
    rows.append(({"system": START}, {"fit": {"epochs": 0}}))
    cases = []
    for dataset in chosen_datasets(datasets, budget, REAL):
        for labels, arguments in rows:
            model = arguments.get("model", "")
            known = SEEDS[:1] if model in CHANCE_FREE else SEEDS
            own = range(5) if model in FIVE_SEEDS.get(dataset, ()) else known
            cases += cases_of([(labels, arguments)], [dataset], chosen_seeds(seeds, budget, own), budget)
    return cases


ABLATIONS: dict[str, dict[str, Any]] = {
    "MMKD": {},
    "w/o-Prompt": {"teacher": {"prompt_rate": 0.0}},  # retrains its own teacher
    "w/o-PairKD": {"hparams": {"pair": 0.0}},
    "w/o-ListKD": {"hparams": {"list": 0.0}},
    "w/o-disentangle": {"hparams": {"alpha": 1.0, "beta": 1.0}},  # the same lambda_3
    "w/o-EmbKD": {"hparams": {"embed": 0.0}},
    "w/o any KD": {"hparams": {"pair": 0.0, "list": 0.0, "embed": 0.0}},
    "MSE in place of SCE": {"model": "mmkd+mse"},
    "prompt removed in stage 2": {"hparams": {"prompt_mode": "off"}},
    "prompt frozen in stage 2": {"hparams": {"prompt_mode": "frozen"}},
    "Xavier prompt": {"teacher": {"model": "teacher+xavier"}},
    "random start": {"hparams": {"init": "random"}},
    "student, untrained": {"fit": {"epochs": 0}},
    "teacher, as it is": {"model": "teacher"},
}
RELEASED: dict[str, dict[str, Any]] = {
    "released: no gradient to the prompt": ABLATIONS["prompt frozen in stage 2"],
    "released: mis-ordered graph": {"model": "mmkd+released-graph"},
    "released: pair loss": {"model": "mmkd+released-pair"},
    "released: list loss": {"model": "mmkd+released-list"},
    "released: shared tables": {"model": "mmkd+released-tables"},
    "released: selected on test": {"options": {"swap": True}},
}


def table5(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """The paper's ablations, those that it leaves out, and each deviation of the released code on its own."""
    cases = []
    for dataset in chosen_datasets(datasets, budget, ("tiktok", "lfm2k")):
        rows = ABLATIONS | (RELEASED if dataset != "lfm2k" else {})
        cases += cases_of(
            [({"variant": name}, arguments) for name, arguments in rows.items()],
            [dataset], chosen_seeds(seeds, budget, SEEDS), budget,
        )  # fmt: skip
    return cases


def content(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Does content help at all? Every multi-modal model with content permuted across items, as noise, and removed.

    Settings stay those in force. Three seeds of real and permuted content, one of the others.
    """
    cases = []
    for kind in ("real", "permuted", "noise", "removed"):
        own = chosen_seeds(seeds, budget, SEEDS if kind in ("real", "permuted") else SEEDS[:1])
        options = {} if kind == "real" else {"options": {"content": kind}}
        rows: list[Row] = [
            ({"system": NAMES[model], "content": kind}, {"model": model} | options) for model in MULTIMODAL
        ]
        cases += cases_of(rows, chosen_datasets(datasets, budget, REAL), own, budget)
    return cases


NOISE, REDUNDANCY = (0.0, 0.2, 0.4, 0.6, 0.8), (0, 32, 128, 512)


def demo(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Do the prompt and the re-weighting earn their place where content misleads or is diluted (both I2)?"""
    rows = {
        "LightGCN": {"model": "lightgcn"},
        NAMES["teacher"]: {"model": "teacher"},
        **{name: ABLATIONS[name] for name in ("MMKD", "w/o-Prompt", "w/o-ListKD", "w/o-disentangle", "w/o any KD")},
    }
    grid = [("noise", value) for value in NOISE] + [("redundancy", value) for value in REDUNDANCY]
    cases: list[Row] = []
    for name, value in grid:
        options = {"options": {name: value}} if value else {}
        cases += [
            ({"trouble": name, "value": value, "system": system}, row | ({} if system == "LightGCN" else options))
            for system, row in rows.items()
        ]
    return cases_of(cases, chosen_datasets(datasets, budget, ("demo",)), chosen_seeds(seeds, budget, SEEDS), budget)
