"""The layout of MMRec: one tab-separated `<any>.inter` with a header, and one `.npy` a modality."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmkd_core.data import SPLITS, DataError, Dataset
from mmkd_core.datasets.assemble import Pairs, assemble
from mmkd_core.datasets.features import feature_files
from mmkd_core.datasets.text import integer, read_lines

COLUMNS = ("userID", "itemID", "x_label")


def load_mmrec(folder: Path, name: str) -> Dataset:
    """The data set in `folder`: columns userID, itemID and x_label (0 train, 1 val, 2 test) are found by name."""
    files = sorted(folder.glob("*.inter"))
    if len(files) != 1:
        raise DataError(f"{folder}: got {[file.name for file in files]}; expected one .inter file")
    return assemble(name, _splits(files[0]), feature_files(folder, "*.npy"))


def _splits(path: Path) -> dict[str, Pairs]:
    lines = read_lines(path)
    header = lines[0][1].split("\t") if lines else []
    if any(header.count(column) != 1 for column in COLUMNS):
        raise DataError(f"{path}, line 1: got columns {header}; expected {list(COLUMNS)}, tab-separated, in any order")
    at = [header.index(column) for column in COLUMNS]
    read: list[list[int]] = []
    for number, line in lines[1:]:
        fields = line.split("\t")
        if len(fields) != len(header):
            raise DataError(f"{path}, line {number}: got {len(fields)} fields; expected {len(header)}: {header}")
        read.append([number, *(integer(fields[column], path, number) for column in at)])
    rows = np.array(read, dtype=np.int64).reshape(-1, 4)
    bad = np.flatnonzero((rows[:, 3] < 0) | (rows[:, 3] >= len(SPLITS)))
    if len(bad):
        number, *_, label = rows[bad[0]]
        raise DataError(f"{path}, line {number}: got x_label {label}; expected 0 (train), 1 (val) or 2 (test)")
    splits = {}
    for label, split in enumerate(SPLITS):
        places, users, items, _ = rows[rows[:, 3] == label].T
        splits[split] = Pairs(users, items, path, places)
    return splits
