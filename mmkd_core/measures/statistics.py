"""The size of a data set (Table 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmkd_core.data import SPLITS
from mmkd_core.datasets import load


def statistics(store: Path, *, dataset: str) -> dict[str, Any]:
    """Users, items, interactions a split, the share of empty cells of the whole matrix, widths of the features."""
    data = load(dataset)
    counts = {split: len(getattr(data, split)) for split in SPLITS}
    return {
        "users": data.num_users,
        "items": data.num_items,
        **counts,
        "sparsity": 1 - sum(counts.values()) / (data.num_users * data.num_items),
        "features": {modality: x.shape[1] for modality, x in sorted(data.features.items())},
    }
