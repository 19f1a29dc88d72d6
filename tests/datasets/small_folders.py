"""Small data sets, written in every layout."""

import json
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from mmkd_core.data import DataError
from mmkd_core.datasets import load

NUM_USERS, NUM_ITEMS = 4, 5
SPLITS = {
    "train": [(0, 0), (0, 1), (1, 2), (2, 3), (3, 4)],
    "val": [(0, 2), (1, 3)],
    "test": [(2, 0), (3, 1)],
}


def write_features(folder, num_items=NUM_ITEMS):
    """Two modalities: image in float16, text in float64."""
    rng = np.random.default_rng(0)
    np.save(folder / "image_feat.npy", rng.normal(size=(num_items, 3)).astype(np.float16))
    np.save(folder / "text_feat.npy", rng.normal(size=(num_items, 2)))


def write_mmrec(folder, splits):
    rows = [f"{user}\t{item}\t{label}" for label, pairs in enumerate(splits.values()) for user, item in pairs]
    (folder / "some.inter").write_text("\n".join(["userID\titemID\tx_label", *rows, ""]))


def write_matrix(path, pairs, shape=(NUM_USERS, NUM_ITEMS), kind=sp.coo_matrix, protocol=3):
    users, items = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    path.write_bytes(pickle.dumps(kind((np.ones(len(users)), (users, items)), shape=shape), protocol=protocol))


def write_diffmm(folder, splits):
    for split, file in (("train", "trnMat.pkl"), ("val", "valMat.pkl"), ("test", "tstMat.pkl")):
        write_matrix(folder / file, splits[split])


def histories(pairs):
    lists = {}
    for user, item in pairs:
        lists.setdefault(user, []).append(item)
    return lists


def write_json(folder, splits):
    for split, pairs in splits.items():
        (folder / f"{split}.json").write_text(json.dumps(histories(pairs)))


def write_matrices(folder, splits):
    for split, pairs in splits.items():
        write_matrix(folder / f"{split}_mat", pairs, kind=sp.csr_matrix)


def write_megcf(folder, splits):
    for split, file in (("train", "train.txt"), ("val", "validation.txt"), ("test", "test.txt")):
        lines = [" ".join(map(str, [user, *items])) for user, items in histories(splits[split]).items()]
        (folder / file).write_text("\n".join(lines))


def write_recbole(folder, splits):
    for split, pairs in splits.items():
        lines = ["user_id:token\titem_id:token", *(f"{user}\t{item}" for user, item in pairs)]
        (folder / f"x.{'valid' if split == 'val' else split}.inter").write_text("\n".join([*lines, ""]))


def write_lightgcn(folder, splits):
    """With a validation file, which is not usual."""
    write_megcf(folder, splits)
    (folder / "validation.txt").rename(folder / "valid.txt")


WRITERS = {
    "mmrec": write_mmrec,
    "diffmm": write_diffmm,
    "json": write_json,
    "matrices": write_matrices,
    "megcf": write_megcf,
    "recbole": write_recbole,
    "lightgcn": write_lightgcn,
}


def refused(folder, *said, **options):
    """The message with which the folder is refused, which must say all of `said`."""
    with pytest.raises(DataError) as caught:
        load(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    for words in said:
        assert str(words) in message
    return message
