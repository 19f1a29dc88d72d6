"""What folding in gives where new choices or new items come, beside training anew (no table of the paper's).

A tenth comes later: of the training interactions, as in Table 7 (`incremental`), or of the items, with all of theirs. A
student is trained on the rest. Then there are four ways to serve all of them:

    stale        the tables as they were
    folded in    each user's row left away, and folded in from all choices with trained items; the items' as they were
    refreshed    what `mmkd refresh` makes: trained rows, moved by what folding in says of the new choices
    retrained    student and teachers trained anew on everything

Whatever serves, the new choices are known, so that none of them is recommended again.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.datasets import load
from mmkd_core.evaluation import evaluate, means
from mmkd_core.evidence.cases import BUDGETS, SEEDS, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.question import Question, notes
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Column, Frames, by_system, column, flat
from mmkd_core.experiment import Experiment
from mmkd_core.fold_in import Choices, fold_in, grown, learned, starts
from mmkd_core.models import MODELS
from mmkd_core.models.ensemble import tables_of
from mmkd_core.runs import run, trained

STUDENT = "mmkd-lists"
LATER = {"choices": {"hold_back": 0.1}, "items": {"cold": 0.1}}
WAYS = ("stale", "folded in", "refreshed", "retrained")
REPEATS = 3  # a time is the median of so many
K = 20


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """The student that leads, with a tenth of the choices and a tenth of the items to come."""
    asked = Asked(datasets, seeds, budget)
    made = []
    for new in LATER:
        student = Variant(STUDENT, fit=BUDGETS[budget].fit)
        rows = [({"system": MODELS[STUDENT].title, "new": new}, student)]
        planned = asked.cases(rows, asked.datasets_or(("tiktok", "lfm2k")), asked.seeds_or(SEEDS))
        made += [Case(labels, Measurement.of(refreshed, system=job, new=new)) for labels, job in planned]
    return made


def refreshed(store: Path, *, system: Experiment, new: str) -> dict[str, Any]:
    """Test and validation Recall@20 and NDCG@20 of the four ways, and CPU seconds of refreshing and of retraining.

    `system` is an experiment on the whole data, `new` one of `LATER`, what is left out at first. Where that are items,
    `new_items` has the test metrics over these alone. Raises `ValueError` for another `new`.
    """
    if new not in LATER:
        raise ValueError(f"new={new!r}; expected one of {list(LATER)}")
    before = system.with_options(**LATER[new])
    whole, old = load(system.dataset, **system.options), load(before.dataset, **before.options)
    model, _ = trained(before, store, old)
    users, items = (table.numpy() for table in tables_of(model))
    then, now = choices_of(old), choices_of(whole)
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        moved = grown(users, items, then, now)
        seconds.append(time.process_time() - start)
    known = now.of(np.diff(then.turned().indptr) > 0)
    folded = fold_in(items, known.indptr, known.chosen, learned(users, items, then.indptr, then.chosen))
    tables = {"stale": (users, items), "folded in": (folded, items), "refreshed": moved}
    made = {way: Embeddings(*map(torch.from_numpy, pair)) for way, pair in tables.items()}
    again = [run(stage, store, data=whole) for stage in system.stages]
    later = new_items(old, whole)
    parts = {"metrics": whole} | ({"new_items": replace(whole, test=later)} if len(later) and new == "items" else {})
    values: dict[str, Any] = {
        name: {way: _means(own, data) for way, own in made.items()} for name, data in parts.items()
    }
    values["metrics"]["retrained"] = {name: again[-1].metrics[name] for name in values["metrics"]["stale"]}
    values["validation"] = {way: _means(own, whole, "val") for way, own in made.items()}
    values["interactions"] = {"old": len(old.train), "new": len(whole.train) - len(old.train)}
    values["cpu_seconds"] = {
        "refresh": median(seconds), "retraining": sum(record.cost["cpu_seconds"] for record in again)
    }  # fmt: skip
    return values


def choices_of(data: Dataset) -> Choices:
    """The training interactions by user."""
    users, items = data.train.numpy().T
    return Choices(starts(users, data.num_users), items, data.num_items)


def new_items(old: Dataset, whole: Dataset) -> torch.Tensor:
    """The test interactions of `whole` with items that nobody has chosen in `old`."""
    there = torch.bincount(old.train[:, 1], minlength=old.num_items) > 0
    return whole.test[~there[whole.test[:, 1]]]


def _means(tables: Embeddings, data: Dataset, split: str = "test") -> dict[str, float]:
    return means(evaluate(tables, data, split, (K,)))


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """Of each data set, and of what comes later, the test Recall@20 of the ways, and what they take."""
    made: Frames = {}
    rows = flat(store.taken(cases))
    for (dataset, new), own in rows.groupby(["dataset", "new"], sort=False):
        recall = {way: column(own, f"metrics.{way}.recall@20") for way in WAYS}
        columns = {way: Column(values, 4) for way, values in recall.items()}
        columns["refreshed, gain"] = Column(recall["refreshed"] - recall["stale"], 4, "+")
        columns["missed"] = Column(recall["retrained"] - recall["refreshed"], 4, "+")
        if new == "items":
            for way in ("stale", "refreshed"):
                columns[f"new items alone, {way}"] = Column(column(own, f"new_items.{way}.recall@20"), 4)
        columns["refresh, CPU s"] = Column(column(own, "cpu_seconds.refresh"), 2)
        columns["retraining, CPU s"] = Column(column(own, "cpu_seconds.retraining"), 0)
        made[f"{dataset}, new {new}: test Recall@20"] = by_system(own, columns)
    return made


QUESTION = Question(cases, table="refresh", measure=refreshed, frames=frames, notes=notes("comes_later"))
