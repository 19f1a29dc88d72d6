"""From pairs read out of files to a `Dataset`; what is wrong is named by file and line, not by tensor row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmkd_core.data import SPLITS, DataError, Dataset
from mmkd_core.datasets.features import read_features


@dataclass(frozen=True)
class Pairs:
    """(user, item) pairs of one split, int64, and where in `file` each stands: `unit` ("line", "user") and number."""

    users: np.ndarray
    items: np.ndarray
    file: Path
    places: Sequence[int] | np.ndarray
    unit: str = "line"

    def where(self, row: int) -> str:
        return f"{self.file}, {self.unit} {self.places[row]}"


def assemble(
    name: str,
    splits: Mapping[str, Pairs],
    feature_files: Mapping[str, Path],
    shape: tuple[int, int] | None = None,
) -> Dataset:
    """The `Dataset` of `splits` (train, val, test) and of the feature files (modality -> .npy).

    `shape` is (num_users, num_items) where the files state it; else users are counted by the largest id, items by
    the rows of the features or, without any, by the largest id. Raises `DataError` with file and line or entry for
    an id out of range, a pair that stands twice, in one split or in two, and whatever `Dataset` refuses.
    """
    features = read_features(dict(feature_files))
    rows = {feature_files[modality].name: len(x) for modality, x in features.items()}
    if shape is None:
        if len(set(rows.values())) > 1:
            raise DataError(f"{name}: got rows {rows}; expected one row an item, so as many in each file")
        num_users = 1 + max((int(pairs.users.max()) for pairs in splits.values() if len(pairs.users)), default=-1)
        num_items = next(iter(rows.values()), None)
        if num_items is None:
            num_items = 1 + max((int(pairs.items.max()) for pairs in splits.values() if len(pairs.items)), default=-1)
    else:
        num_users, num_items = shape
    _check_range(splits, num_users, num_items, ", ".join(rows))
    _check_once(splits, num_items)
    edges = {split: torch.from_numpy(np.stack([splits[split].users, splits[split].items], axis=1)) for split in SPLITS}
    sources = {split: str(splits[split].file) for split in SPLITS}
    sources |= {modality: str(path) for modality, path in feature_files.items()}
    return Dataset(name, num_users, num_items, **edges, features=features, sources=sources)


def _check_range(splits: Mapping[str, Pairs], num_users: int, num_items: int, files: str) -> None:
    for pairs in splits.values():
        for what, ids, size in (("user", pairs.users, num_users), ("item", pairs.items, num_items)):
            bad = np.flatnonzero((ids < 0) | (ids >= size))
            if len(bad):
                by = f" (one row an item in {files})" if what == "item" and files else ""
                raise DataError(
                    f"{pairs.where(int(bad[0]))}: {what} id {ids[bad[0]]} is out of range; expected 0 to {size - 1}{by}"
                )


def _check_once(splits: Mapping[str, Pairs], num_items: int) -> None:
    keys = np.concatenate([splits[split].users * num_items + splits[split].items for split in SPLITS])
    order = np.argsort(keys, kind="stable")
    twice = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    if not len(twice):
        return
    first, second = order[twice[0]], order[twice[0] + 1]
    places = [(split, row) for split in SPLITS for row in range(len(splits[split].users))]
    (split1, row1), (split2, row2) = places[first], places[second]
    user, item = splits[split2].users[row2], splits[split2].items[row2]
    raise DataError(
        f"{splits[split2].where(row2)}: user {user}, item {item} ({split2}) is also in "
        f"{splits[split1].where(row1)} ({split1}); expected each pair once, in one split alone"
    )
