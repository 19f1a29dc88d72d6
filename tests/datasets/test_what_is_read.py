"""Which files of a folder are read, which are seen and named, and which are no data at all."""

import os
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from small_folders import NUM_ITEMS, NUM_USERS, SPLITS, WRITERS, refused, write_features, write_mmrec

from mmkd_core.__main__ import main
from mmkd_core.data import DataError, DataWarning
from mmkd_core.datasets import check, load

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"


@pytest.fixture
def plain(folder):
    """MMRec's layout with features under a name of their own."""
    write_mmrec(folder, SPLITS)
    np.save(folder / "vggish.npy", np.ones((NUM_ITEMS, 3)))
    return folder


# --- what is a modality ---


@pytest.mark.parametrize(
    ("file", "array", "said"),
    [
        ("user_graph_dict", np.array({0: [1, 2]}, dtype=object), "got Python objects"),
        ("names", np.array(["a"] * NUM_ITEMS), "got shape (5,) of dtype <U1"),
        ("mm_adj", np.ones((NUM_ITEMS, NUM_ITEMS)) - np.eye(NUM_ITEMS), "got a graph, 5 × 5 with zeros"),
        ("users", np.ones((NUM_USERS, 7)), "got 4 rows, one a user; expected one an item, 5"),
        ("more", np.ones((NUM_ITEMS + 4, 7)), "got 9 rows, expected one an item, 5"),
        ("flat", np.ones(NUM_ITEMS), "got shape (5,) of dtype float64"),
        ("cube", np.ones((NUM_ITEMS, 2, 2)), "got shape (5, 2, 2)"),
        ("pairs", np.ones(NUM_ITEMS, dtype=[("a", "f4"), ("b", "f4")]), "got shape (5,) of dtype"),
    ],
)
def test_an_array_that_is_no_modality_is_left_out_and_named_with_why(plain, file, array, said):
    np.save(plain / f"{file}.npy", array)
    with pytest.warns(DataWarning) as caught:
        data = load(plain)
    assert list(data.features) == ["vggish"]
    assert f"{plain / file}.npy: not read ({said}" in str(caught[0].message)


def test_a_table_of_users_alone_makes_no_items(folder):
    write_mmrec(folder, {"train": [(user, 0) for user in range(6)]})
    np.save(folder / "users.npy", np.ones((6, 2)))
    with pytest.warns(DataWarning, match="got 6 rows, one a user; expected one an item, 1"):
        data = load(folder)
    assert (data.num_items, data.features) == (1, {})


def test_rows_of_new_items_are_taken_where_the_files_agree(plain):
    np.save(plain / "vggish.npy", np.ones((NUM_ITEMS + 4, 3)))
    with pytest.warns(DataWarning, match="4 of 9 items have no interaction"):
        assert load(plain).num_items == NUM_ITEMS + 4


def test_where_files_disagree_those_with_a_row_an_item_that_occurs_are_taken(plain):
    np.save(plain / "other.npy", np.ones((NUM_ITEMS + 4, 3)))
    with pytest.warns(DataWarning, match="got 9 rows, expected one an item, 5"):
        assert load(plain).num_items == NUM_ITEMS
    np.save(plain / "vggish.npy", np.ones((NUM_ITEMS + 7, 3)))
    refused(plain, "other.npy': 9", "vggish.npy': 12", "expected one row an item")


def test_a_file_called_features_is_never_left_out(plain):
    np.save(plain / "image_feat.npy", np.ones((NUM_ITEMS - 1, 3)))
    refused(plain, "item id 4 is out of range; expected 0 to 3 (one row an item in image_feat.npy)")
    np.save(plain / "image_feat.npy", np.array({}, dtype=object))
    refused(plain, "image_feat.npy: Python objects, which are not read")


def test_a_square_matrix_with_a_diagonal_is_a_modality(plain):
    np.save(plain / "likeness.npy", np.eye(NUM_ITEMS))
    assert list(load(plain).features) == ["likeness", "vggish"]


# --- near misses ---


