"""From pairs read out of files to a `Dataset`; what is wrong is named by file and line, not by tensor row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from mmkd_core.data import SPLITS, DataError, Dataset


@dataclass(frozen=True)
class Pairs:
    """(user, item) pairs of one split, int64, and where in `file` each stands: `unit` ("line", "user") and number."""

    users: Int64[np.ndarray, " edge"]
    items: Int64[np.ndarray, " edge"]
    file: Path
    places: Sequence[int] | np.ndarray
    unit: str = "line"

    def where(self, row: int) -> str:
        return f"{self.file}, {self.unit} {self.places[row]}"


def assemble(
    name: str,
    splits: Mapping[str, Pairs],
    features: Mapping[str, Float32[Tensor, "item feat"]],
    files: Mapping[str, Path],
    shape: tuple[int, int] | None = None,
) -> Dataset:
    """The `Dataset` of `splits` (train, val, test) and `features`; `files` says where each modality was read.

    `shape` is (num_users, num_items) where the files state it; else users are counted by the largest id, items by
    the rows of the features or, without any, by the largest id. Raises `DataError` with file and line or entry for
    an id out of range and for a pair that stands twice, in one split or in two, and whatever `Dataset` refuses.
    """
    num_users, num_items = shape or _count(name, splits, features, files)
    by = f" (one row an item in {', '.join(path.name for path in files.values())})" if files else ""
    for split in SPLITS:
        _check_range(splits[split], "user", splits[split].users, num_users)
        _check_range(splits[split], "item", splits[split].items, num_items, by)
    _check_once(splits, num_items)
    edges = {split: torch.from_numpy(np.stack([splits[split].users, splits[split].items], axis=1)) for split in SPLITS}
    sources = {split: str(splits[split].file) for split in SPLITS}
    sources |= {modality: str(path) for modality, path in files.items()}
    return Dataset(name, num_users, num_items, **edges, features=dict(features), sources=sources)


def _count(
    name: str, splits: Mapping[str, Pairs], features: Mapping[str, Tensor], files: Mapping[str, Path]
) -> tuple[int, int]:
    rows = {str(files[modality]): len(x) for modality, x in features.items()}
    if len(set(rows.values())) > 1:
        raise DataError(f"{name}: got rows {rows}; expected one row an item, so as many in each file")
    num_users = 1 + max((int(pairs.users.max()) for pairs in splits.values() if len(pairs.users)), default=-1)
    if rows:
        return num_users, next(iter(rows.values()))
    return num_users, 1 + max((int(pairs.items.max()) for pairs in splits.values() if len(pairs.items)), default=-1)


def _check_range(pairs: Pairs, what: str, ids: np.ndarray, size: int, by: str = "") -> None:
    bad = np.flatnonzero((ids < 0) | (ids >= size))
    if len(bad):
        row = int(bad[0])
        raise DataError(f"{pairs.where(row)}: {what} id {ids[row]} is out of range; expected 0 to {size - 1}{by}")


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
