"""Every table and figure as a function that says which experiments and measurements it is made of.

    cases = table5(datasets=("tiktok",), seeds=(0, 1, 2), budget="paper")

A case is a cell of a table: its labels, and the job whose record fills it. Nothing runs here. `budget` is one of
`BUDGETS`: "smoke" shows in seconds that all parts fit together, "quick" gives an idea in minutes of a CPU, "paper" is
what the committed records were made with. `datasets` and `seeds` are the recipe's own unless given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmkd_core.datasets.shapes import shape_of
from mmkd_core.experiment import Experiment, plan
from mmkd_core.measures import Measurement
from mmkd_core.measures.operations import SIZES
from mmkd_core.models import MODELS, base_of

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
START = "MMKD's student, untrained"
MULTIMODAL = ("vbpr", "mmgcn", "grcn", "lattice", "clcrec", "slmrec", "bm3", "teacher", "mmkd")
REAL = ("tiktok", "lfm2k", "amazon-beauty")
SEEDS = (0, 1, 2)
CHANCE_FREE = ("popularity", "itemknn")  # one seed says all
# MMKD and, by mean validation Recall@20 over seeds 0 to 2, the two best of the others but its own teacher.
FIVE_SEEDS = {
    "tiktok": ("mmkd", "lightgcn", "clcrec"),
    "lfm2k": ("mmkd", "grcn", "lattice"),
    "amazon-beauty": ("mmkd", "clcrec", "slmrec"),
}


Names = Sequence[str] | None
Seeds = Sequence[int] | None


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
    names = _datasets(given, budget, own)
    for name in names:
        shape_of(name)
    return names


def table3(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Statistics of each data set. Seeds play no part."""
    return [
        Case({"dataset": dataset}, Measurement("statistics", {"dataset": dataset}))
        for dataset in _datasets(datasets, budget, (*REAL, "ml-100k", "demo"))
    ]


