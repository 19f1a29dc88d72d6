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

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mmkd_core.data import Dataset
from mmkd_core.datasets import load
from mmkd_core.evaluation import Scorer, evaluate, rank
from mmkd_core.experiment import Experiment, run, train
from mmkd_core.models import build
from mmkd_core.models.base import Recommender
from mmkd_core.training import FitConfig, Trainer, choose_device, fit, seeded

K = 20
REPEATS = 5  # a time is the median of so many


def incremental(store: Path, *, system: Mapping[str, Any], share: float = 0.1, epochs: int = 20) -> dict[str, Any]:
    """Test Recall@20 and NDCG@20 of the four ways, the fine-tuning's validation by epoch, and times.

    `system` is an experiment on the whole data as a dict, `share` the part of its training interactions that come
    later, `epochs` the most that fine-tuning may take. `ms` and `cpu_ms` hold an `epoch` of it (batches drawn, steps
    taken, no evaluation), making the `tables`, and `ranking` them for all test users; `retraining` the seconds of the
    runs that its records tell of, whenever and wherever they were. Raises `ValueError` for a share outside (0, 1), and
    for a system that cannot be deployed.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share}; expected more than 0 and less than 1")
    later = Experiment.from_dict(system)
    before = _held_back(later, share)
    whole, old = load(later.dataset, **later.options), load(before.dataset, **before.options)
    new = new_pairs(old, whole)
    trained, _ = train(before, store, old)
    model = deployed(trained, before, whole)
    with torch.no_grad():
        metrics = {"stale": _means(trained.embed(), whole), "edges": _means(model.embed(), whole)}
    config = replace(before.fit, epochs=epochs, evaluate_every=1, patience=epochs + 1)
    history = fit(model, whole, config, pairs=new)
    with torch.no_grad():
        metrics["fine-tuned"] = _means(model.embed(), whole)
    again = [run(one, store, data=whole) for one in (later, later.teacher) if one is not None]
    metrics["retrained"] = {name: again[0].metrics[name] for name in metrics["stale"]}
    return {
        "interactions": {"old": len(old.train), "new": len(new), "users": len(new[:, 0].unique())},
        "metrics": metrics,
        "validation": history.validation,
        "best_epoch": history.best_epoch,
        **_times(model, whole, new, config),
        "retraining": {name: sum(record.cost[name] for record in again) for name in ("seconds", "cpu_seconds")},
    }


def _held_back(experiment: Experiment, share: float) -> Experiment:
    """The same on the older interactions alone, its teacher too."""
    teacher = experiment.teacher and _held_back(experiment.teacher, share)
    return replace(experiment, options={**experiment.options, "hold_back": share}, teacher=teacher)


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
    return {name: float(values.mean()) for name, values in evaluate(tables, data, "test", (K,)).items()}


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
