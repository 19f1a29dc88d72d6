"""The layout of MMRec: one tab-separated `<any>.inter` with a header, and one `.npy` a modality."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmkd_core.data import SPLITS, DataError, Dataset
from mmkd_core.datasets.assemble import Pairs, assemble
from mmkd_core.datasets.features import feature_files, read_features
from mmkd_core.datasets.text import integers, read_columns, read_lines

COLUMNS = ("userID", "itemID", "x_label")


def load_mmrec(folder: Path, name: str) -> Dataset:
    """The data set in `folder`: columns userID, itemID and x_label (0 train, 1 val, 2 test) are found by name."""
    tables = sorted(folder.glob("*.inter"))
    if len(tables) != 1:
        raise DataError(f"{folder}: got {[table.name for table in tables]}; expected one .inter file")
    files = feature_files(folder, "*.npy")
    return assemble(name, _splits(tables[0]), read_features(files), files)


def _splits(path: Path) -> dict[str, Pairs]:
    lines = read_lines(path)
    header = lines[0][1].split("\t") if lines else []
    if any(header.count(column) != 1 for column in COLUMNS):
        raise DataError(f"{path}, line 1: got columns {header}; expected {list(COLUMNS)}, tab-separated, in any order")
    columns = dict(zip(header, read_columns(path, lines[1:], "\t", header), strict=True))
    places = [number for number, _ in lines[1:]]
    users, items, labels = (integers(columns[column], path, places) for column in COLUMNS)
    bad = np.flatnonzero((labels < 0) | (labels >= len(SPLITS)))
    if len(bad):
        row = bad[0]
        raise DataError(f"{path}, line {places[row]}: got x_label {labels[row]}; expected 0 (train), 1 (val), 2 (test)")
    chosen = {split: labels == label for label, split in enumerate(SPLITS)}
    numbers = np.array(places, dtype=np.int64)
    return {split: Pairs(users[rows], items[rows], path, numbers[rows]) for split, rows in chosen.items()}
