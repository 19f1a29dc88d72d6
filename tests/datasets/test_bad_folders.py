"""What is wrong in a folder is named: the file, the line or row, what was found and what was expected."""

import io

import numpy as np
import pytest
from small_folders import NUM_ITEMS, NUM_USERS, SPLITS, WRITERS, refused, write_features, write_json, write_matrix

from mmkd_core.data import DataWarning
from mmkd_core.datasets import load


@pytest.mark.parametrize("kept", [0, 5, 60, 130, 140])
def test_a_truncated_npy_is_named(diffmm, kept):
    path = diffmm / "image_feat.npy"
    path.write_bytes(path.read_bytes()[:kept])
    refused(diffmm, path, f"{kept} bytes that are no whole .npy", "expected a .npy array of numbers")


def npz():
    made = io.BytesIO()
    np.savez(made, x=np.ones((NUM_ITEMS, 2)))
    return made.getvalue()


@pytest.mark.parametrize("content", [b"not an array at all, only words", npz()], ids=["words", "npz"])
def test_what_is_no_npy_is_named(diffmm, content):
    (diffmm / "image_feat.npy").write_bytes(content)
    refused(diffmm, "image_feat.npy", "no whole .npy", "expected")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([[None, "x"]] * NUM_ITEMS, dtype=object), "no whole .npy array of numbers"),
        (np.ones(NUM_ITEMS), "got shape (5,) of dtype float64"),
        (np.ones((NUM_ITEMS, 2, 2)), "got shape (5, 2, 2)"),
        (np.array([["a"]] * NUM_ITEMS), "got shape (5, 1) of dtype <U1"),
        (np.ones((NUM_ITEMS, 2), dtype=complex), "dtype complex128"),
        (np.ones((NUM_ITEMS - 1, 2)), "got 4 rows; expected one an item, 5"),
        (np.ones((NUM_ITEMS + 1, 2)), "got 6 rows; expected one an item, 5"),
        (np.where(np.eye(NUM_ITEMS, 2, -3), np.nan, 1), "row 3: holds NaN or infinity"),
        (np.where(np.eye(NUM_ITEMS, 2, -2), 1e300, 1), "row 2: holds NaN or infinity"),
    ],
)
def test_features_that_do_not_fit_are_named(diffmm, array, said):
    np.save(diffmm / "image_feat.npy", array)
    refused(diffmm, diffmm / "image_feat.npy", said, "expected")


def test_row_counts_that_differ_are_named_where_no_matrix_gives_the_size(mmrec):
    np.save(mmrec / "text_feat.npy", np.ones((NUM_ITEMS - 1, 2)))
    refused(mmrec, "image_feat.npy': 5", "text_feat.npy': 4", "expected one row an item")


def test_two_files_of_one_modality_are_named(mmrec):
    np.save(mmrec / "image.npy", np.ones((NUM_ITEMS, 2)))
    refused(mmrec, "image.npy and image_feat.npy", "expected one file a modality")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0\t5\t0", "item id 5 is out of range; expected 0 to 4 (one row an item in image_feat.npy, text_feat.npy)"),
        ("-1\t0\t0", "user id -1 is out of range"),
        ("0\t0\t0", "user 0, item 0 (train) is also in"),
        ("0\t0\t1", "user 0, item 0 (val) is also in"),
        ("0\t4\t3", "got x_label 3; expected 0 (train), 1 (val), 2 (test)"),
        ("0\t4", "got 2 fields; expected 3: ['userID', 'itemID', 'x_label']"),
        ("0\tfour\t0", "got 'four'; expected an integer"),
        ("0\t4.0\t0", "got '4.0'; expected an integer"),
        (f"0\t{2**70}\t0", f"got '{2**70}'; expected an integer"),
    ],
)
def test_mmrec_names_the_line(mmrec, line, said):
    path = mmrec / "some.inter"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:5], "", line, *lines[5:]]))
    refused(mmrec, f"{path}, line {7 if 'also' not in said else ''}", said)


