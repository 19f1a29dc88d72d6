"""tools/reproduce.py: a record comes out again to the bit, and one that does not is told."""

import json

import pytest
from made_up_folder import write_folder

from mmkd_core import plan, run
from tools import reproduce


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(write_folder(tmp_path_factory.mktemp("data") / "small"))


@pytest.fixture(scope="module")
def record(data, tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    return run(plan("bpr-mf", data, fit={"epochs": 2}), store).file(store)


def test_a_record_comes_out_again_to_the_bit_and_so_do_its_teachers(data, tmp_path, capsys):
    record = run(plan("mmkd", data, fit={"epochs": 1}), tmp_path).file(tmp_path)
    assert reproduce.main([str(record)]) == 0
    assert capsys.readouterr().out == f"ok: {record}: equal to the bit\n"


def test_records_are_picked_at_random_and_each_is_told(record, capsys):
    assert reproduce.main(["--under", str(record.parents[2]), "--seed", "0"]) == 0
    assert capsys.readouterr().out == f"ok: {record}: equal to the bit\n"


@pytest.mark.parametrize(
    ("metric", "processor", "status", "told"),
    [
        (0.0001, None, 1, "DIFFERS"),  # the same machine: not a bit may differ
        (0.0001, "another", 0, "ok"),
        (0.5, "another", 1, "DIFFERS"),
    ],
)
def test_what_differs_is_told(record, tmp_path, capsys, metric, processor, status, told):
    values = json.loads(record.read_text())
    values["metrics"]["recall@20"] += metric
    values["environment"]["processor"] = processor or values["environment"]["processor"]
    changed = tmp_path / record.name
    changed.write_text(json.dumps(values))
    assert reproduce.main([str(changed)]) == status
    out = capsys.readouterr().out
    assert out.startswith(f"{told}: {changed}: metrics differ, test metrics by up to {metric:.4f}")
    assert ("made with another processor" in out) == bool(processor)


def test_a_folder_without_records_is_an_error(tmp_path, capsys):
    assert reproduce.main(["--under", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path}: no record; expected files s<seed>-<key>.json\n"
