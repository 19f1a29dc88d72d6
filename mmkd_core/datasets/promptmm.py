"""The layouts of PromptMM and MMSSL and of DiffMM: a file for each split, and `*_feat.npy`.

The former call a split `train.json`, or `train_mat` where it is a pickled matrix, `.pkl` after it or not, and some say
valid for val; DiffMM's are matrices alone.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from mmkd_core.data import SPLITS, DataError
from mmkd_core.datasets.assemble import Content, Pairs
from mmkd_core.datasets.features import npy_features
from mmkd_core.datasets.pickles import load_matrix
from mmkd_core.datasets.text import is_integer, read_text
from mmkd_core.settings import quoted

# The first file that is there is read; JSON first, as in the released code.
NAMES = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
PROMPTMM = {
    split: tuple(f"{name}{end}" for end in (".json", "_mat", "_mat.pkl") for name in NAMES[split]) for split in SPLITS
}
DIFFMM = {"train": ("trnMat.pkl",), "val": ("valMat.pkl",), "test": ("tstMat.pkl",)}
_EXPECTED = 'expected {"user id": [item id, ...], ...}'


def load_promptmm(folder: Path) -> Content:
    """What is in a `folder` of PromptMM's."""
    return _load(folder, PROMPTMM)


def load_diffmm(folder: Path) -> Content:
    """What is in a `folder` of DiffMM's."""
    return _load(folder, DIFFMM)


def _load(folder: Path, files: dict[str, tuple[str, ...]]) -> Content:
    """Users and items are counted by the shape of the matrices, where any split is read from one."""
    splits, shapes = {}, {}
    for split, names in files.items():
        there = [name for name in names if (folder / name).exists()]
        if len({name.replace(".", "_").split("_")[0] for name in there}) > 1:
            raise DataError(f"{folder}: got {quoted(there)}; expected {split} under one name")
        path = folder / (there or names)[0]
        if path.suffix == ".json":
            splits[split] = _read_lists(path)
        else:
            matrix = load_matrix(path)
            shapes[path.name] = matrix.shape
            users, items = (axis.astype(np.int64) for axis in matrix.coords)
            splits[split] = Pairs(users, items, path, range(len(users)), "entry")
    if len(set(shapes.values())) > 1:
        raise DataError(f"{folder}: got matrices of shapes {shapes}; expected one (num_users, num_items) in all")
    return Content(splits, *npy_features(folder, splits), shape=next(iter(shapes.values()), None))


def _read_lists(path: Path) -> Pairs:
    users: list[int] = []
    items: list[int] = []
    for key, history in _parse(path):
        if not is_integer(key) or key.startswith("-"):
            raise DataError(f"{path}: got user {quoted(key)}; {_EXPECTED}, ids below 2^63, without leading zeros")
        if not isinstance(history, list):
            kind = "dict" if isinstance(history, tuple) else type(history).__name__
            raise DataError(f"{path}, user {key}: got a {kind}; {_EXPECTED}")
        bad = [item for item in history if type(item) is not int]
        if bad:
            raise DataError(f"{path}, user {key}: got item {quoted(bad[0])}; expected an integer below 2^63")
        users += [int(key)] * len(history)
        items += history
    return Pairs(np.array(users, dtype=np.int64), np.array(items, dtype=np.int64), path, users, "user")


def _parse(path: Path) -> tuple[tuple[str, Any], ...]:
    """The object in `path` as a tuple of (key, value); a dict would keep only the last of two entries of one user.

    A number that is too long for an id stays text, which is no id.
    """
    try:
        users = json.loads(
            read_text(path),
            object_pairs_hook=tuple,
            parse_int=lambda digits: int(digits) if is_integer(digits) else digits,
        )
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg}); {_EXPECTED}") from error
    except RecursionError:
        raise DataError(f"{path}: brackets in brackets, too deep to be read; {_EXPECTED}") from None
    if not isinstance(users, tuple):
        raise DataError(f"{path}: got a JSON {type(users).__name__}; {_EXPECTED}")
    return users
