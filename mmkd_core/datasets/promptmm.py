"""The layout of PromptMM and MMSSL: `train`, `val`, `test`, each `.json` or a pickled `_mat`, and `*_feat.npy`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mmkd_core.data import SPLITS, DataError, Dataset
from mmkd_core.datasets.assemble import DEFAULT, Choices, Pairs, assemble
from mmkd_core.datasets.diffmm import matrix_pairs
from mmkd_core.datasets.features import FEATURES, feature_files, read_features, unread
from mmkd_core.datasets.text import is_integer, read_text
from mmkd_core.settings import quoted

# The first file that is there is read; JSON first, as in the released code.
FILES = {split: (f"{split}.json", f"{split}_mat") for split in SPLITS}
_EXPECTED = 'expected {"user id": [item id, ...], ...}'


def load_promptmm(folder: Path, name: str, choices: Choices = DEFAULT) -> Dataset:
    """The data set in `folder`; its size is the shape of the matrices, where any split is read from one."""
    lists, matrices = {}, {}
    for split, (text, pickled) in FILES.items():
        if (folder / text).exists():
            lists[split] = _read_lists(folder / text)
        else:
            matrices[split] = folder / pickled
    splits, shape = matrix_pairs(matrices) if matrices else ({}, None)
    files = feature_files(folder)
    splits |= lists
    notes = unread(folder, [*(pairs.file for pairs in splits.values()), *files.values()], FEATURES, bool(files))
    return assemble(name, splits, read_features(files), files, shape, notes=notes, choices=choices)


def _read_lists(path: Path) -> Pairs:
    users: list[int] = []
    items: list[int] = []
    for key, history in _parse(path):
        if not is_integer(key) or key.startswith("-"):
            raise DataError(f"{path}: got user {quoted(key)}; {_EXPECTED}, ids below 2^63, without leading zeros")
        if not isinstance(history, list) or isinstance(history, _Pairs):
            kind = "dict" if isinstance(history, _Pairs) else type(history).__name__
            raise DataError(f"{path}, user {key}: got a {kind}; {_EXPECTED}")
        bad = [item for item in history if type(item) is not int]
        if bad:
            raise DataError(f"{path}, user {key}: got item {quoted(bad[0])}; expected an integer below 2^63")
        users += [int(key)] * len(history)
        items += history
    return Pairs(np.array(users, dtype=np.int64), np.array(items, dtype=np.int64), path, users, "user")


def _parse(path: Path) -> list[tuple[str, Any]]:
    """The object in `path` as (key, value) pairs; a dict would keep only the last of two entries of one user."""
    try:
        users = json.loads(read_text(path), object_pairs_hook=_Pairs, parse_int=_id)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg}); {_EXPECTED}") from error
    except RecursionError:
        raise DataError(f"{path}: brackets in brackets, too deep to be read; {_EXPECTED}") from None
    if not isinstance(users, _Pairs):
        raise DataError(f"{path}: got a JSON {type(users).__name__}; {_EXPECTED}")
    return users


def _id(digits: str) -> int | str:
    """A number of a JSON file; one that is too long for an id stays text, which is no id."""
    return int(digits) if is_integer(digits) else digits


class _Pairs(list):
    """A JSON object; a class of its own, to be told from a JSON array."""