@pytest.mark.parametrize("layout", ["json", "diffmm", "megcf", "mmrec", "recbole", "lightgcn"])
@pytest.mark.parametrize(
    "file", ["image_feat.pt", "image_feat.pkl", "image_feat.npz", "image_feat.h5", "x.safetensors"]
)
def test_features_in_another_form_are_seen_and_named(folder, layout, file, capsys):
    WRITERS[layout](folder, SPLITS)
    (folder / file).write_bytes(b"whatever")
    with pytest.warns(DataWarning, match=f"small: no features; seen and not read: {file}; features are read from"):
        assert load(folder).features == {}
    assert main(["data", "check", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "features: none" in said
    assert f"seen and not read: {file}" in said


def test_features_under_another_name_are_seen_and_named(diffmm):
    np.save(diffmm / "image_features.npy", np.ones((NUM_ITEMS, 2)))
    with pytest.warns(
        DataWarning, match=r"seen and not read: image_features\.npy; features are read from \*_feat\.npy"
    ):
        assert list(load(diffmm).features) == ["image", "text"]


def test_features_in_the_folder_above_are_seen_and_named(tmp_path):
    folder = tmp_path / "baby" / "5-core"
    folder.mkdir(parents=True)
    WRITERS["json"](folder, SPLITS)
    np.save(folder.parent / "image_feat.npy", np.ones((NUM_ITEMS, 2)))
    with pytest.warns(DataWarning, match=r"no features; seen and not read: .*baby/image_feat\.npy"):
        load(folder)
    write_features(folder)
    with pytest.warns(DataWarning, match=r"5-core: seen and not read: .*baby/image_feat\.npy"):
        load(folder)


def test_without_features_everything_else_is_named_and_many_are_counted(folder):
    WRITERS["json"](folder, SPLITS)
    for number in range(11):
        (folder / f"{number:02d}.dat").write_bytes(b"")
    with pytest.warns(DataWarning, match=r"seen and not read: 00\.dat, .* 07\.dat and 3 more; "):
        load(folder)


def test_a_folder_of_interactions_alone_says_nothing(folder):
    WRITERS["json"](folder, SPLITS)
    assert load(folder).notes == ()


# --- what is no data ---


@pytest.mark.parametrize("layout", ["mmrec", "json", "diffmm", "megcf", "recbole", "lightgcn"])
def test_hidden_files_are_no_data(folder, layout):
    WRITERS[layout](folder, SPLITS)
    write_features(folder) if layout != "megcf" else None
    before = load(folder)
    for path in list(folder.iterdir()):
        (folder / f"._{path.name}").write_bytes(b"\0\5\26\7Mac OS X")
    for name in (".DS_Store", "._some.inter", "._image_feat.npy", ".hidden.inter", ".x_feat.npy"):
        (folder / name).write_bytes(b"\0\5\26\7")
    after = load(folder)
    assert (after.fingerprint, after.notes) == (before.fingerprint, ())


def test_a_folder_of_sidecars_holds_nothing(folder):
    for name in ("._x.inter", "._train.json", ".image_feat.npy"):
        (folder / name).write_bytes(b"\0\5\26\7")
    refused(folder, "got no files; expected the files of one layout")


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("mmrec", "some.inter"),
        ("mmrec", "image_feat.npy"),
        ("mmrec", "vggish.npy"),
        ("json", "val.json"),
        ("diffmm", "trnMat.pkl"),
        ("matrices", "test_mat"),
        ("megcf", "train.txt"),
        ("megcf", "i2e_visual.txt"),
    ],
)
def test_a_pointer_of_git_lfs_is_named_as_such(folder, layout, file):
    WRITERS[layout](folder, SPLITS)
    (folder / file).write_bytes(POINTER)
    refused(folder, folder / file, "a Git LFS pointer and not the file itself; run `git lfs pull`")


def test_a_pointer_in_a_named_data_set_is_named_as_such(tmp_path):
    folder = tmp_path / "tiktok"
    folder.mkdir()
    for file in ("trnMat.pkl", "valMat.pkl", "tstMat.pkl", "image_feat.npy", "audio_feat.npy"):
        (folder / file).write_bytes(POINTER)
    assert all("Git LFS pointer" in verdict for _, verdict in check("tiktok", root=tmp_path))
    with pytest.raises(DataError, match="Git LFS pointer"):
        load("tiktok", root=tmp_path)


@pytest.mark.parametrize("reconstruct", ["numpy.core._multiarray_umath", "numpy.core.multiarray"])
def test_matrices_of_numpy_1_16_are_read(diffmm, reconstruct):
    before = load(diffmm).fingerprint
    users, items = np.array(SPLITS["train"], dtype=np.int32).T
    matrix = sp.coo_matrix((np.ones(len(users)), (users, items)), shape=(NUM_USERS, NUM_ITEMS))
    stored = pickle.dumps(matrix, protocol=2).replace(b"numpy._core", b"numpy.core")  # 1.x wrote the latter itself
    stored = stored.replace(b"numpy.core.multiarray", reconstruct.encode())
    assert reconstruct.encode() in stored
    (diffmm / "trnMat.pkl").write_bytes(stored.replace(b"scipy.sparse._coo", b"scipy.sparse.coo"))
    assert load(diffmm).fingerprint == before


# --- paths ---


def test_the_home_folder_is_expanded_everywhere(mmrec, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(mmrec.parent))
    expected = load(mmrec).fingerprint
    assert load("~/small").fingerprint == expected
    assert load("small", root="~").fingerprint == expected
    assert {verdict for _, verdict in check("~/small")} == {"ok"}
    monkeypatch.setenv("MMKD_DATA", "~")
    assert load("small").fingerprint == expected
    assert {verdict for _, verdict in check("small")} == {"ok"}
    assert main(["data", "check", "~/small"]) == 0
    assert expected in capsys.readouterr().out


def test_line_ends_of_every_system_are_read_alike(mmrec):
    path = mmrec / "some.inter"
    text, expected = path.read_text(), load(mmrec).fingerprint
    for end in ("\r\n", "\r"):
        path.write_bytes(text.replace("\n", end).encode())
        assert load(mmrec).fingerprint == expected
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\n\n  \n").encode())
    assert load(mmrec).fingerprint == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("mmrec", "some.inter"),
        ("mmrec", "x.npy"),
        ("json", "train.json"),
        ("diffmm", "valMat.pkl"),
        ("megcf", "test.txt"),
    ],
)
@pytest.mark.parametrize("what", ["pipe", "device", "folder", "loop", "nothing"])
def test_what_is_no_file_is_not_waited_for(folder, layout, file, what):
    WRITERS[layout](folder, SPLITS)
    path = folder / file
    path.unlink(missing_ok=True)
    {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
        "nothing": lambda: path.symlink_to(folder / "gone"),
    }[what]()
    said = {"loop": "Too many levels", "nothing": "No such file"}.get(what, f"it is a {what}")
    message = refused(folder, folder)
    assert said in message or f"no file {file}" in message or "expected the files of one layout" in message
