"""MEGCF's lists: the rule that makes splits and features of them."""

import warnings

import numpy as np
import pytest
import torch
from small_folders import SPLITS, WRITERS, refused

from mmkd_core.data import DataWarning
from mmkd_core.datasets import load
from mmkd_core.datasets.megcf import load_wide


def test_megcf_cleans_train_renumbers_and_reduces(folder):
    (folder / "train.txt").write_text("10 7 3 9 7\n2 3\n10 3 5\n")
    (folder / "validation.txt").write_text("10 9\n")
    (folder / "test.txt").write_text("2 5\n")
    (folder / "i2e_visual.txt").write_text("3 100 7\n5 100\n7 100 7 7\n8 55\n")
    with pytest.warns(DataWarning, match=r"train\.txt: 3 pairs left out"):
        found = load(folder)
    assert found.user_ids.tolist() == [2, 10]
    assert found.item_ids.tolist() == [3, 5, 7, 9]
    assert (found.num_users, found.num_items) == (2, 4)  # users 2, 10; items 3, 5, 7, 9
    assert found.train.tolist() == [[0, 0], [1, 0], [1, 1], [1, 2]]
    assert found.val.tolist() == [[1, 3]]
    assert found.test.tolist() == [[0, 1]]
    assert list(found.features) == ["image"]
    image = found.features["image"]  # the entities 7 and 100; 55 is of an item that nobody has
    idf = np.log(5 / np.array([3, 4])) + 1
    assert image[1].tolist() == [0, 1]
    assert image[3].tolist() == [0, 0]
    assert torch.allclose(image[0], torch.tensor(idf / np.linalg.norm(idf), dtype=torch.float32))
    assert torch.equal(image[0], image[2])


def test_megcf_reduces_many_entities_to_128_columns(folder):
    WRITERS["megcf"](folder, {"train": [(0, item) for item in range(150)], "val": [], "test": []})
    lines = [f"{item} {item} {1000 + item} {item % 7 + 5000}" for item in range(150)]
    (folder / "i2e_title.txt").write_text("\n".join(lines))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, again = load(folder), load(folder)
    assert first.features["text"].shape == (150, 128)
    assert first.fingerprint == again.fingerprint


def test_wide_features_have_a_column_per_entity(folder):
    WRITERS["megcf"](folder, {"train": [(0, item) for item in range(150)], "val": [], "test": []})
    lines = [f"{item} {item} {1000 + item} {item % 7 + 5000}" for item in range(150)]
    (folder / "i2e_title.txt").write_text("\n".join(lines))
    wide, narrow = load_wide(folder, "shop"), load(folder)
    x = wide.features["text"]
    assert x.shape == (150, 307)
    assert torch.equal((x != 0).sum(1), torch.full((150,), 3))
    most = float(np.square(np.linalg.svd(x.numpy(), compute_uv=False)[:128]).sum())  # that 128 columns can keep
    assert 0.9 * most < float(narrow.features["text"].square().sum()) < most * 1.0001
    assert torch.equal(wide.train, narrow.train)


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("train.txt", "0 1 x", "got 'x'; expected an integer"),
        ("train.txt", "0 -4", "got id -4; expected 0 or more"),
        ("test.txt", "0 2", "user 0, item 2 (test) is also in"),
        ("validation.txt", "0 2", "user 0, item 2 (val) is also in"),
        ("i2e_title.txt", "0 1.5", "got '1.5'; expected an integer"),
        ("i2e_title.txt", "77 1", "no entity of any item"),
    ],
)
def test_megcf_names_file_and_line(folder, file, line, said):
    WRITERS["megcf"](folder, SPLITS)
    path = folder / file
    path.write_text((path.read_text() + "\n" if path.exists() else "") + line)
    place = f", line {len(path.read_text().splitlines())}" if "no entity" not in said else ""
    refused(folder, f"{path}{place}: ", said)


def test_the_derived_beauty_comes_back_from_megcf_text(real_data, folder):
    derived = load("amazon-beauty")
    splits = {split: [tuple(pair) for pair in getattr(derived, split).tolist()] for split in ("train", "val", "test")}
    dirty = splits["train"] + splits["val"] + splits["test"][::2] + splits["train"][::5]
    WRITERS["megcf"](folder, {**splits, "train": sorted(dirty)})
    with pytest.warns(DataWarning, match="pairs left out"):
        found = load(folder)
    for split in splits:
        assert torch.equal(getattr(found, split), getattr(derived, split))
