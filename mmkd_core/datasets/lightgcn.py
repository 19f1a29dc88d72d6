"""The layout of LightGCN and NGCF: `train.txt` and `test.txt`, a line of each `user item item ...`; and `*_feat.npy`.

These have no validation, and without one nothing can be selected: it is held out of train, always in the same way.
"""

from pathlib import Path

import numpy as np

from mmkd_core.data import DataError
from mmkd_core.datasets.assemble import Content, Pairs
from mmkd_core.datasets.features import npy_features
from mmkd_core.datasets.megcf import FILES, read_lists
from mmkd_core.datasets.splitting import RULES, VAL_SHARE, without_validation
from mmkd_core.settings import quoted

VALIDATION = ("valid.txt", "val.txt")  # names that others give to theirs


def load_lightgcn(folder: Path) -> Content:
    """What is in `folder`; a validation file is read if there is one, else `without_validation` says what is held out.

    The notes say how many pairs that are, and by which rule.
    """
    splits = {split: read_lists(folder / FILES[split]) for split in ("train", "test")}
    there = [name for name in VALIDATION if (folder / name).exists()]
    if len(there) > 1:
        raise DataError(f"{folder}: got {quoted(there)}; expected validation under one name")
    notes = []
    if there:
        splits["val"] = read_lists(folder / there[0])
    else:
        splits["train"], splits["val"], note = _held_out(splits["train"])
        notes = [f"{folder}: no {' or '.join(VALIDATION)}; {note}"]
    features, files, on_files = npy_features(folder, splits)
    return Content(splits, features, files, [*notes, *on_files])


def _held_out(train: Pairs) -> tuple[Pairs, Pairs, str]:
    held = without_validation(train.users, train.items)
    note = (
        f"{held.sum():,} of the {len(held):,} pairs of {train.file.name} are held out for validation: "
        f"{RULES['random']}; the share is {VAL_SHARE:g}, and the draw always the same"
    )
    return train.only(~held), train.only(np.flatnonzero(held)), note
