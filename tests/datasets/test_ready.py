"""Ready splits under the names that others give them: read in place, or made a data folder with their ids."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from small_folders import SPLITS, WRITERS, refused, write_features, write_lightgcn, write_matrix, write_recbole

from mmkd_core.__main__ import main
from mmkd_core.data import SPLITS as PARTS
from mmkd_core.data import DataError, DataWarning
from mmkd_core.datasets import load
from mmkd_core.datasets.importing import Card, import_folder
from mmkd_core.datasets.splitting import without_validation


def pairs_of(data):
    return {split: [tuple(pair) for pair in getattr(data, split).tolist()] for split in PARTS}


def named(out):
    """The pairs of each split of an imported folder by their ids."""
    ids = pd.read_parquet(out / "ids.parquet")
    users, items = (ids[ids.kind == kind].set_index("number").id for kind in ("user", "item"))
    table = pd.read_csv(out / f"{out.name}.inter", sep="\t")
    return {
        split: {(users[u], items[i]) for u, i, x in table.itertuples(index=False) if x == label}
        for label, split in enumerate(PARTS)
    }


# --- names ---


@pytest.mark.parametrize("end", [".json", "_mat", "_mat.pkl"])
@pytest.mark.parametrize("validation", ["val", "valid"])
def test_validation_has_either_name_in_every_form(end, validation, folder):
    for split, pairs in SPLITS.items():
        path = folder / f"{validation if split == 'val' else split}{end}"
        if end == ".json":
            path.write_text(json.dumps({user: [item for other, item in pairs if other == user] for user, _ in pairs}))
        else:
            write_matrix(path, pairs, kind=sp.csr_matrix)
    assert pairs_of(load(folder)) == {split: sorted(pairs) for split, pairs in SPLITS.items()}


def test_two_validations_are_none(folder):
    write_lightgcn(folder, SPLITS)
    shutil.copy(folder / "valid.txt", folder / "val.txt")
    refused(folder, "got ['valid.txt', 'val.txt']; expected validation under one name")


def test_splits_of_recbole_are_no_single_table(folder):
    write_recbole(folder, SPLITS)
    (folder / "x.inter").write_text("user_id:token\titem_id:token\n0\t0\n")  # the whole of it often lies there, too
    with pytest.warns(DataWarning, match="seen and not read: x.inter"):
        data = load(folder)
    assert pairs_of(data) == {split: sorted(pairs) for split, pairs in SPLITS.items()}


def test_ratings_of_recbole_count_from_the_least_one(folder):
    for split in ("train", "valid", "test"):
        rows = "".join(f"{user}\t0\t{user}.5\n" for user in (2, 0, 1)) if split == "train" else ""
        (folder / f"x.{split}.inter").write_text(f"user_id:token\titem_id:token\trating:float\n{rows}")
    with pytest.warns(DataWarning, match="1 of 3 users"):
        assert load(folder, min_rating=1).train.tolist() == [[1, 0], [2, 0]]
    with pytest.warns(DataWarning, match="the column 'rating' is not read and each of the 3 lines counts"):
        assert len(load(folder).train) == 3


# --- what is held out where there is no validation ---


def write_without_validation(folder):
    """LightGCN's lists: of four users the choices 0 to 4, and one test item."""
    train = [(user, item) for user in range(4) for item in range(5)]
    write_lightgcn(folder, {"train": train, "val": [], "test": [(0, 5)]})
    (folder / "valid.txt").unlink()


CHOICES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=90)


