"""Adaptation to new interactions (Table 7, Sec. 7.3.1): what fine-tuning on them alone gives, and what it takes.

A share of the training interactions is held back, at random: no data set keeps times once it is loaded. A system is
trained on the others, as it would have been before the new ones came. Then there are four ways to serve it:

    stale         the tables as they were
    edges         the weights as they were, the new interactions as edges of its graph
    fine-tuned    the same, the weights trained on the new interactions alone; validation chooses the epoch, 0 included
    retrained     trained anew on everything

Whatever serves, the new interactions are known, so that none of them is recommended again, and a user's negatives are
outside the old and the new ones. MMKD serves by a LightGCN over tables of its own: that is what is fine-tuned, by BPR
without a teacher, and its retraining is that of teacher and student. Rate, batch and regularisation are those in force.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from mmkd_core.data import Dataset
from mmkd_core.datasets import load
from mmkd_core.evaluation import Scorer, evaluate, means, rank
from mmkd_core.evidence import paper
from mmkd_core.evidence.cases import BUDGETS, SEEDS, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.compare import NOT_RUN
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.question import Question, claims, notes
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Column, Frames, as_table, by_system, column, flat
from mmkd_core.evidence.verdicts import every_seed
from mmkd_core.experiment import Experiment
from mmkd_core.models import MODELS, build
from mmkd_core.models.base import Recommender
from mmkd_core.runs import run, trained
from mmkd_core.training import FitConfig, Trainer, choose_device, fit, seeded

ADAPTED = ("lattice", "bm3", "mmkd", "lightgcn")  # those of the paper's Table 7, and the plain rival
WAYS = ("stale", "edges", "fine-tuned", "retrained")
STEPS = {"new edges": ("edges", "stale"), "fine-tuning": ("fine-tuned", "edges"), "missed": ("retrained", "fine-tuned")}
TUNING = 20  # epochs of fine-tuning at most
REPEATS = 5  # a time is the median of so many
K = 20


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Adaptation to new interactions: a tenth of those of training comes later."""
    asked = Asked(datasets, seeds, budget, earlier=True)
    rows = [({"system": MODELS[model].title}, Variant(model)) for model in ADAPTED]
    planned = asked.cases(rows, asked.datasets_or(("tiktok", "lfm2k")), asked.seeds_or(SEEDS))
    epochs = min(TUNING, BUDGETS[budget].fit.get("epochs", TUNING))
    return [Case(labels, Measurement.of(incremental, system=job, epochs=epochs)) for labels, job in planned]


def incremental(store: Path, *, system: Experiment, share: float = 0.1, epochs: int = 20) -> dict[str, Any]:
    """Test Recall@20 and NDCG@20 of the four ways, the fine-tuning's validation by epoch, and times.

    `system` is an experiment on the whole data, `share` the part of its training interactions that come
    later, `epochs` the most that fine-tuning may take. `ms` and `cpu_ms` hold an `epoch` of it (batches drawn, steps
    taken, no evaluation), making the `tables`, and `ranking` them for all test users; `retraining` the seconds of the
    runs that its records tell of, whenever and wherever they were. Raises `ValueError` for a share outside (0, 1), and
    for a system that cannot be deployed.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share}; expected more than 0 and less than 1")
    before = system.with_options(hold_back=share)
    whole, old = load(system.dataset, **system.options), load(before.dataset, **before.options)
    new = new_pairs(old, whole)
    earlier, _ = trained(before, store, old)
    model = deployed(earlier, before, whole)
    with torch.no_grad():
        metrics = {"stale": _means(earlier.embed(), whole), "edges": _means(model.embed(), whole)}
    config = replace(before.fit, epochs=epochs, evaluate_every=1, patience=epochs + 1)
    history = fit(model, whole, config, pairs=new)
    with torch.no_grad():
        metrics["fine-tuned"] = _means(model.embed(), whole)
    again = [run(one, store, data=whole) for one in (system, system.teacher) if one is not None]
    metrics["retrained"] = {name: again[0].metrics[name] for name in metrics["stale"]}
    return {
        "interactions": {"old": len(old.train), "new": len(new), "users": len(new[:, 0].unique())},
        "metrics": metrics,
        "validation": history.validation,
        "best_epoch": history.best_epoch,
        **_times(model, whole, new, config),
        "retraining": {name: sum(record.cost[name] for record in again) for name in ("seconds", "cpu_seconds")},
    }


def new_pairs(old: Dataset, whole: Dataset) -> Int[Tensor, "_ 2"]:
    """The training interactions of `whole` that `old` lacks."""
    known, every = (data.train[:, 0] * whole.num_items + data.train[:, 1] for data in (old, whole))
    return whole.train[~torch.isin(every, known)]


def deployed(trained: Recommender, experiment: Experiment, data: Dataset) -> Recommender:
    """What serves, over the graph of `data`, with the weights of `trained`: of MMKD, its student alone.

    Raises `ValueError` for a student that needs its teacher's tables, and for a variant of MMKD.
    """
    kind, settings, weights = experiment.model, experiment.hparams, trained.state_dict()
    if experiment.teacher is not None:
        if (kind, settings["student"]) != ("mmkd", "lightgcn"):
            raise ValueError(f"{kind} with the student {settings['student']!r} cannot do without its teacher")
        layers = 1 if settings["layers"] is None else settings["layers"]  # LightGCNStudent.usual_layers
        kind, settings = "lightgcn", {"dim": settings["dim"], "layers": layers, "l2": settings["l2"]}
        weights = {"nodes.weight": weights["student.nodes.weight"]}
    with seeded(experiment.seed):
        model = build(kind, data, settings)
    model.load_state_dict(weights)
    return model.to(choose_device()).eval()


def _means(tables: Scorer, data: Dataset) -> dict[str, float]:
    return means(evaluate(tables, data, "test", (K,)))


def _times(model: Recommender, whole: Dataset, new: Int[Tensor, "_ 2"], config: FitConfig) -> dict[str, Any]:
    """Median milliseconds of the wall clock and of the CPU; `model` is of no use afterwards, being trained further."""
    device = choose_device()
    users = whole.test[:, 0].unique().to(device)
    trainer = Trainer(model, whole, config, pairs=new)
    with seeded(config.seed, device):
        found = {"epoch": _median(trainer.epoch, device)}
    with torch.no_grad():
        tables = model.eval().embed()
        found["tables"] = _median(model.embed, device)
        found["ranking"] = _median(lambda: rank(tables, users, whole, K), device)
    return {clock: {what: pair[place] for what, pair in found.items()} for place, clock in enumerate(("ms", "cpu_ms"))}


def _median(work: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    times = []
    for _ in range(REPEATS + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append((1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)))
    warm = times[1:]  # the first pays for allocations
    return median(wall for wall, _ in warm), median(cpu for _, cpu in warm)


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """Of each data set what adaptation gives, and what it takes; then the paper's table as printed."""
    rows, made = flat(store.taken(cases)), {}
    for dataset, own in rows.groupby("dataset", sort=False):
        made[f"{dataset}: test metrics"] = by_system(own, _gained(own))
        made[f"{dataset}: times"] = by_system(own, _spent(own))
    return made | {"The paper's Table 7 (its Netflix)": printed_table7()}


