"""Records of the first edition move to where they lie today, and nothing changes but names."""

import json

import migrate_records
import pytest

from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.questions.data import statistics
from mmkd_core.evidence.store import Store
from mmkd_core.experiment import plan
from mmkd_core.hits import read_hits
from mmkd_core.runs import restore, run

FEW = {"epochs": 2, "evaluate_every": 1}


@pytest.fixture
def old(tmp_path):
    """A folder in the old layout: a run with hits and weights beside it, and a measurement; and the run as it was."""
    record = run(plan("lightgcn", "demo", fit=FEW), tmp_path / "new")
    made = record.file(tmp_path / "new")
    folder = tmp_path / "old"
    (folder / "measured").mkdir(parents=True)
    told = {name: getattr(record, name) for name in ("metrics", "validation", "history", "cost", "environment", "data")}
    told["experiment"] = record.experiment.as_dict()
    (folder / f"{record.key}.json").write_text(json.dumps(told, indent=1))
    for suffix in (".npz", ".safetensors"):
        (folder / f"{record.key}{suffix}").write_bytes(made.with_suffix(suffix).read_bytes())
    taken = {"measurement": {"kind": "statistics", "arguments": {"dataset": "demo"}}, "values": {"users": 7}}
    taken |= {"cost": {"seconds": 1}, "environment": {"device": "cpu"}}
    (folder / "measured" / "statistics-0123456789abcdef.json").write_text(json.dumps(taken))
    return folder, record


def test_names_change_and_nothing_else(old):
    folder, record = old
    hits = read_hits(folder / f"{record.key}.json")
    assert migrate_records.migrate(folder) == 2
    path = record.file(folder)
    assert path == folder / "demo" / "lightgcn" / f"s0-{record.key}.json"
    assert Store(folder).records == {path: record}
    assert all((read_hits(path)[name] == values).all() for name, values in hits.items())
    assert restore(path).num_items == 900  # the weights came along
    (taken,) = Store(folder).measured("data").values()
    assert taken[0].parent == folder / "data"
    assert taken[1].measurement == Measurement.of(statistics, dataset="demo")
    assert (taken[1].values, taken[1].cost, taken[1].environment) == ({"users": 7}, {"seconds": 1}, {"device": "cpu"})
    assert not (folder / "measured").exists()
    assert not list(folder.glob("*.*"))


def test_what_has_moved_is_left_alone(old):
    folder, _ = old
    migrate_records.migrate(folder)
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert migrate_records.migrate(folder) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files


def test_a_record_of_another_key_is_refused(old):
    folder, record = old
    (folder / f"{record.key}.json").rename(folder / "0123456789abcdef.json")
    with pytest.raises(ValueError, match=rf"has the key {record.key}; expected the key that it is named by"):
        migrate_records.migrate(folder)