@given(CHOICES, st.randoms(use_true_random=False))
def test_the_same_tenth_is_held_out_in_whatever_order(choices, random):
    def held(pairs):
        users, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return {pair for pair, out in zip(pairs, without_validation(users, items), strict=True) if out}

    shuffled = random.sample(choices, len(choices))
    assert held(choices) == held(shuffled)
    for user in range(5):
        own = {pair for pair in choices if pair[0] == user}
        assert len(held(choices) & own) == (0 if len(own) < 3 else max(1, len(own) // 10))


def test_what_is_held_out_never_changes():
    users, items = np.divmod(np.arange(60), 20)  # fingerprints rest on it
    assert np.flatnonzero(without_validation(users, items)).tolist() == [5, 9, 26, 27, 45, 52]


def test_lists_without_validation_say_what_is_held_out(folder, capsys):
    write_lightgcn(
        folder, {**SPLITS, "train": [(user, item) for user in range(4) for item in range(5)], "test": [(0, 5)]}
    )
    (folder / "valid.txt").unlink()
    said = (
        "no valid.txt or val.txt; 4 of the 20 pairs of train.txt are held out for validation: .* at least one; .* 0.1"
    )
    with pytest.warns(DataWarning, match=said):
        data = load(folder)
    assert {split: len(pairs) for split, pairs in pairs_of(data).items()} == {"train": 16, "val": 4, "test": 1}
    assert main(["data", "check", str(folder)]) == 0
    assert "held out for validation" in capsys.readouterr().out


def test_a_pair_that_stands_twice_in_such_a_list_is_named(folder):
    (folder / "train.txt").write_text("0 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9\n")
    (folder / "test.txt").write_text("0 10\n")
    refused(folder, "train.txt, line 1: user 0, item", "is also in", "expected each pair once")


# --- a folder as the source of an import ---


@pytest.mark.parametrize("layout", WRITERS)
def test_what_is_read_in_place_is_what_an_import_writes(layout, folder, tmp_path, capsys):
    WRITERS[layout](folder, SPLITS)
    if layout not in ("megcf", "recbole"):
        write_features(folder)
    assert main(["import", str(folder), str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    own = load(folder)
    assert named(tmp_path / "out") == {
        split: {(str(user), str(item)) for user, item in pairs} for split, pairs in SPLITS.items()
    }
    made = load(tmp_path / "out")
    assert sorted(made.features) == sorted(own.features)
    if layout != "recbole":  # whose tokens are numbered as they come
        assert made.fingerprint == own.fingerprint
    card = Card.read(tmp_path / "out")
    assert card.log["files"].keys() == {path.name for path in folder.iterdir() if path.suffix != ".npy"}
    for name, sum_ in card.log["files"].items():
        assert sum_ == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert said.startswith(
        "small: 9 rows\nafter reading: 9 interactions, 4 users, 5 items\nsplit as the files have it:"
    )


def test_tokens_of_any_text_get_numbers_and_are_kept(folder, tmp_path):
    texts = {split: [(f"u {user}", f"é{item}") for user, item in pairs] for split, pairs in SPLITS.items()}
    write_recbole(folder, texts)
    write_features(folder)
    refused(folder, "x.train.inter, line 2: got user_id 'u 0'", "`mmkd import small OUT`")
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "image.npy", np.arange(10.0).reshape(5, 2))
    (tmp_path / "features" / "ids.txt").write_text("é4\né3\né2\né1\né0\n")
    card = import_folder(folder, tmp_path / "out", features=tmp_path / "features")
    assert named(tmp_path / "out") == {split: {*pairs} for split, pairs in texts.items()}
    assert load(tmp_path / "out").features["image"][:2].tolist() == [[8, 9], [6, 7]]  # é0 comes first, then é1
    assert "seen and not read: image_feat.npy, text_feat.npy" in card.not_read[0]
    assert "--features FOLDER" in card.not_read[0]


def test_what_is_held_out_stands_in_the_card_and_on_the_terminal(folder, tmp_path, capsys):
    write_lightgcn(
        folder, {**SPLITS, "train": [(user, item) for user in range(4) for item in range(5)], "test": [(0, 5)]}
    )
    (folder / "valid.txt").unlink()
    assert main(["import", str(folder), str(tmp_path / "out")]) == 0
    assert "note: " in (said := capsys.readouterr().out)
    assert "4 of the 20 pairs of train.txt are held out" in said
    card = Card.read(tmp_path / "out")
    assert card.split["rule"].startswith("as the files have it, validation held out of train: ")
    assert card.split["val"] == 4
    with pytest.warns(DataWarning, match="held out"):
        own = load(folder)
    assert load(tmp_path / "out").fingerprint == own.fingerprint


def test_pairs_of_two_splits_stay_where_they_stand_first_if_told_so(folder, tmp_path):
    write_recbole(folder, {**SPLITS, "test": SPLITS["train"][:2] + SPLITS["test"]})
    with pytest.raises(DataError, match=r"overlap='drop'"):
        import_folder(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    card = import_folder(folder, tmp_path / "out", overlap="drop")
    assert card.split["test"] == len(SPLITS["test"])
    assert "left out 0 of 5 pairs of train, 0 of 2 pairs of val, 2 of 4 pairs of test" in card.not_read[0]
