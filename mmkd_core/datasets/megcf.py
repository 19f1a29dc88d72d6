"""The layout of MEGCF: `train.txt`, `validation.txt`, `test.txt` and one `i2e_<modality>.txt` a modality.

A line of the splits is `user item item ...`, a line of the others `item entity entity ...`. MEGCF's own train file
of amazon-beauty holds every validation pair as well: they leave it here, so that selection is on unseen pairs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets.assemble import Pairs, assemble
from mmkd_core.datasets.features import feature_files, tfidf_features
from mmkd_core.datasets.text import integers, read_lines

FILES = {"train": "train.txt", "val": "validation.txt", "test": "test.txt"}


def load_megcf(folder: Path, name: str) -> Dataset:
    """The data set in `folder`.

    Pairs of validation or test and duplicates leave train; the users and items that are left in any split are
    renumbered in ascending order. A modality is the items x entities matrix of ones under `tfidf_features`: float32,
    at most 128 columns; an item without entities has a row of zeros, entities of other items are dropped.
    """
    read = {split: _read_lists(folder / file) for split, file in FILES.items()}
    read["train"] = _without(read["train"], [read["val"], read["test"]])
    users = np.unique(np.concatenate([pairs.users for pairs in read.values()]))
    items = np.unique(np.concatenate([pairs.items for pairs in read.values()]))
    splits = {
        split: Pairs(np.searchsorted(users, pairs.users), np.searchsorted(items, pairs.items), pairs.file, pairs.places)
        for split, pairs in read.items()
    }
    files = feature_files(folder, "i2e_*.txt", _modality)
    features = {modality: _entity_features(path, items) for modality, path in files.items()}
    return assemble(name, splits, features, files, (len(users), len(items)))


def _modality(stem: str) -> str:
    name = stem.removeprefix("i2e_")
    return {"visual": "image", "title": "text"}.get(name, name)  # the names that the other layouts use


def _read_lists(path: Path) -> Pairs:
    """The pairs (first number of a line, each of its other numbers) and the lines that they stand in."""
    words = [(line.split(), number) for number, line in read_lines(path)]
    places = [number for line, number in words for _ in line[1:]]
    firsts = integers([line[0] for line, _ in words for _ in line[1:]], path, places)
    others = integers([word for line, _ in words for word in line[1:]], path, places)
    # Two ids below 2^31 make one key below 2^62.
    bad = np.flatnonzero((firsts < 0) | (others < 0) | (firsts >= 2**31) | (others >= 2**31))
    if len(bad):
        row = bad[0]
        raise DataError(f"{path}, line {places[row]}: got ids {firsts[row]} and {others[row]}; expected 0 to 2^31 - 1")
    return Pairs(firsts, others, path, np.array(places, dtype=np.int64))


def _without(pairs: Pairs, held_out: list[Pairs]) -> Pairs:
    """`pairs` once each, less those of `held_out`."""
    keys, first = np.unique(_keys(pairs), return_index=True)
    first = first[~np.isin(keys, np.concatenate([_keys(other) for other in held_out]))]
    return Pairs(pairs.users[first], pairs.items[first], pairs.file, np.asarray(pairs.places)[first])


def _keys(pairs: Pairs) -> np.ndarray:
    return pairs.users * 2**31 + pairs.items


def _entity_features(path: Path, items: np.ndarray) -> Tensor:
    pairs = _read_lists(path)
    known = np.isin(pairs.users, items)
    rows = np.searchsorted(items, pairs.users[known])
    entities, columns = np.unique(pairs.items[known], return_inverse=True)
    if not len(entities):
        raise DataError(f"{path}: no entity of any item; expected lines of `item entity entity ...`")
    shape = (len(items), len(entities))
    present = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    present.data[:] = 1.0  # an entity named twice is still one entity
    return tfidf_features(present)
