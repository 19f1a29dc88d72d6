"""`mmkd export`: what the folder holds, that NumPy alone serves it, that it is whole or not there, what is refused."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from command_line import call
from made_up_folder import ITEMS, USERS, write_far_folder
from safetensors.numpy import load_file
from shop import ids_of, item_id, recorded, user_id

from mmkd_core import Record, load, recommend, restore
from mmkd_core.cold import rows_by_content
from mmkd_core.datasets import files
from mmkd_core.export import export, read_export
from mmkd_core.exported import CARD, IDS, sha256_of

pytestmark = pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks either
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
FILES = ["card.json", "ids.parquet", "tables.npz", "tables.safetensors"]


@pytest.fixture
def spoilt(exported, tmp_path):
    """A copy of the export, to be spoilt."""
    return Path(shutil.copytree(exported, tmp_path / "export"))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- what it holds ---


def test_the_command_writes_a_folder_and_says_what_is_in_it(shop, tmp_path, capsys):
    folder, record = shop
    status, out, err = call(capsys, "export", record, tmp_path / "new" / "out")
    assert (status, err) == (0, "")
    assert out == (
        "lightgcn of shop: 20 users × 60 items, 64-d, float32\n"
        f"{tmp_path / 'new' / 'out'}: ids.parquet, tables.npz, tables.safetensors, card.json\n"
    )
    assert names(tmp_path / "new") == ["out"]
    assert names(tmp_path / "new" / "out") == FILES
    assert ids_of(folder).exists()


def test_both_files_hold_the_tables_that_serve_and_the_training_interactions(shop, exported):
    folder, record = shop
    data = load(folder)
    tables = restore(record).embed()
    arrays = load_file(exported / "tables.safetensors")
    users, items, indptr, seen, _ = read_export(exported)
    for name, own in (("users", users), ("items", items), ("seen_indptr", indptr), ("seen_items", seen)):
        assert np.array_equal(arrays[name], own)
        assert arrays[name].dtype == own.dtype
    assert np.array_equal(users, tables.users.detach())
    assert np.array_equal(items, tables.items.detach())
    assert [own.dtype.name for own in (users, items, indptr, seen)] == ["float32", "float32", "int64", "int32"]
    for user in range(USERS):
        assert seen[indptr[user] : indptr[user + 1]].tolist() == data.train[data.train[:, 0] == user, 1].tolist()


@pytest.mark.parametrize("model", ["bpr-mf", "mmkd-lists"])
def test_tables_that_are_parts_of_a_parameter_are_exported(model, shop, tmp_path):
    record = recorded(shop[0], tmp_path / "store", model)
    export(record, tmp_path / "out")
    assert np.array_equal(read_export(tmp_path / "out").users, restore(record).embed().users.detach())


def test_items_that_nobody_chose_get_rows_from_their_content(shop, tmp_path, capsys):
    record = recorded(shop[0], tmp_path / "store", cold=0.2)
    plain, own = tmp_path / "plain", tmp_path / "own"
    assert call(capsys, "export", record, plain)[0] == call(capsys, "export", record, own, "--content")[0] == 0
    data = load(shop[0], cold=0.2)
    counts = torch.bincount(data.train[:, 1], minlength=ITEMS).numpy()
    before, after = read_export(plain), read_export(own)
    assert np.array_equal(before.users, after.users)
    assert np.array_equal((before.items != after.items).any(axis=1), counts == 0)
    features = {name: x.numpy() for name, x in data.features.items()}
    assert np.array_equal(after.items, rows_by_content(before.items, counts, features))


def test_the_card_says_where_it_comes_from(shop, exported):
    record = Record.read(shop[1])
    card = read_export(exported).card
    assert json.loads((exported / "card.json").read_text()) == card
    assert card["experiment"] == record.experiment.as_dict()
    assert (card["metrics"], card["validation"], card["trained"]) == (
        record.metrics, record.validation, record.environment
    )  # fmt: skip
    assert card["data"] == {"name": "shop"} | record.data
    assert {"torch", "numpy", "python", "mmkd_core"} <= card["exported"].keys()
    assert card["arrays"]["users"] == {"shape": [USERS, 64], "dtype": "float32"}
    assert card["files"] == {name: sha256_of(exported / name) for name in FILES if name != "card.json"}


def test_the_card_of_a_named_data_set_has_its_terms(tmp_path):
    card = export(recorded("demo", tmp_path, "popularity"), tmp_path / "out")
    assert card["data"]["name"] == "demo"
    assert set(card["data"]) >= {"terms", "source", "fingerprint"}
    assert names(tmp_path / "out") == ["card.json", "tables.npz", "tables.safetensors"]


def test_float16_halves_the_tables_and_keeps_the_scores_within_its_precision(shop, exported, tmp_path):
    export(shop[1], tmp_path / "half", float16=True)
    half, whole = read_export(tmp_path / "half"), read_export(exported)
    assert (half.users.dtype, half.items.dtype) == (np.float16, np.float16)
    scores, exact = (one.users.astype(np.float32) @ one.items.astype(np.float32).T for one in (half, whole))
    bound = 2**-10 * (np.abs(whole.users) @ np.abs(whole.items).T) + 1e-7
    assert (np.abs(scores - exact) <= bound).all()
    assert np.array_equal(half.seen_items, whole.seen_items)


def test_ids_are_those_of_the_rows_also_where_the_data_are_renumbered(tmp_path):
    folder = write_far_folder(tmp_path / "far")
    record = recorded(folder, tmp_path / "store", compact=True)
    export(record, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "ids.parquet").to_pylist()
    assert {(row["kind"], row["number"], row["id"]) for row in rows} == {
        *(("user", user, user) for user in range(USERS)), *(("item", item, 1000 + item) for item in range(ITEMS))
    }  # fmt: skip


def test_ids_of_the_folder_come_along(exported):
    assert (CARD, IDS) == (files.CARD, files.IDS)
    rows = pq.read_table(exported / "ids.parquet").to_pylist()
    assert {(row["kind"], row["number"], row["id"]) for row in rows} == {
        *(("user", user, user_id(user)) for user in range(USERS)),
        *(("item", item, item_id(item)) for item in range(ITEMS)),
    }


# --- it serves ---


def test_the_example_of_the_readme_serves_it_with_numpy_alone(shop, exported, tmp_path):
    (example,) = re.findall(r"```python\n(import numpy as np\n.*?)```", README, re.DOTALL)
    assert len(example.splitlines()) <= 15
    shutil.copytree(exported, tmp_path / "OUT")
    program = example + (
        "import sys, json\n"
        "assert not {'torch', 'mmkd_core', 'pyarrow', 'safetensors'} & sys.modules.keys()\n"
        f"print(json.dumps([recommend(user, k=5).tolist() for user in range({USERS - 1})]))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    data = load(shop[0])
    expected = recommend(restore(shop[1], data), range(USERS - 1), data, 5)
    assert json.loads(done.stdout.splitlines()[-1]) == expected.items.tolist()


@pytest.mark.filterwarnings("default")  # those of onnx are not ours
def test_onnx_lists_what_torch_lists(shop, tmp_path, capsys):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    folder, record = shop
    data = load(folder)
    seen = torch.zeros(USERS, ITEMS, dtype=torch.bool)
    seen[data.train[:, 0], data.train[:, 1]] = True
    for options, k, tolerance in (([], 20, 1e-6), (["--top", "7"], 7, 1e-6), (["--float16"], 20, 1e-4)):
        out = tmp_path / "-".join(["out", *options])
        assert call(capsys, "export", record, out, "--onnx", *options)[0] == 0
        export_of = read_export(out)
        assert export_of.card["onnx"] == {"k": k}
        session = runtime.InferenceSession(out / "recommend.onnx", providers=["CPUExecutionProvider"])
        rows = export_of.users.astype(np.float32)
        scores, items = session.run(["scores", "items"], {"user": rows, "seen": seen.numpy()})
        expected = recommend(restore(record, data), range(USERS), data, k)
        np.testing.assert_allclose(scores, expected.scores, atol=tolerance, rtol=1e-3)
        if not tolerance > 1e-6:
            assert np.array_equal(items, expected.items)
        full = session.run(None, {"user": rows[:2], "seen": np.ones((2, ITEMS), bool)})[0]
        assert (full == -np.inf).all()


# --- whole or not at all ---


def test_an_export_is_replaced_with_force_alone(shop, spoilt, refused):
    before = (spoilt / "card.json").stat().st_mtime_ns
    refused("export", shop[1], spoilt, says="export: is there already; expected no such path: choose another, or")
    assert (spoilt / "card.json").stat().st_mtime_ns == before
    (spoilt / "notes.txt").touch()
    refused("export", shop[1], spoilt, "--force", says=r"holds \['notes.txt'\] beside an export, so --force does not")
    (spoilt / "notes.txt").unlink()
    export(shop[1], spoilt, float16=True, force=True)
    assert read_export(spoilt).users.dtype == np.float16
    assert names(spoilt.parent) == ["export"]


@pytest.mark.parametrize("force", [False, True])
def test_what_fails_half_way_leaves_what_was_there(force, shop, spoilt, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    out = spoilt if force else spoilt.parent / "new"
    with pytest.raises(OSError, match=f"{out.name}: cannot be written .No space left on device."):
        export(shop[1], out, force=force)
    assert names(spoilt.parent) == ["export"]
    assert read_export(spoilt).users.dtype == np.float32


def test_the_old_export_comes_back_where_the_new_one_cannot_take_its_place(shop, spoilt, monkeypatch):
    rename = Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, to: rename(path, to) if "card" in path.name else path / 0)
    with pytest.raises(TypeError):
        export(shop[1], spoilt, float16=True, force=True)
    assert names(spoilt.parent) == ["export"]
    assert read_export(spoilt).users.dtype == np.float32


# --- what is refused ---


@pytest.mark.parametrize("arguments", ["recommend --help", "recommend record", "recommend record --all --user 1",
                                       "export --help", "export record", "export record out --onyx"])  # fmt: skip
def test_help_and_usage_errors_import_nothing_heavy(arguments):
    program = f"""
