"""Interactions in Parquet are read in blocks, and are the data set that the same lines of text are."""

import subprocess
import sys
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from small_folders import NUM_ITEMS, SPLITS, refused, write_features, write_mmrec

from mmkd_core.data import DataWarning
from mmkd_core.datasets import load, parquet


def load_quietly(folder, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return load(folder, **options)


def rows_of(splits):
    rows = [(user, item, label) for label, pairs in enumerate(splits.values()) for user, item in pairs]
    return dict(zip(("userID", "itemID", "x_label"), map(list, zip(*rows, strict=True)), strict=True))


def write(folder, *, row_group_size=None, **columns):
    pq.write_table(pa.table({**rows_of(SPLITS), **columns}), folder / "some.parquet", row_group_size=row_group_size)
    write_features(folder)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "small"
    path.mkdir()
    return path


def test_it_is_the_data_set_of_the_same_lines(folder, tmp_path):
    write(folder)
    text = tmp_path / "text"
    text.mkdir()
    write_mmrec(text, SPLITS)
    write_features(text)
    assert load(folder).fingerprint == load(text).fingerprint


def many():
    """2,000 different pairs in random order with random labels."""
    rng = np.random.default_rng(0)
    keys = rng.permutation(100 * 60)[:2000]
    return {"userID": keys // 60, "itemID": keys % 60, "x_label": rng.choice(3, 2000, p=(0.8, 0.1, 0.1))}


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint64, np.int16])
@pytest.mark.parametrize("group", [None, 700])
def test_blocks_change_nothing(folder, monkeypatch, kind, group):
    columns = {name: column.astype(kind) for name, column in many().items()}
    pq.write_table(pa.table(columns), folder / "a.parquet", row_group_size=group)
    whole = load_quietly(folder)
    monkeypatch.setattr(parquet, "BLOCK", 64)
    in_blocks = load_quietly(folder)
    assert in_blocks.fingerprint == whole.fingerprint
    for label, split in enumerate(("train", "val", "test")):
        rows = columns["x_label"] == label
        expected = sorted(zip(columns["userID"][rows].tolist(), columns["itemID"][rows].tolist(), strict=True))
        assert [tuple(pair) for pair in getattr(in_blocks, split).tolist()] == expected
        assert getattr(in_blocks, split).dtype == torch.int64


@pytest.mark.parametrize("block", [3, 2**20])
def test_pairs_that_stand_twice_are_named_or_left_out(folder, monkeypatch, block):
    monkeypatch.setattr(parquet, "BLOCK", block)
    columns = rows_of(SPLITS)
    again = {name: [*column, *column[1:3]] for name, column in columns.items()}
    write(folder, **again)
    refused(folder, "some.parquet, row 9: user 0, item 1 (train) is also in", "some.parquet, row 1 (train)")
    with pytest.warns(DataWarning, match="2 of 7 pairs of train"):
        assert load(folder, overlap="drop").train.tolist() == [list(pair) for pair in SPLITS["train"]]


@pytest.mark.parametrize("block", [3, 2**20])
@pytest.mark.parametrize("far", [2**31 - 1, 2**31, 2**40, 2**62])
def test_large_ids_are_read_and_renumbered(folder, monkeypatch, block, far):
    monkeypatch.setattr(parquet, "BLOCK", block)
    users = rows_of(SPLITS)["userID"]
    write(folder, userID=[far if user == 3 else user for user in users])
    data = load_quietly(folder, compact=True)
    assert data.user_ids.tolist() == [0, 1, 2, far]
    assert data.train.tolist() == [list(pair) for pair in SPLITS["train"]]


def test_ratings_are_read_where_it_is_asked_for(folder):
    write(folder, rating=[4.5, 4, 3.99, 5, 0, 4, 4, 4, 4])
    with pytest.warns(DataWarning, match="column 'rating' is not read and each of the 9 rows .*1 with rating 0"):
        assert len(load(folder).train) == 5
    assert load_quietly(folder, min_rating=4).train.tolist() == [[0, 0], [0, 1], [2, 3]]


NINE = [0] * 9


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"x_label": [0, 0, 3, *NINE[3:]]}, {}, "some.parquet, row 2: got x_label 3; expected 0 (train)"),
        ({"userID": [0, -1, *NINE[2:]]}, {}, "some.parquet, row 1: user id -1 is out of range"),
        ({"itemID": [0, NUM_ITEMS, *NINE[2:]]}, {}, "some.parquet, row 1: item id 5 is out of range; expected 0 to 4"),
        ({"itemID": [0, None, *NINE[2:]]}, {}, "some.parquet, row 1: the column 'itemID' has no value there"),
        ({"itemID": pa.array([0, 2**63, *NINE[2:]], pa.uint64())}, {}, "row 1: got 9223372036854775808 in 'itemID'"),
        ({"userID": [1.0] * 9}, {}, "the column 'userID' is of type 'double'; expected whole numbers"),
        ({"userID": ["a"] * 9}, {}, "the column 'userID' is of type 'string'; expected whole numbers"),
        ({}, {"min_rating": 3}, "some.parquet: got min_rating=3.0 and the columns of ratings []"),
        ({"score": ["4"] * 9}, {"min_rating": 3}, "the column 'score' is of type 'string'; expected numbers"),
        ({"score": [4.0, None, *NINE[2:]]}, {"min_rating": 3}, "row 1: the column 'score' has no value there"),
        ({"score": [4.0, np.nan, *NINE[2:]]}, {"min_rating": 3}, "row 1: got nan in 'score'; expected a number"),
    ],
)
@pytest.mark.parametrize("block", [1, 4])
def test_what_is_wrong_is_named_with_its_row(folder, monkeypatch, columns, options, said, block):
    monkeypatch.setattr(parquet, "BLOCK", block)
    write(folder, **columns)
    refused(folder, said, **options)


def test_columns_that_are_missing_are_named(folder):
    pq.write_table(pa.table({"userID": [0], "item": [0]}), folder / "a.parquet")
    refused(folder, "a.parquet: got columns ['userID', 'item']; expected ['userID', 'itemID', 'x_label']")


@pytest.mark.parametrize("kept", [0, 3, 40, -10])
def test_a_file_that_is_not_whole_is_named(folder, kept):
    write(folder)
    path = folder / "some.parquet"
    path.write_bytes(path.read_bytes()[:kept])
    refused(folder, path, "no whole Parquet file", "expected interactions")


def test_two_files_are_refused(folder):
    write(folder)
    (folder / "b.parquet").write_bytes((folder / "some.parquet").read_bytes())
    refused(folder, "got ['b.parquet', 'some.parquet']; expected one .parquet file")


def test_a_table_of_text_beside_it_asks_for_a_choice(folder):
    write(folder)
    write_mmrec(folder, SPLITS)
    refused(folder, "fits the layouts ['mmrec', 'parquet']; expected one")
    assert load_quietly(folder, layout="parquet").fingerprint == load_quietly(folder, layout="mmrec").fingerprint


def test_without_pyarrow_it_is_said_what_to_install(folder, monkeypatch):
    write(folder)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(folder, "some.parquet: reading Parquet needs pyarrow; pip install 'mmkd-book[parquet]'")


def test_reading_needs_no_pandas(folder):
    write(folder)
    code = (
        f"import sys; sys.modules['pandas'] = None; from mmkd_core import load; print(len(load({str(folder)!r}).train))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "5\n"