def _gained(rows: pd.DataFrame) -> dict[str, Column]:
    recall = {way: column(rows, f"metrics.{way}.recall@20") for way in WAYS}
    columns = {f"Recall@20, {way}": Column(recall[way], 4) for way in WAYS}
    columns["gain"] = Column(recall["fine-tuned"] - recall["stale"], 4, "+")
    columns["NDCG@20, fine-tuned"] = Column(column(rows, "metrics.fine-tuned.ndcg@20"), 4)
    return columns | {"epochs kept": Column(column(rows, "best_epoch"), 1)}


def _spent(rows: pd.DataFrame) -> dict[str, Column]:
    epoch, tables, ranking = (column(rows, f"cpu_ms.{part}") for part in ("epoch", "tables", "ranking"))
    serving = tables + ranking
    parts = {"epoch, ms": epoch, "tables, ms": tables, "ranking, ms": ranking, "one epoch, all, ms": epoch + serving}
    parts["update, ms"] = column(rows, "best_epoch") * epoch + serving
    columns = {head: Column(values, 1) for head, values in parts.items()}
    return columns | {"retraining, s": Column(column(rows, "retraining.cpu_seconds"), 1)}


def _step(rows: pd.DataFrame, step: str) -> pd.Series:
    later, earlier = (column(rows, f"metrics.{way}.recall@20") for way in STEPS[step])
    return later - earlier


def steps(rows: pd.DataFrame) -> pd.DataFrame:
    """What each way adds to the one before it in test Recall@20, on one data set; differences of the same seed."""
    return by_system(rows, {step: Column(_step(rows, step), 4, "+") for step in STEPS})


def conclusions(rows: pd.DataFrame) -> list[str]:
    """What the paper concludes from Table 7, each with what one data set says: means over seeds; help in every seed."""
    time = _spent(rows)["one epoch, all, ms"].values
    rows = rows.assign(tuned=column(rows, "metrics.fine-tuned.recall@20"), time=time, step=_step(rows, "fine-tuning"))
    runs = rows.dropna(subset=["tuned"]).groupby("system", sort=False)
    if set(runs.groups) < set(rows["system"]):
        return [NOT_RUN]
    means, seeds = runs[["tuned", "time"]].mean(), runs.size().min()
    better, faster = (means[column].sort_values(ascending=column == "time").index for column in ("tuned", "time"))
    helped = [str(system) for system, own in runs if (own["step"] > 0).all()]
    few = "" if seeds > 1 else " (one seed)"
    return [
        f"after fine-tuning, from the best Recall@20 down{few}: {', '.join(better)}",
        f"one epoch and all lists, from the fastest up{few}: {', '.join(faster)}",
        f"fine-tuning adds to what the new edges give in every seed{few}: {', '.join(helped) or 'for none'}",
    ]


def printed_table7() -> pd.DataFrame:
    """The paper's Table 7: a line a system."""
    lines = {MODELS[model].title: [str(r), str(n), f"{ms!s} ms"] for model, (r, n, ms) in paper.TABLE_7.items()}
    return as_table(lines, "system", "Recall@20", "NDCG@20", "time")


RIVALS = tuple(MODELS[model].title for model in ("lattice", "bm3"))
RULES = {
    "new data": every_seed(cases, "MMKD", RIVALS, lambda v: v["metrics"]["fine-tuned"]["recall@20"], what="Recall@20"),
    "new data, time": every_seed(cases, "MMKD", RIVALS, lambda v: sum(v["cpu_ms"].values()), what="CPU ms", lower=True),
}
NOTES = notes("adapted", "timed", "different_data", "earlier")
QUESTION = Question(cases, table="7", measure=incremental, frames=frames, notes=NOTES, claims=claims(RULES))
