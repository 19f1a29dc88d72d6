"""The layout of PromptMM and MMSSL: `train`, `val`, `test`, each `.json` or a pickled `_mat`, and `*_feat.npy`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mmkd_core.data import SPLITS, DataError, Dataset
from mmkd_core.datasets.assemble import Pairs, assemble
from mmkd_core.datasets.diffmm import matrix_pairs
from mmkd_core.datasets.features import feature_files, read_features
from mmkd_core.datasets.text import read_text

# The first file that is there is read; JSON first, as in the released code.
FILES = {split: (f"{split}.json", f"{split}_mat") for split in SPLITS}
_EXPECTED = 'expected {"user id": [item id, ...], ...}'


def load_promptmm(folder: Path, name: str) -> Dataset:
    """The data set in `folder`; its size is the shape of the matrices, where any split is read from one."""
    lists, matrices = {}, {}
    for split, (text, pickled) in FILES.items():
        if (folder / text).exists():
            lists[split] = _read_lists(folder / text)
        else:
            matrices[split] = folder / pickled
    splits, shape = matrix_pairs(matrices) if matrices else ({}, None)
    files = feature_files(folder)
    return assemble(name, lists | splits, read_features(files), files, shape)


def _read_lists(path: Path) -> Pairs:
    users: list[int] = []
    items: list[int] = []
    for key, history in _parse(path):
        if not key.isascii() or not key.isdecimal() or len(key) > 18:
            raise DataError(f"{path}: got user {key!r}; {_EXPECTED}")
        if not isinstance(history, list):
            raise DataError(f"{path}, user {key}: got a {type(history).__name__}; {_EXPECTED}")
        bad = [item for item in history if type(item) is not int or abs(item) >= 2**63]
        if bad:
            raise DataError(f"{path}, user {key}: got item {bad[0]!r}; expected an integer")
        users += [int(key)] * len(history)
        items += history
    return Pairs(np.array(users, dtype=np.int64), np.array(items, dtype=np.int64), path, users, "user")


def _parse(path: Path) -> list[tuple[str, Any]]:
    """The object in `path` as (key, value) pairs; a dict would keep only the last of two entries of one user."""
    try:
        found = json.loads(read_text(path), object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg}); {_EXPECTED}") from error
    if not isinstance(found, _Pairs):
        raise DataError(f"{path}: got a JSON {type(found).__name__}; {_EXPECTED}")
    return found


class _Pairs(list):
    """A JSON object; a class of its own, to be told from a JSON array."""
