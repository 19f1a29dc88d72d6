"""Files and folders that are no data: the rows of the TOML files beside this one, each with what is to be said of it.

A case says which folder is spoilt (`layout`), which `file` of it, and how; `says` is what the one line on stderr must
match. A case with `inputs` is as many cases as these, each put where "INPUT" stands.

How: `text` or `append` (UTF-8), `bytes` (one character a byte), `repeat` (a text, how many times, what comes before),
`header` with `version` and `numbers` (a .npy file, and how many bytes of zeros it ends with), `matrix` (shape, users,
items, values), `gone`, `is` ("pipe", "folder", "loop" or the path that a link leads to). `set` are arguments of
`--set`, and `data` is a name in place of the folder, that many `times`.
"""

import os
import pickle
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from mmkd_core.__main__ import main
from mmkd_core.datasets import load

HERE = Path(__file__).parent
FILES = ("inter", "ids", "json", "lists", "npy", "pickle", "folders", "choices", "ready")
PAIRS = {"train": [(0, 0), (0, 1), (1, 2), (2, 3), (3, 4)], "val": [(0, 2), (1, 3)], "test": [(2, 0), (3, 1)]}
MATRICES = {"train": "trnMat.pkl", "val": "valMat.pkl", "test": "tstMat.pkl"}
LISTS = {"train": "train.txt", "val": "validation.txt", "test": "test.txt"}
RECBOLE = {"train": "x.train.inter", "val": "x.valid.inter", "test": "x.test.inter"}


def rows(pairs, template, separator="\n"):
    return separator.join(template.format(user, item) for user, item in pairs)


def write_matrix(path, pairs=(), shape=(4, 5), values=None):
    users, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    values = np.ones(len(users)) if values is None else np.array(values)
    matrix = sp.coo_matrix((values, (users, items)), shape=(4, 5) if len(users) else shape)
    matrix._shape = tuple(shape)
    path.write_bytes(pickle.dumps(matrix))


def write_good(folder, layout):
    """A folder that loads, in `layout`: 4 users, 5 items, and for the layouts of matrices of features two of these."""
    folder.mkdir()
    if layout == "mmrec":
        table = [rows(pairs, f"{{}}\t{{}}\t{label}") for label, pairs in enumerate(PAIRS.values())]
        (folder / "some.inter").write_text("\n".join(["userID\titemID\tx_label", *table, ""]))
    for split, pairs in PAIRS.items():
        if layout == "json":
            users = sorted({user for user, _ in pairs})
            lists = [f'"{user}": {[item for other, item in pairs if other == user]}' for user in users]
            (folder / f"{split}.json").write_text("{" + ", ".join(lists) + "}")
        elif layout == "diffmm":
            write_matrix(folder / MATRICES[split], pairs)
        elif layout == "megcf":
            (folder / LISTS[split]).write_text(rows(pairs, "{} {}"))
        elif layout == "lightgcn":
            (folder / LISTS[split].replace("idation", "")).write_text(rows(pairs, "{} {}"))
        elif layout == "matrices":
            write_matrix(folder / f"{split}_mat.pkl", pairs)
        elif layout == "recbole":
            (folder / RECBOLE[split]).write_text("user_id:token\titem_id:token\n" + rows(pairs, "{}\t{}"))
    if layout not in ("megcf", "none"):
        np.save(folder / "image_feat.npy", np.ones((5, 3), dtype=np.float32))
        np.save(folder / "text_feat.npy", np.ones((5, 2), dtype=np.float64))


def npy(header, version, numbers):
    text = header.encode("latin-1")
    length = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + bytes(version) + length + text + bytes(numbers)


def spoil(folder, case):
    path = folder / case.get("file", ".")
    if "text" in case:
        path.write_text(case["text"], encoding="utf-8", newline="")
    elif "append" in case:
        path.write_bytes((path.read_bytes().rstrip() + b"\n" if path.exists() else b"") + case["append"].encode())
    elif "bytes" in case:
        path.write_bytes(case["bytes"].encode("latin-1"))
    elif "repeat" in case:
        unit, times, before = case["repeat"]
        path.write_text(before + unit * times)
    elif "header" in case:
        path.write_bytes(npy(case["header"], case.get("version", [1, 0]), case.get("numbers", 60)))
    elif "matrix" in case:
        made = case["matrix"]
        pairs = list(zip(made.get("users", []), made.get("items", []), strict=True))
        write_matrix(path, pairs, made["shape"], made.get("values"))
    elif "is" in case:
        path.unlink(missing_ok=True)
        make = {"pipe": os.mkfifo, "folder": Path.mkdir, "loop": lambda path: path.symlink_to(path)}
        make.get(case["is"], lambda path: path.symlink_to(case["is"]))(path)
    elif case.get("gone"):
        path.unlink()


def put(value, chosen):
    """`value` with the input where INPUT stands, in every text of it."""
    if isinstance(value, str):
        return value.replace("INPUT", chosen)
    return [put(part, chosen) for part in value] if isinstance(value, list) else value


def cases():
    """(name, case), the inputs and the places of ids multiplied out."""
    for file in FILES:
        tables = tomllib.loads((HERE / f"{file}.toml").read_text(encoding="utf-8"))
        for case in (tables.get("all", {}) | own for own in tables["case"]):
            inputs = [*case.get("inputs", []), *(tables.get("inputs", []) if case.get("all_inputs") else [])]
            for number, chosen in enumerate(inputs or [""]):
                made = {key: put(value, chosen) for key, value in case.items() if key not in ("inputs", "says")}
                yield f"{file}: {case['name']}" + (f", {number}" if inputs else ""), made | {"says": case["says"]}


CASES = dict(cases())


def test_every_case_has_a_name_of_its_own_and_there_are_many():
    assert len(CASES) == sum(1 for _ in cases())
    assert len(CASES) >= 230


@pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks either
@pytest.mark.parametrize("name", CASES)
def test_what_is_no_data_is_one_line_that_says_what_is_wrong(name, tmp_path, capsys, monkeypatch):
    case = CASES[name]
    monkeypatch.delenv("MMKD_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "d"
    write_good(folder, case.get("layout", "mmrec"))
    spoil(folder, case)
    settings = [part for setting in case.get("set", []) for part in ("--set", setting)]
    data = case.get("data", str(folder)) * case.get("times", 1)
    status = main(["run", "popularity", "--data", data, "--store", str(tmp_path / "runs"), *settings])
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert re.search(case["says"], said.err), said.err
    assert len(said.err) < 1200
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("layout", ["mmrec", "json", "diffmm", "megcf", "matrices", "recbole", "lightgcn"])
def test_the_folders_that_the_cases_spoil_are_good(layout, tmp_path):
    write_good(tmp_path / "d", layout)
    data = load(tmp_path / "d")
    assert {split: [tuple(pair) for pair in getattr(data, split).tolist()] for split in PAIRS} == PAIRS
