"""Items that nobody has chosen: what rows learned from content give (no table of the paper's).

A tenth of the items is held out of training and validation with all of their interactions, which are the test
(`load(..., cold=0.1)`). Users are ranked over these items alone, and over all items, where those that were trained are
in the way. The rows of the held-out items are

    content      those of `rows_by_content`, learned after training from the rows of the other items
    own          those that the system itself has: CLCRec was made for this, the student has its teachers'
    popularity   no rows: items by how many chose them, those that nobody did in random order
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmkd_core.cold import rows_by_content
from mmkd_core.data import Dataset, Embeddings
from mmkd_core.datasets import load
from mmkd_core.evaluation import evaluate, means
from mmkd_core.evidence.cases import SEEDS, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.question import Question, notes
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Column, Frames, by_system, column, flat
from mmkd_core.experiment import Experiment
from mmkd_core.models import MODELS
from mmkd_core.models.ensemble import tables_of
from mmkd_core.runs import trained

HELD_OUT = {"cold": 0.1}
ROWS = ("content", "own", "popularity")
STUDENT, RIVAL = "mmkd-lists", "clcrec"
SYSTEMS = {
    f"{MODELS[STUDENT].title}, rows from content": (STUDENT, "content"),
    f"{MODELS[STUDENT].title}, its own rows": (STUDENT, "own"),
    f"{MODELS[RIVAL].title}, rows from content": (RIVAL, "content"),
    f"{MODELS[RIVAL].title}, its own rows": (RIVAL, "own"),
    "popularity": (STUDENT, "popularity"),
}
FAR = 1e4  # what a trained item is put behind by where only the held-out ones are ranked
K = 20


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """The student and CLCRec, trained without a tenth of the items."""
    asked, made = Asked(datasets, seeds, budget), []
    for title, (model, rows) in SYSTEMS.items():
        labelled = [({"system": title}, Variant(model, options=HELD_OUT))]
        planned = asked.cases(labelled, asked.datasets_or(("tiktok", "lfm2k")), asked.seeds_or(SEEDS))
        made += [Case(labels, Measurement.of(cold_items, system=job, rows=rows)) for labels, job in planned]
    return made


def cold_items(store: Path, *, system: Experiment, rows: str) -> dict[str, Any]:
    """Test Recall@20 and NDCG@20 over the held-out items and over all, of an experiment that holds some out.

    `rows` is one of `ROWS`. Raises `ValueError` for another, and for data without held-out items.
    """
    if rows not in ROWS or not system.options.get("cold"):
        raise ValueError(f"rows={rows!r}, options={system.options}; expected one of {ROWS} and a share that is cold")
    data = load(system.dataset, **system.options)
    counts = np.bincount(data.train[:, 1].numpy(), minlength=data.num_items)
    if rows == "popularity":
        random = np.random.default_rng(system.seed).random(data.num_items)
        users, items = np.ones((data.num_users, 1)), (counts + random)[:, None]
    else:
        model, _ = trained(system, store, data)
        users, items = (table.numpy() for table in tables_of(model))
        if rows == "content":
            items = rows_by_content(items, counts, {name: x.numpy() for name, x in data.features.items()})
    held = np.isin(np.arange(data.num_items), data.test[:, 1].numpy())
    alone = np.c_[users, np.ones(len(users))], np.c_[items, np.where(held, 0, -FAR)]
    return {
        "held_out": {"items": int(held.sum()), "interactions": len(data.test)},
        "among": _means(*alone, data),
        "all": _means(users, items, data),
    }


def _means(users: np.ndarray, items: np.ndarray, data: Dataset) -> dict[str, float]:
    tables = Embeddings(*(torch.from_numpy(table.astype(np.float32)) for table in (users, items)))
    return means(evaluate(tables, data, "test", (K,)))


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """Of each data set the metrics among the held-out items, and among all."""
    made: Frames = {}
    for dataset, own in flat(store.taken(cases)).groupby("dataset", sort=False):
        columns = {
            f"{metric}, {over}": Column(column(own, f"{place}.{metric.lower()}"), 4)
            for place, over in (("among", "held-out items"), ("all", "all items"))
            for metric in ("Recall@20", "NDCG@20")
        }
        made[f"{dataset}: items that nobody has chosen"] = by_system(own, columns)
    return made


QUESTION = Question(cases, table="cold", measure=cold_items, frames=frames, notes=notes("held_out_items"))