def test_a_pair_in_two_splits_names_both_lines(mmrec):
    path = mmrec / "some.inter"
    path.write_text(path.read_text() + "1\t2\t2\n")
    refused(mmrec, f"{path}, line 11: user 1, item 2 (test)", f"{path}, line 4 (train)", "in one split alone")


def test_mmrec_names_missing_columns_and_extra_files(mmrec):
    path = mmrec / "some.inter"
    path.write_text(path.read_text().replace("x_label", "split"))
    refused(
        mmrec, f"{path}, line 1: got columns ['userID', 'itemID', 'split']; expected ['userID', 'itemID', 'x_label']"
    )
    (mmrec / "other.inter").write_text("")
    refused(mmrec, "got ['other.inter', 'some.inter']; expected one .inter file")
    path.unlink()
    refused(mmrec, "other.inter, line 1: got columns []")


def test_text_that_is_no_text_is_named(mmrec):
    (mmrec / "some.inter").write_bytes(b"userID\titemID\tx_label\n\xff\xfe")
    refused(mmrec, "some.inter: not utf-8-sig text (byte 22)")


def test_matrices_name_the_entry_and_differing_shapes(diffmm):
    write_matrix(diffmm / "valMat.pkl", [(0, 2), (2, 0)])
    refused(
        diffmm, f"{diffmm / 'tstMat.pkl'}, entry 0: user 2, item 0 (test)", f"{diffmm / 'valMat.pkl'}, entry 1 (val)"
    )
    write_matrix(diffmm / "valMat.pkl", [(0, 2)], (NUM_USERS + 1, NUM_ITEMS))
    refused(diffmm, "'valMat.pkl': (5, 5)", "expected one (num_users, num_items) in all")


def test_a_matrix_with_an_id_out_of_range_names_file_and_entry(diffmm):
    path = diffmm / "trnMat.pkl"
    path.write_bytes(
        path.read_bytes().replace(np.array([0, 1, 2, 3, 4], "<i4").tobytes(), b"\x00" * 16 + b"\x63\0\0\0")
    )
    refused(diffmm, f"{path}: entry 4: item id 99 is out of range; expected 0 to 4")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"0": [0],\n "1": [1,]}', ", line 2: not JSON"),
        ("[1, 2]", "got a JSON list"),
        ('{"zero": [1]}', "got user 'zero'"),
        ('{"0": 3}', ", user 0: got a int"),
        ('{"0": [1, "2"]}', ", user 0: got item '2'; expected an integer"),
        ('{"0": [true]}', ", user 0: got item True"),
        ('{"0": [5]}', ", user 0: item id 5 is out of range; expected 0 to 4"),
        ('{"0": [0, 0]}', "user 0, item 0 (train) is also in"),
        ('{"0": [0], "0": [0]}', "user 0, item 0 (train) is also in"),
        ('{"0": [2]}', "val.json, user 0: user 0, item 2 (val) is also in"),
        ("{}", "no training interaction"),
    ],
)
def test_json_names_file_and_user(folder, content, said):
    write_json(folder, SPLITS)
    write_features(folder)
    (folder / "train.json").write_text(content)
    refused(folder, folder / "train.json", said, "expected")


def test_json_keeps_both_lists_of_one_user(folder):
    write_json(folder, SPLITS)
    (folder / "train.json").write_text('{"0": [0], "0": [1]}')
    assert load(folder).train.tolist() == [[0, 0], [0, 1]]


def test_json_is_read_where_matrices_lie_beside_it(folder):
    WRITERS["json"](folder, SPLITS)
    WRITERS["matrices"](folder, {**SPLITS, "train": [(3, 3)]})
    with pytest.warns(DataWarning, match="no features; seen and not read: test_mat, train_mat, val_mat; "):
        assert len(load(folder).train) == len(SPLITS["train"])
