"""Folders in every layout: what was written is what is loaded, and what is wrong is named."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_folders import (
    NUM_ITEMS,
    NUM_USERS,
    SPLITS,
    WRITERS,
    refused,
    write_features,
    write_json,
    write_matrix,
    write_mmrec,
)

from mmkd_core.data import DataWarning
from mmkd_core.datasets import load


@st.composite
def splits(draw):
    """Disjoint splits over ids that all occur, so that every layout counts the same users and items."""
    num_users, num_items = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    everything = [(user, item) for user in range(num_users) for item in range(num_items)]
    parts = draw(st.lists(st.integers(0, 3), min_size=len(everything), max_size=len(everything)))
    made = {"train": [], "val": [], "test": []}
    for pair, part in zip(everything, parts, strict=True):
        if part < 3:
            made[list(made)[part]].append(pair)
    seen = [pair for pairs in made.values() for pair in pairs]
    users, items = sorted({user for user, _ in seen}), sorted({item for _, item in seen})
    return {split: [(users.index(u), items.index(i)) for u, i in pairs] for split, pairs in made.items()}


@pytest.mark.parametrize("layout", WRITERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=splits().filter(lambda made: made["train"]), data=st.data())
def test_what_is_written_in_a_layout_is_loaded(tmp_path_factory, layout, made, data):
    folder = tmp_path_factory.mktemp(layout)
    shuffled = {split: data.draw(st.permutations(pairs)) for split, pairs in made.items()}
    everything = [pair for pairs in made.values() for pair in pairs]
    shape = tuple(1 + max(axis) for axis in zip(*everything, strict=True))
    if layout in ("diffmm", "matrices"):
        names = {"diffmm": ("trnMat.pkl", "valMat.pkl", "tstMat.pkl"), "matrices": ("train_mat", "val_mat", "test_mat")}
        for file, pairs in zip(names[layout], shuffled.values(), strict=True):
            write_matrix(folder / file, pairs, shape)
    else:
        WRITERS[layout](folder, shuffled)
    found = load(folder)
    assert (found.num_users, found.num_items) == shape
    assert found.features == {}
    for split, pairs in made.items():
        assert getattr(found, split).tolist() == [list(pair) for pair in sorted(pairs)]


@pytest.mark.parametrize("layout", ["mmrec", "diffmm", "json", "matrices", "recbole", "lightgcn"])
def test_features_are_float32_whatever_they_were(folder, layout):
    WRITERS[layout](folder, SPLITS)
    write_features(folder)
    found = load(folder)
    assert found.name == "small"
    assert list(found.features) == ["image", "text"]
    assert {x.dtype for x in found.features.values()} == {torch.float32}
    stored = np.load(folder / "image_feat.npy")
    assert torch.equal(found.features["image"], torch.from_numpy(stored.astype(np.float32)))


def test_float16_does_not_overflow(diffmm):
    np.save(diffmm / "image_feat.npy", np.full((NUM_ITEMS, 3), 60_000, dtype=np.float16))
    assert load(diffmm).features["image"].sum() == 60_000 * 15


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, bool, ">f4"])
def test_any_numbers_make_features(diffmm, dtype):
    np.save(diffmm / "image_feat.npy", np.asfortranarray(np.eye(NUM_ITEMS, 3).astype(dtype)))
    assert load(diffmm).features["image"].tolist() == np.eye(NUM_ITEMS, 3).tolist()


def test_mmrec_columns_are_found_by_name(folder):
    (folder / "x.inter").write_text("x_label\ttime\titemID\tuserID\r\n0\t9\t3\t1\r\n2\t9\t0\t0\r\n")
    np.save(folder / "vggish.npy", np.ones((4, 2)))
    with pytest.warns(DataWarning, match="0 of 2 users and 2 of 4 items have no interaction in any split"):
        found = load(folder)
    assert found.train.tolist() == [[1, 3]]
    assert found.test.tolist() == [[0, 0]]
    assert list(found.features) == ["vggish"]


def test_users_and_items_without_interactions_count_in_matrices_and_features(folder):
    write_json(folder, {"train": [(0, 0)], "val": [(2, 1)], "test": []})
    np.save(folder / "image_feat.npy", np.ones((9, 2)))
    with pytest.warns(DataWarning, match="1 of 3 users and 7 of 9 items have no interaction"):
        found = load(folder)
    assert (found.num_users, found.num_items) == (3, 9)
    write_matrix(folder / "test_mat", [], (5, 9))
    (folder / "test.json").unlink()
    with pytest.warns(DataWarning, match="3 of 5 users and 7 of 9 items"):
        assert load(folder).num_users == 5


def test_two_layouts_want_a_choice(mmrec):
    write_json(mmrec, {"train": [(0, 1)], "val": [], "test": []})
    refused(mmrec, "fits the layouts ['mmrec', 'promptmm']", "layout=")
    with pytest.warns(DataWarning, match="1 of 1 users|4 of 5 items"):
        assert len(load(mmrec, layout="promptmm").train) == 1
    assert len(load(mmrec, layout="mmrec").train) == 5
    refused(mmrec, "unknown layout 'csv'", "one of ['mmrec', 'promptmm', 'diffmm', 'megcf', 'parquet', ", layout="csv")


def test_no_layout_lists_what_each_needs(folder):
    refused(folder, "got no files", "*.inter", "train.json or train_mat", "trnMat.pkl", "validation.txt")
    np.save(folder / "image_feat.npy", np.ones((3, 3)))
    refused(folder, "got ['image_feat.npy']", "expected the files of one layout")


@pytest.mark.parametrize(
    ("layout", "file"),
    [("diffmm", "valMat.pkl"), ("json", "test.json"), ("matrices", "train_mat"), ("megcf", "test.txt")],
)
def test_a_missing_file_is_named_with_what_the_layout_needs(folder, layout, file):
    WRITERS[layout](folder, SPLITS)
    (folder / file).unlink()
    refused(folder, folder, f"no file {file}" if layout != "matrices" else "no file train.json or train_mat", "needs")


def test_a_json_folder_of_the_released_code_is_loaded(folder):
    # reference: train.json and a pickled train_mat side by side, validation and test as JSON alone
    write_json(folder, SPLITS)
    write_matrix(folder / "train_mat", SPLITS["train"], kind=sp.csr_matrix)
    write_features(folder)
    assert json.loads((folder / "train.json").read_text())["0"] == [0, 1]
    assert load(folder).num_users == NUM_USERS


def test_a_folder_is_found_under_the_root(tmp_path, mmrec, monkeypatch):
    assert load("small", root=tmp_path).name == "small"
    monkeypatch.setenv("MMKD_DATA", str(tmp_path))
    assert load("small").name == "small"
    write_mmrec(mmrec, {**SPLITS, "train": SPLITS["train"][1:]})
    assert len(load(str(mmrec)).train) == 4
