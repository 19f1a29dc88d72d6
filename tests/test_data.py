import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmkd_core import DataError, Dataset, Embeddings

SOURCES = {"train": "trnMat.pkl", "val": "valMat.pkl", "test": "tstMat.pkl", "image": "image_feat.npy"}


def toy(**changes):
    values = {
        "train": torch.tensor([[1, 2], [0, 1], [0, 0]]),
        "val": torch.tensor([[0, 2]]),
        "test": torch.tensor([[2, 3]]),
        "features": {"image": torch.arange(8.0).view(4, 2)},
        "sources": SOURCES,
    }
    return Dataset("toy", **{"num_users": 3, "num_items": 4} | values | changes)


NONE = torch.empty(0, 2, dtype=torch.int64)
NAN, INFINITE = torch.ones(4, 2), torch.ones(4, 2)
NAN[2, 1], INFINITE[3, 0] = torch.nan, torch.inf


def test_a_user_without_training_interactions_is_legal():
    assert toy().test.tolist() == [[2, 3]]


def test_edges_are_int64_and_sorted():
    data = toy(train=np.array([[1, 2], [0, 1], [0, 0]], dtype=np.int32))
    assert data.train.dtype == torch.int64
    assert data.train.tolist() == [[0, 0], [0, 1], [1, 2]]


def test_features_become_float32_whatever_the_file_held():
    data = toy(features={"image": np.ones((4, 2), dtype=np.float16)})
    assert data.features["image"].dtype == torch.float32


@pytest.mark.parametrize("split", ["val", "test"])
def test_an_empty_val_or_test_split_is_legal(split):
    assert getattr(toy(**{split: NONE}), split).shape == (0, 2)


def test_a_data_set_without_features_is_legal():
    assert toy(features={}).features == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": torch.tensor([[0, 0], [3, 1]])}, "trnMat.pkl), row 1: user id 3 is out of range; expected 0 to 2"),
        ({"val": torch.tensor([[0, -1]])}, "valMat.pkl), row 0: item id -1 is out of range; expected 0 to 3"),
        ({"test": torch.tensor([[2, 3], [2, 4]])}, "tstMat.pkl), row 1: item id 4 is out of range; expected 0 to 3"),
        ({"train": torch.tensor([[1, 1], [0, 0], [1, 1]])}, "trnMat.pkl), row 2: user 1, item 1 appears twice"),
        ({"val": torch.tensor([[0, 1]])}, "valMat.pkl), row 0: user 0, item 1 is also in toy, train (trnMat.pkl)"),
        ({"test": torch.tensor([[1, 2]])}, "tstMat.pkl), row 0: user 1, item 2 is also in toy, train (trnMat.pkl)"),
        ({"test": torch.tensor([[0, 2]])}, "tstMat.pkl), row 0: user 0, item 2 is also in toy, val (valMat.pkl)"),
        ({"train": torch.tensor([0, 1])}, "trnMat.pkl): got shape (2,); expected (edges, 2)"),
        ({"train": torch.tensor([[0.0, 1.0]])}, "trnMat.pkl): got dtype torch.float32; expected integer ids"),
        ({"train": torch.tensor([[False, True]])}, "trnMat.pkl): got dtype torch.bool; expected integer ids"),
        ({"train": NONE}, "trnMat.pkl): no training interaction; expected at least one"),
        ({"num_users": 2**62}, "items; expected under 2^63 pairs"),
        ({"num_users": 0}, "got 0 users and 4 items; expected at least one of each"),
        ({"features": {"image": torch.ones(3, 2)}}, "image_feat.npy): got 3 rows; expected one an item, 4"),
        ({"features": {"image": torch.ones(4)}}, "image_feat.npy): got shape (4,) of torch.float32"),
        (
            {"features": {"image": torch.ones(4, 2, dtype=torch.int64)}},
            "image_feat.npy): got shape (4, 2) of torch.int",
        ),
        ({"features": {"image": torch.ones(4, 0)}}, "image_feat.npy): got width 0; expected at least one column"),
        ({"features": {"image": NAN}}, "image_feat.npy), row 2: holds NaN or infinity; expected finite numbers"),
        ({"features": {"image": INFINITE}}, "image_feat.npy), row 3: holds NaN or infinity"),
        ({"features": {"image": 1e300 * torch.ones(4, 2).double()}}, "image_feat.npy), row 0: holds NaN or infinity"),
    ],
)
def test_invalid_data_raises_with_file_row_and_what_was_expected(changes, message):
    with pytest.raises(DataError, match=re.escape(message)):
        toy(**changes)


def test_without_a_source_the_message_still_names_the_data_set_and_the_part():
    with pytest.raises(DataError, match=r"^toy, image: got 3 rows"):
        toy(features={"image": torch.ones(3, 2)}, sources={})


def test_the_fingerprint_ignores_the_order_of_rows_and_where_they_came_from():
    data = toy(train=toy().train.flip(0), sources={}, notes=("seen",), user_ids=torch.arange(3) + 7)
    assert data.fingerprint == toy().fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"num_users": 4},
        {"num_items": 5, "features": {}},
        {"train": torch.tensor([[0, 0], [1, 2]])},
        {"val": toy().test, "test": toy().val},
        {"val": NONE, "test": torch.tensor([[0, 2], [2, 3]])},
        {"features": {}},
        {"features": {"text": toy().features["image"]}},
        {"features": {"image": toy().features["image"].nextafter(torch.tensor(torch.inf))}},
        {"features": {"image": toy().features["image"].view(4, 2).flip(1)}},
    ],
)
def test_the_fingerprint_changes_with_all_that_a_result_depends_on(changes):
    assert toy(**changes).fingerprint != toy().fingerprint


pairs = st.sets(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=3)


def edges(rows):
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 2)


@given(pairs.map(list), st.data())
def test_what_goes_in_comes_out_sorted(rows, draw):
    cut = sorted(draw.draw(st.lists(st.integers(1, len(rows)), min_size=2, max_size=2)))
    parts = rows[: cut[0]], rows[cut[0] : cut[1]], rows[cut[1] :]
    data = Dataset("any", 5, 7, *(edges(part) for part in parts))
    assert [getattr(data, split).tolist() for split in ("train", "val", "test")] == [
        [list(pair) for pair in sorted(part)] for part in parts
    ]


@given(pairs.map(list), st.data())
def test_a_pair_that_comes_again_anywhere_is_refused(rows, draw):
    cut = draw.draw(st.integers(1, len(rows) - 1))
    again = draw.draw(st.sampled_from(rows))
    split = draw.draw(st.sampled_from(["train", "val", "test"]))
    parts = {"train": rows[:cut], "val": rows[cut:], "test": []}
    parts[split] = [*parts[split], again]
    with pytest.raises(DataError, match=f"user {again[0]}, item {again[1]}"):
        Dataset("any", 5, 7, **{name: edges(part) for name, part in parts.items()})


def test_embeddings_score_by_inner_products():
    tables = Embeddings(torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([[3.0, 1.0], [0.0, 5.0], [1.0, 1.0]]))
    assert tables.scores(torch.tensor([1, 0])).tolist() == [[-1.0, -5.0, -1.0], [5.0, 10.0, 3.0]]
