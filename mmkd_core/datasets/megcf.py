"""The layout of MEGCF: `train.txt`, `validation.txt`, `test.txt` and one `i2e_<modality>.txt` per modality.

A line of the splits is `user item item ...`, a line of the others `item entity entity ...`. MEGCF's own train file
of amazon-beauty holds every validation pair as well: they leave it here, so that selection is on unseen pairs.
"""

import re
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets.assemble import Content, Pairs, assemble, occurring
from mmkd_core.datasets.features import SVD_WIDTH, feature_files, tfidf_features, unread
from mmkd_core.datasets.text import integers, read_lines

FILES = {"train": "train.txt", "val": "validation.txt", "test": "test.txt"}
_BLANKS = re.compile("[ \t]+")


def load_wide(folder: Path, name: str) -> Dataset:
    """The data set in `folder` with one column per entity, as claims about wide features need it."""
    return assemble(name, load_megcf(folder, width=None))


def load_megcf(folder: Path, width: int | None = SVD_WIDTH) -> Content:
    """What is in `folder`.

    Pairs of validation or test and duplicates leave train; the users and items that are left in any split are
    renumbered in ascending order. A modality is the items x entities matrix of ones under `tfidf_features`: float32,
    at most `width` columns; an item without entities has a row of zeros, entities of other items are dropped.
    """
    splits = {split: read_lists(folder / file) for split, file in FILES.items()}
    users, items = occurring(splits)
    train = splits["train"]
    splits["train"] = _without(splits, users, items)
    files = feature_files(folder, "i2e_*.txt", _modality)
    notes = unread(folder, splits, "i2e_*.txt", bool(files))
    if left_out := len(train.users) - len(splits["train"].users):
        notes.append(f"{train.file}: {left_out:,} pairs left out, which stand in validation or test, or stood before")
    features = {modality: _entity_features(path, items, width) for modality, path in files.items()}
    return Content(splits, features, files, notes, renumbered=True)


def _modality(stem: str) -> str:
    name = stem.removeprefix("i2e_")
    return {"visual": "image", "title": "text"}.get(name, name)  # the names that the other layouts use


def read_lists(path: Path) -> Pairs:
    """The pairs (first number of a line, each of its other numbers) and the lines that they stand in.

    Raises `DataError` with file and line for what is no whole number of at least 0.
    """
    lines = [(_BLANKS.split(line.strip(" \t")), number) for number, line in read_lines(path)]
    numbers = [number for _, number in lines]
    places = [number for line, number in lines for _ in line[1:]]
    firsts = integers([line[0] for line, _ in lines], path, numbers)  # of a line without others, too
    others = integers([word for line, _ in lines for word in line[1:]], path, places)
    for ids, where in ((firsts, numbers), (others, places)):
        bad = np.flatnonzero(ids < 0)
        if len(bad):
            raise DataError(f"{path}, line {where[bad[0]]}: got id {ids[bad[0]]}; expected 0 or more")
    firsts = np.repeat(firsts, [len(line) - 1 for line, _ in lines])
    return Pairs(firsts, others, path, np.array(places, dtype=np.int64))


def _without(splits: dict[str, Pairs], users: np.ndarray, items: np.ndarray) -> Pairs:
    """The pairs of train once each, less those of the other splits; `users` and `items` are all ids, sorted."""
    keys = {
        split: np.searchsorted(users, pairs.users) * len(items) + np.searchsorted(items, pairs.items)
        for split, pairs in splits.items()
    }
    _, first = np.unique(keys["train"], return_index=True)
    kept = np.zeros(len(keys["train"]), dtype=bool)
    kept[first] = True
    return splits["train"].only(kept & ~np.isin(keys["train"], np.concatenate([keys["val"], keys["test"]])))


def _entity_features(path: Path, items: np.ndarray, width: int | None) -> Tensor:
    pairs = read_lists(path)
    pairs = pairs.only(np.isin(pairs.users, items))
    rows = np.searchsorted(items, pairs.users)
    entities, columns = np.unique(pairs.items, return_inverse=True)
    if not len(entities):
        raise DataError(f"{path}: no entity of any item; expected lines of `item entity entity ...`")
    shape = (len(items), len(entities))
    present = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    present.data[:] = 1.0  # an entity named twice is still one entity
    return tfidf_features(present, width)