import sys
from mmkd_core.__main__ import main
try:
    main({arguments.split()})
finally:
    print("|", *{{"torch", "numpy", "pyarrow"}} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.rpartition("|")[2].split(), done.returncode) == ([], 0 if "--help" in arguments else 2)


@pytest.mark.parametrize("name", [name for name in FILES if name != "card.json"])
def test_a_damaged_or_missing_file_is_named(name, spoilt):
    content = bytearray((spoilt / name).read_bytes())
    content[len(content) // 2] ^= 1
    (spoilt / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{re.escape(name)}: damaged: got sha256 \w+; expected \w+; export the rec"):
        read_export(spoilt)
    (spoilt / name).unlink()
    with pytest.raises(ValueError, match=rf"{re.escape(name)}: missing, and card.json lists it"):
        read_export(spoilt)


def forge(folder, **arrays):
    """Other arrays, with a card that knows their sum."""
    with np.load(folder / "tables.npz") as old:
        arrays = {name: array for name, array in ({**old} | arrays).items() if array is not None}
    np.savez(folder / "tables.npz", **arrays)
    card = json.loads((folder / "card.json").read_text())
    card["files"]["tables.npz"] = sha256_of(folder / "tables.npz")
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"items": None}, "tables.npz: not the tables of an export .*items"),
        ({"users": np.array([None])}, "tables.npz: not the tables of an export .*allow_pickle=False"),
        ({"users": np.zeros((USERS, 64), int)}, "expected two matrices of floats"),
        ({"items": np.zeros(ITEMS)}, "expected two matrices of floats"),
        ({"items": np.zeros((ITEMS, 3))}, r"got shapes \(20, 64\) and \(60, 3\); expected tables of one width"),
        ({"seen_indptr": np.zeros(USERS, int)}, "seen_indptr and seen_items do not fit the tables"),
        ({"seen_items": np.full(152, ITEMS)}, "seen_indptr and seen_items do not fit the tables"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays, says, spoilt):
    forge(spoilt, **arrays)
    with pytest.raises(ValueError, match=says):
        read_export(spoilt)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 2}', '{"format": 1, "files": {"../x": ""}}',
                                  '{"format": 1, "files": {"tables.npz": ""}, "data": {"name": 3}}'])  # fmt: skip