def table4(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """All systems: five seeds for MMKD and the two best of the others on validation, three for the rest."""
    rows: list[Row] = [({"system": NAMES[model]}, {"model": model}) for model in MODELS]
    rows.append(({"system": START}, {"fit": {"epochs": 0}}))
    cases = []
    for dataset in _datasets(datasets, budget, REAL):
        for labels, arguments in rows:
            model = arguments.get("model", "")
            known = SEEDS[:1] if model in CHANCE_FREE else SEEDS
            own = range(5) if model in FIVE_SEEDS.get(dataset, ()) else known
            cases += _cases([(labels, arguments)], [dataset], _seeds(seeds, budget, own), budget)
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
    for dataset in _datasets(datasets, budget, ("tiktok", "lfm2k")):
        rows = ABLATIONS | (RELEASED if dataset != "lfm2k" else {})
        cases += _cases(
            [({"variant": name}, arguments) for name, arguments in rows.items()],
            [dataset], _seeds(seeds, budget, SEEDS), budget,
        )  # fmt: skip
    return cases


def figure3(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """How far modalities mix, before and after the teacher's layers; points of pictures for the first seed alone."""
    own, spent = _seeds(seeds, budget, SEEDS), _budget(budget)
    cases = []
    for dataset in _datasets(datasets, budget, ("tiktok",)):
        for seed in own:
            taught = _planned(dataset, seed, {}, spent).as_dict()
            unprompted = _planned(dataset, seed, {"model": "teacher", "hparams": {"prompt_rate": 0.0}}, spent).as_dict()
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
    "teacher.prompt_rate": ("prompt rate λ1", WEIGHTS),
    "pair": ("pair-wise weight λ2", WEIGHTS),
    "list": ("list-wise weight λ3", WEIGHTS),
}


def figure4(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """One setting at a time over the paper's grids: three seeds at the ends and at the setting in force, one inside.

    Of a setting of the teacher both curves are there, the teacher's and the student's.
    """
    cases = []
    for dataset in _datasets(datasets, budget, ("lfm2k",)):
        for setting, (_, grid) in GRIDS.items():
            name = setting.removeprefix("teacher.")
            taught = name != setting
            roles = ("teacher", "mmkd") if taught else ("mmkd",)
            in_force = plan("teacher" if taught else "mmkd", dataset).hparams[name]
            in_force = 1 if in_force is None else in_force  # the student's layers
            for value in sorted({*grid, in_force}):
                few = value in (grid[0], grid[-1], in_force)
                own = _seeds(seeds, budget, SEEDS if few else SEEDS[:1])
                changed = {} if value == in_force else {name: value}
                for role in roles:
                    labels = {"setting": setting, "value": value, "in force": value == in_force, "system": NAMES[role]}
                    inner = role == "mmkd" and taught
                    arguments = {"model": role, "teacher" if inner else "hparams": changed}
                    cases += _cases([(labels, arguments)], [dataset], own, budget)
    return cases


def figure5(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Both stages' histories: the records of the teacher and of MMKD."""
    rows: list[Row] = [({"system": NAMES[model]}, {"model": model}) for model in ("teacher", "mmkd")]
    return _cases(rows, _datasets(datasets, budget, REAL), _seeds(seeds, budget, SEEDS), budget)


def content(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Does content help at all? Every multi-modal model with content permuted across items, as noise, and removed.

    Settings stay those in force. Three seeds of real and permuted content, one of the others.
    """
    cases = []
    for kind in ("real", "permuted", "noise", "removed"):
        own = _seeds(seeds, budget, SEEDS if kind in ("real", "permuted") else SEEDS[:1])
        options = {} if kind == "real" else {"options": {"content": kind}}
        rows: list[Row] = [
            ({"system": NAMES[model], "content": kind}, {"model": model} | options) for model in MULTIMODAL
        ]
        cases += _cases(rows, _datasets(datasets, budget, REAL), own, budget)
    return cases


ADAPTED = ("lattice", "bm3", "mmkd", "lightgcn")  # those of the paper's Table 7, and the plain rival
TUNING = 20  # epochs of fine-tuning at most


def table7(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Adaptation to new interactions: a tenth of those of training comes later."""
    rows: list[Row] = [({"system": NAMES[model]}, {"model": model}) for model in ADAPTED]
    cases = _cases(rows, _datasets(datasets, budget, ("tiktok", "lfm2k")), _seeds(seeds, budget, SEEDS), budget)
    epochs = min(TUNING, _budget(budget).fit.get("epochs", TUNING))
    return [Case(labels, _measured("incremental", job, epochs=epochs)) for labels, job in cases]


# Long enough for every system here to pass its best epoch. Of TikTok, whose epochs cost three times as much, one seed.
LONG = {"epochs": 200, "evaluate_every": 5}
LONG_SEEDS = {"tiktok": SEEDS[:1]}
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
    for dataset in _datasets(datasets, budget, ("tiktok", "lfm2k")):
        other = plan("teacher", dataset)
        body = {"hparams": {name: other.hparams[name] for name in ("dim", "layers", "l2")}}
        body["fit"] = {"lr": other.fit.lr, "batch_size": other.fit.batch_size}
        for system, row in OVERFITTING.items():
            arguments = row | (body if system == BODY else {})
            arguments["fit"] = arguments.get("fit", {}) | LONG | dict(_budget(budget).fit)
            own = _seeds(seeds, budget, LONG_SEEDS.get(dataset, SEEDS))
            cases += _cases([({"system": system}, arguments)], [dataset], own, budget)
    return [Case(labels, _measured("overfitting", job)) for labels, job in cases]


def _measured(kind: str, system: Job, **arguments: Any) -> Measurement:
    """A measurement of a system, which it is given as a dict."""
    assert isinstance(system, Experiment)
    return Measurement(kind, {"system": system.as_dict(), **arguments})


NOISE, REDUNDANCY = (0.0, 0.2, 0.4, 0.6, 0.8), (0, 32, 128, 512)


def demo(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Do the prompt and the re-weighting earn their place where content misleads (I2) or is diluted (I1)?"""
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
    return _cases(cases, _datasets(datasets, budget, ("demo",)), _seeds(seeds, budget, SEEDS), budget)


# By the name that the command line knows them by.
TABLES: dict[str, Callable[..., list[Case]]] = {
    "1": table1, "3": table3, "4": table4, "5": table5, "6": table6, "7": table7, "8": table8,
    "content": content, "demo": demo, "overfitting": overfitting,
}  # fmt: skip
FIGURES: dict[str, Callable[..., list[Case]]] = {"3": figure3, "4": figure4, "5": figure5}

Row = tuple[dict[str, Any], dict[str, Any]]


def _cases(rows: Sequence[Row], datasets: Sequence[str], seeds: Sequence[int], budget: str) -> list[Case]:
    """The cases of rows, given as labels and arguments of `plan` ("mmkd" unless it names a model)."""
    spent = _budget(budget)
    return [
        Case({"dataset": dataset, **labels, "seed": seed}, _planned(dataset, seed, arguments, spent))
        for dataset in datasets
        for labels, arguments in rows
        for seed in seeds
    ]


def _planned(dataset: str, seed: int, arguments: Mapping[str, Any], spent: Budget) -> Experiment:
    arguments = {"model": "mmkd", **arguments}
    model = arguments.pop("model")
    fit = {**spent.fit, **arguments.pop("fit", {})}
    if base_of(model) == "mmkd":
        teacher = arguments.pop("teacher", {})
        arguments["teacher"] = {**teacher, "fit": {**spent.fit, **teacher.get("fit", {})}}
    return plan(model, dataset, seed=seed, fit=fit, **arguments)


def _datasets(given: Names, budget: str, own: Sequence[str]) -> Sequence[str]:
    return given or _budget(budget).datasets or own


def _seeds(given: Seeds, budget: str, own: Sequence[int]) -> Sequence[int]:
    return given or _budget(budget).seeds or own


def _budget(name: str) -> Budget:
    if name not in BUDGETS:
        raise ValueError(f"unknown budget {name!r}; one of {list(BUDGETS)}")
    return BUDGETS[name]
