"""The layout of DiffMM: `trnMat.pkl`, `valMat.pkl`, `tstMat.pkl` and `*_feat.npy`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets.assemble import DEFAULT, Choices, Pairs, assemble
from mmkd_core.datasets.features import FEATURES, feature_files, read_features, unread
from mmkd_core.datasets.pickles import load_matrix

FILES = {"train": "trnMat.pkl", "val": "valMat.pkl", "test": "tstMat.pkl"}


def matrix_pairs(files: dict[str, Path]) -> tuple[dict[str, Pairs], tuple[int, int]]:
    """Pairs of pickled users x items matrices, one per split, and their common shape."""
    splits, shapes = {}, {}
    for split, path in files.items():
        matrix = load_matrix(path)
        shapes[path.name] = matrix.shape
        users, items = (axis.astype(np.int64) for axis in matrix.coords)
        splits[split] = Pairs(users, items, path, range(len(users)), "entry")
    if len(set(shapes.values())) > 1:
        folder = next(iter(files.values())).parent
        raise DataError(f"{folder}: got matrices of shapes {shapes}; expected one (num_users, num_items) in all")
    return splits, next(iter(shapes.values()))


def load_diffmm(folder: Path, name: str, choices: Choices = DEFAULT) -> Dataset:
    """The data set in `folder`; users and items are counted by the shape of the matrices."""
    matrices = {split: folder / file for split, file in FILES.items()}
    splits, shape = matrix_pairs(matrices)
    files = feature_files(folder)
    notes = unread(folder, [*matrices.values(), *files.values()], FEATURES, bool(files))
    return assemble(name, splits, read_features(files), files, shape, notes=notes, choices=choices)