def test_a_card_that_is_none(text, spoilt, refused):
    (spoilt / "card.json").write_text(text)
    refused("recommend", spoilt, "--user", "1", says=r"card\.json: not a card of an export .* that `mmkd export` wrote")


def test_reading_needs_no_torch(exported):
    program = f"import sys\nfrom mmkd_core.exported import read_export\nread_export({str(exported)!r})\n"
    program += "print({'torch', 'pandas', 'pyarrow', 'scipy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_folder_that_is_no_export(tmp_path):
    with pytest.raises(ValueError, match=r"card\.json: no such card of an export"):
        read_export(tmp_path)


def test_itemknn_is_no_pair_of_tables(shop, tmp_path, refused):
    record = recorded(shop[0], tmp_path / "store", "itemknn")
    refused("export", record, tmp_path / "out", says="itemknn is no pair of tables; expected a model whose scores are")
    assert names(tmp_path) == ["store"]


def test_numbers_too_large_for_float16_are_refused(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("mmkd_core.models.lightgcn.LightGCN.embed", huge)
    with pytest.raises(ValueError, match="row 3 of the items' table holds NaN, infinity or more than float16 can"):
        export(shop[1], tmp_path / "out", float16=True)
    assert export(shop[1], tmp_path / "out")["arrays"]["items"]["dtype"] == "float32"


def huge(model):
    items = torch.ones(ITEMS, 2)
    items[3, 1] = 7e4
    return model.split(torch.cat([torch.ones(USERS, 2), items]))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{record}"], "required: OUT"),
        (["{out}/none.json", "{out}"], r"none\.json: no such record"),
        (["{folder}", "{out}"], "not a record"),
        (["{record}", "{folder}"], "shop: is there already; expected no such path"),
        (
            ["{record}", "{folder}", "--force"],
            "shop: is no export, so --force does not replace it: .* not a card of an exp",
        ),
        (["{record}", "{record}", "--force"], r"\.json: is no export, so --force does not replace it"),
        (
            ["{record}", "{folder}/..", "--force"],
            "is no export, so --force does not replace it: .*: no such card of an",
        ),
        (["{record}", "/"], "/: is there already"),
        (["{record}", "{record}/out"], "out: cannot be written"),
        (["{record}", "{out}", "--data", "{out}"], "its data: unknown data set '.*out'"),
        (["{record}", "{out}", "--data", "demo"], "made from other data than demo is now"),
        (["{record}", "{out}", "--onnx", "--top", "61"], "k=61 for a catalogue of 60 items; expected 1 to 60"),
        (["{record}", "{out}", "--onnx", "--top", "0"], "k=0 for a catalogue of 60 items; expected 1 to 60"),
        (["{record}", "{out}", "--onnx", "--top", "many"], "argument --top: 'many' is not a whole number"),
        (["{record}", "{out}", "--top", "5"], "--top 5 without --onnx: only its lists have a length"),
        (["{record}", "{out}", "--float8"], "unrecognized arguments: --float8"),
    ],
)
def test_it_is_refused(arguments, says, shop, tmp_path, refused):
    names_of = {"folder": shop[0], "record": shop[1], "out": tmp_path / "out"}
    refused("export", *(argument.format(**names_of) for argument in arguments), says=says)
    assert not list(tmp_path.iterdir())
    assert names(shop[0].parent) == ["shop", "store"]


def test_without_the_package_onnx(shop, tmp_path, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    refused(
        "export", shop[1], tmp_path / "out", "--onnx", says="needs the package onnx; pip install 'mmkd-book.export.'"
    )
    assert not list(tmp_path.iterdir())
