"""What can be chosen about a folder: to renumber, to drop what stands twice, to count high ratings alone."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_folders import NUM_ITEMS, SPLITS, WRITERS, refused, write_features, write_matrix, write_mmrec

from mmkd_core.__main__ import main
from mmkd_core.data import DataError, DataWarning
from mmkd_core.datasets import assemble, load, movielens
from mmkd_core.experiment import plan
from mmkd_core.runs import run

FAR = {
    "train": [(7, 3), (7, 9), (20, 9)],
    "val": [(20, 3)],
    "test": [(9, 11)],
}  # users 7, 9, 20 and items 3, 9, 11


@pytest.fixture
def far(folder):
    write_mmrec(folder, FAR)
    np.save(folder / "image_feat.npy", np.arange(24.0).reshape(12, 2))
    return folder


@pytest.fixture
def overlapping(folder):
    """A pair of train again in val, one of val again in test, one of test twice."""
    write_mmrec(folder, {**SPLITS, "val": [*SPLITS["val"], (0, 0)], "test": [*SPLITS["test"], (1, 3), (2, 0)]})
    write_features(folder)
    return folder


# --- holes ---


def test_users_and_items_without_interactions_are_counted_and_said_with_what_to_do(far):
    with pytest.warns(DataWarning, match=r"small: 18 of 21 users and 9 of 12 items have no .*compact=True") as said:
        data = load(far)
    assert len(said) == 1
    assert len(data.notes) == 1
    assert "--set data.compact=True" in data.notes[0]
    assert data.fingerprint == load_quietly(far).fingerprint
    assert (data.user_ids, data.item_ids) == (None, None)


def load_quietly(folder, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return load(folder, **options)


def test_compact_renumbers_picks_the_features_and_keeps_the_map(far):
    data = load(far, compact=True)
    assert (data.num_users, data.num_items, data.notes) == (3, 3, ())
    assert data.train.tolist() == [[0, 0], [0, 1], [2, 1]]
    assert data.val.tolist() == [[2, 0]]
    assert data.test.tolist() == [[1, 2]]
    assert data.features["image"].tolist() == [[6, 7], [18, 19], [22, 23]]
    assert data.user_ids.tolist() == [7, 9, 20]
    assert data.item_ids.tolist() == [3, 9, 11]


@pytest.mark.parametrize("layout", WRITERS)
def test_compact_is_the_same_in_every_layout(folder, layout):
    if layout in ("diffmm", "matrices"):
        files = {"diffmm": ("trnMat.pkl", "valMat.pkl", "tstMat.pkl"), "matrices": ("train_mat", "val_mat", "test_mat")}
        for file, pairs in zip(files[layout], FAR.values(), strict=True):
            write_matrix(folder / file, pairs, (30, 40))
    else:
        WRITERS[layout](folder, FAR)
    data = load(folder, compact=True)
    assert (data.num_users, data.num_items) == (3, 3)
    assert torch.cat([data.user_ids[data.train[:, :1]], data.item_ids[data.train[:, 1:]]], 1).tolist() == [
        list(pair) for pair in FAR["train"]
    ]
    assert data.test.tolist() == [[1, 2]]


def test_compact_changes_nothing_where_nothing_is_missing(folder):
    write_mmrec(folder, SPLITS)
    write_features(folder)
    assert load(folder, compact=True).fingerprint == load(folder).fingerprint


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.tuples(st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1)), min_size=1, max_size=8))
def test_ids_of_any_length_are_renumbered_in_their_order(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("long")
    write_mmrec(folder, {"train": sorted(pairs)})
    data = load(folder, compact=True)
    assert [(int(data.user_ids[u]), int(data.item_ids[i])) for u, i in data.train.tolist()] == sorted(pairs)


PHONE = 13_800_000_000


@pytest.mark.parametrize("layout", ["mmrec", "json", "diffmm"])
def test_ids_that_make_tables_of_terabytes_are_refused_with_what_it_takes(folder, layout):
    pairs = {"train": [(0, 0), (PHONE, 1)], "val": [(0, 2)], "test": [(0, 3)]}
    if layout == "diffmm":
        for file, split in (("trnMat.pkl", "train"), ("valMat.pkl", "val"), ("tstMat.pkl", "test")):
            write_matrix(folder / file, [(0, item) for _, item in pairs[split]], (PHONE + 1, 4))
    else:
        WRITERS[layout](folder, pairs)
    message = refused(folder, "13,800,000,001 users and 4 items", "3,533 GB", "compact=True", "data.compact=True")
    assert "enough for" in message
    assert load(folder, compact=True).num_items == 4


def test_what_fits_is_the_memory_of_the_machine(folder, monkeypatch):
    write_mmrec(folder, {"train": [(user, 0) for user in range(99)]})
    monkeypatch.setattr(assemble, "of_machine", lambda: 100 * assemble.ID_BYTES)
    assert load(folder).num_users == 99
    monkeypatch.setattr(assemble, "of_machine", lambda: 99 * assemble.ID_BYTES)
    refused(folder, "99 users and 1 items", "enough for 99 users and items")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 7 bytes")])
def test_memory_that_runs_out_is_an_error_of_the_data(far, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(np, "fromiter", fail)
    refused(far, str(far), "takes more memory than there is")


def test_another_error_of_the_program_stays_what_it_is(far, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(np, "fromiter", fail)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        load(far)


def test_check_prints_the_notes_and_compact_is_an_option_of_it(far, capsys):
    assert main(["data", "check", str(far)]) == 0
    said = capsys.readouterr()
    assert "small: 21 users × 12 items" in said.out
    assert "note: small: 18 of 21 users and 9 of 12 items have no interaction" in said.out
    assert said.err == ""
    assert main(["data", "check", str(far), "--compact"]) == 0
    said = capsys.readouterr()
    assert "small: 3 users × 3 items" in said.out
    assert "note:" not in said.out


def test_compact_is_an_option_of_an_experiment_and_of_its_key(tmp_path):
    folder = tmp_path / "wide"
    folder.mkdir()
    write_mmrec(folder, {"train": [(0, 3 * i) for i in range(60)], "val": [(9, 0)], "test": [(9, 3)]})
    experiment = plan("popularity", str(folder), options={"compact": True})
    record = run(experiment, tmp_path / "runs")
    assert (record.data["num_users"], record.data["num_items"]) == (2, 60)
    assert record.experiment.options == {"compact": True}
    assert plan("popularity", str(folder)).options == {}


def test_the_movies_that_nobody_liked_can_be_left_out(folder, monkeypatch):
    lines = [f"{user}\t{item}\t{5 if item < 3 else 2}\t0" for user in (1, 2) for item in (1, 2, 3)]
    (folder / "u.data").write_text("\n".join(lines))
    flags = "|".join("0" for _ in movielens.GENRES[1:])
    movies = [f"{item}|Movie {item} (199{item})|||a|1|{flags}" for item in (1, 2, 3)]
    (folder / "u.item").write_text("\n".join(movies))
    monkeypatch.setattr(movielens, "NUM_USERS", 2)
    monkeypatch.setattr(movielens, "NUM_ITEMS", 3)
    assert movielens.load_ml_100k(folder).num_items == 3
    data = movielens.load_ml_100k(folder, compact=True)
    assert data.item_ids.tolist() == [0, 1]
    assert len(data.features["text"]) == 2


def test_known_data_sets_say_nothing_that_all_know(real_data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load("lfm2k")
    assert any("column 'rating' is not read" in note for note in data.notes)


def test_phantom_items_of_original_ids_are_said_and_compact_brings_the_published_data_back(real_data, folder):
    published = load("lfm2k")
    rng = np.random.default_rng(0)
    original = np.sort(rng.choice(8112, published.num_items, replace=False))
    splits = {
        split: [(u, int(original[i])) for u, i in getattr(published, split).tolist()]
        for split in ("train", "val", "test")
    }
    write_mmrec(folder, splits)
    for modality, x in published.features.items():
        wide = np.zeros((8112, x.shape[1]), dtype=np.float32)
        wide[original] = x.numpy()
        np.save(folder / f"{modality}.npy", wide)
    with pytest.warns(DataWarning, match="0 of 1,858 users and 6,687 of 8,112 items have no interaction"):
        load(folder)
    assert load(folder, compact=True).fingerprint == published.fingerprint


# --- overlaps ---


def test_a_pair_in_two_splits_is_refused_with_the_way_on(overlapping):
    refused(overlapping, "expected each pair once, in one split alone; overlap='drop'", "--set data.overlap=drop")


def test_overlap_drop_keeps_the_earliest_split_and_counts(overlapping):
    said = "left out 0 of 5 pairs of train, 1 of 3 pairs of val, 2 of 4 pairs of test"
    with pytest.warns(DataWarning, match=said):
        data = load(overlapping, overlap="drop")
    for split, pairs in SPLITS.items():
        assert getattr(data, split).tolist() == [list(pair) for pair in sorted(pairs)]


@pytest.mark.parametrize("layout", WRITERS)
def test_overlap_drop_is_offered_by_every_layout(folder, layout):
    # MEGCF's own rule takes pairs of validation and test out of train; between those two it has none.
    WRITERS[layout](folder, {**SPLITS, "test": [*SPLITS["test"], (1, 3)]})
    refused(folder, "user 1, item 3 (test) is also in", "overlap='drop'")
    with pytest.warns(DataWarning, match="1 of 3 pairs of test"):
        data = load(folder, overlap="drop")
    assert data.val.tolist() == [[0, 2], [1, 3]]
    assert data.test.tolist() == [[2, 0], [3, 1]]


def test_overlap_drop_says_nothing_where_there_is_none(folder):
    write_mmrec(folder, SPLITS)
    write_features(folder)
    assert load(folder, overlap="drop").fingerprint == load(folder).fingerprint


def test_a_split_that_is_all_dropped_is_empty(folder):
    write_mmrec(folder, {**SPLITS, "test": SPLITS["val"]})
    write_features(folder)
    with pytest.warns(DataWarning, match="2 of 2 pairs of test"):
        assert load(folder, overlap="drop").test.shape == (0, 2)


# --- ratings ---


def write_ratings(folder, ratings, column="rating"):
    pairs = [(user, item) for user in range(4) for item in range(NUM_ITEMS)]
    rows = [f"{u}\t{i}\t{rating}\t{n % 3}" for n, ((u, i), rating) in enumerate(zip(pairs, ratings, strict=True))]
    Path(folder / "r.inter").write_text("\n".join([f"userID\titemID\t{column}\tx_label", *rows]))
    write_features(folder)


@pytest.mark.parametrize("column", ["rating", "Rating", "stars", "SCORE"])
def test_a_column_of_ratings_that_is_not_read_is_said_once_with_its_zeros(folder, column):
    write_ratings(folder, [0, "0.0", 1, "-1", "0e3"] * 4, column)
    with pytest.warns(DataWarning, match=f"column '{column}' is not read and each of the 20 lines .*12 with rating 0"):
        data = load(folder)
    assert len(data.train) + len(data.val) + len(data.test) == 20


def test_min_rating_counts_what_is_rated_so_high(folder):
    write_ratings(folder, ["4.5", 4, "3.99", 5, "1e0"] * 4)
    data = load(folder, min_rating=4, compact=True)
    assert data.item_ids.tolist() == [0, 1, 3]
    assert len(data.train) + len(data.val) + len(data.test) == 12


@pytest.mark.parametrize("rating", ["", "good", "nan", "1,5", "４", "1_0", " 4"])
def test_a_rating_that_is_no_number_is_named_where_it_is_asked_for(folder, rating):
    write_ratings(folder, [5, 5, rating, 5, 5] * 4)
    refused(folder, "r.inter, line 4: got ", "expected a number such as 4", min_rating=1)
    assert len(load_quietly(folder).train) == 7


def test_min_rating_without_ratings_is_refused(folder):
    write_mmrec(folder, SPLITS)
    refused(folder, "some.inter, line 1: got min_rating=3.0 and the columns of ratings []", min_rating=3)
    (folder / "some.inter").unlink()
    WRITERS["json"](folder, SPLITS)
    refused(folder, "the layout promptmm has no ratings, mmrec has", min_rating=3)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("compact", "yes", "compact='yes' of"),
        ("compact", 1, "compact=1 of"),
        ("overlap", "keep", "unknown overlap 'keep'; one of ['error', 'drop']"),
        ("overlap", ["drop"], "unknown overlap ['drop']; one of"),
        ("min_rating", "4", "min_rating='4' of"),
        ("min_rating", True, "min_rating=True of"),
        ("min_rating", float("nan"), "min_rating=nan of"),
        ("min_rating", float("inf"), "min_rating=inf of"),
        ("layout", [1], "layout=[1] of"),
        ("content", ["noise"], "unknown content ['noise']; one of"),
        ("hold_back", "x", "hold_back='x' of"),
        ("hold_back", True, "hold_back=True"),
        ("swap", "false", "swap='false' of"),
        ("swap", 0, "swap=0 of"),
    ],
)
def test_a_choice_that_is_none_is_named(far, option, value, said):
    with pytest.raises(DataError) as caught:
        load_quietly(far, **{option: value})
    assert said in str(caught.value)
