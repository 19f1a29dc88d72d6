"""What the data are (Table 3)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmkd_core.data import SPLITS
from mmkd_core.datasets import load
from mmkd_core.evidence import paper
from mmkd_core.evidence.cases import REAL, Asked, Case, Names, Seeds, title_of_place
from mmkd_core.evidence.compare import NOT_RUN
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.question import Question, notes
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Frames


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Statistics of each data set. Seeds play no part."""
    named = Asked(datasets, seeds, budget).datasets_or((*REAL, "ml-100k", "demo"))
    return [Case({"dataset": dataset}, Measurement.of(statistics, dataset=dataset)) for dataset in named]


def statistics(store: Path, *, dataset: str) -> dict[str, Any]:
    """Users, items, interactions per split, the share of empty cells of the whole matrix, widths of the features."""
    data = load(dataset)
    counts = {split: len(getattr(data, split)) for split in SPLITS}
    return {
        "users": data.num_users,
        "items": data.num_items,
        **counts,
        "sparsity": 1 - sum(counts.values()) / (data.num_users * data.num_items),
        "features": {modality: x.shape[1] for modality, x in sorted(data.features.items())},
    }


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """The paper's data sets beside ours."""
    printed = {f"{name} (paper)": values for name, values in paper.TABLE_3.items()}
    ours = {title_of_place(labels["dataset"]): _cells(values) for labels, values in store.taken(cases)}
    return {"Data sets": pd.DataFrame(printed | ours).T.rename_axis("data set")}


def _cells(values: dict[str, Any] | None) -> dict[str, str]:
    if values is None:
        return dict.fromkeys(paper.STATISTICS, NOT_RUN)
    counts = [values[split] for split in ("train", "val", "test")]
    features = ", ".join(f"{name} {width}" for name, width in values["features"].items()) or "none"
    numbers = [f"{values['users']:,}", f"{values['items']:,}", f"{sum(counts):,}", f"{100 * values['sparsity']:.3f} %"]
    return dict(zip(paper.STATISTICS, [*numbers, features, " / ".join(f"{n:,}" for n in counts)], strict=True))


QUESTION = Question(cases, table="3", measure=statistics, frames=frames, notes=notes("papers_data"))
