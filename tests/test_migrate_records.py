"""A folder in the first edition's layout is moved to the one of today: names and lines change, nothing else."""

import json
import shutil
from pathlib import Path

import pytest
from made_up_folder import write_folder
from migrate_records import migrate

from mmkd_core import FitConfig, plan, restore, run
from mmkd_core.datasets import load
from mmkd_core.evidence.cases import Case
from mmkd_core.evidence.measurement import Measurement, MeasurementRecord, find_or_take
from mmkd_core.evidence.questions.data import statistics
from mmkd_core.evidence.store import Store
from mmkd_core.experiment import Record
from mmkd_core.hits import read_hits

FIT = {"epochs": 4, "batch_size": 64, "evaluate_every": 2}


def as_it_was(record, store):
    """Writes a record as the first edition did: `<key>.json`, a row for each epoch; returns its file."""
    values = {**vars(record), "experiment": record.experiment.as_dict()}
    values.pop("key", None)  # what a cached property leaves
    path = store / f"{record.key}.json"
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return path


def measured_as_it_was(result, kind, store):
    """The same for a measurement, whose data were not in its file: `measured/<kind>-<key>.json`."""
    (store / "measured").mkdir(parents=True)
    path = store / "measured" / f"{kind}-0123456789abcdef.json"
    values = {
        "measurement": {"kind": kind, "arguments": dict(result.measurement.arguments)},
        "values": result.values, "cost": result.cost, "environment": result.environment,
    }  # fmt: skip
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def today(tmp_path_factory):
    """A store of today: a student and its teacher, trained on a small folder, and the data's statistics; their data."""
    place = tmp_path_factory.mktemp("today")
    folder = str(write_folder(place / "tiny"))
    teacher = plan("teacher", folder, fit=FIT, hparams={"dim": 4})
    run(plan("mmkd", folder, fit=FIT, hparams={"dim": 4}, teacher=teacher), place / "store")
    find_or_take(Measurement.of(statistics, dataset=folder), statistics, place / "store")
    return place / "store", folder


@pytest.fixture
def old(today, tmp_path):
    """The same in the layout of the first edition, hits and weights beside each record."""
    store = tmp_path / "records"
    store.mkdir()
    for path in today[0].glob("tiny/*/s*-*.json"):
        before = as_it_was(Record.read(path), store)
        for suffix in (".npz", ".safetensors"):
            shutil.copy(path.with_suffix(suffix), before.with_suffix(suffix))
    (taken,) = today[0].glob("data/*.json")
    measured_as_it_was(MeasurementRecord.read(taken), "statistics", store)
    return store


def names(store):
    return sorted(str(path.relative_to(store)) for path in store.rglob("*"))


def contents(store):
    return {path.relative_to(store): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_the_old_layout_is_that_of_the_first_edition(old):
    assert len(list(old.glob("*.json"))) == len(list(old.glob("*.npz"))) == len(list(old.glob("*.safetensors"))) == 2
    (path,) = (p for p in old.glob("*.json") if json.loads(p.read_text())["experiment"]["model"] == "mmkd")
    assert len(json.loads(path.read_text())["history"]["losses"]) == FIT["epochs"]
    with pytest.raises(ValueError, match="not a record"):
        Record.read(path)


def test_what_is_moved_is_what_a_run_of_today_leaves_to_the_byte(old, today):
    assert migrate(old) == 3
    assert names(old) == names(today[0])
    assert contents(old) == contents(today[0])


def test_keys_values_and_hits_are_kept(old, today):
    before = {path.stem: json.loads(path.read_text()) for path in old.glob("*.json")}
    hits = {path.stem: read_hits(path) for path in old.glob("*.json")}
    (taken,) = (json.loads(path.read_text()) for path in (old / "measured").iterdir())
    migrate(old)
    store = Store(old)
    assert sorted(record.key for record in store.records.values()) == sorted(before)
    for path, record in store.records.items():
        own = before[record.key]
        assert path.stem == f"s0-{record.key}"
        assert record.experiment.as_dict() == own.pop("experiment")
        assert {name: getattr(record, name) for name in own} == own
        found = read_hits(path)
        assert found is not None
        assert {name: found[name].equal(values) for name, values in hits[record.key].items()} == dict.fromkeys(
            found, True
        )
        assert restore(path, load(today[1])).embed().items.shape == (60, 4)
    ((_, values),) = store.taken([Case({}, Measurement.of(statistics, dataset=today[1]))])
    assert values == taken["values"]
    ((_, result),) = store.measurements("data").values()
    assert (result.cost, result.environment) == (taken["cost"], taken["environment"])
    assert result.data == {"fingerprint": load(today[1]).fingerprint}


def test_twice_is_once(old):
    migrate(old)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in old.rglob("*") if path.is_file()}
    assert migrate(old) == 0
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    assert sum(path.is_file() for path in old.rglob("*")) == len(before)


def test_a_store_within_the_store_is_moved_to_where_it_was(old, today):
    (old / "measured").rename(old / "elsewhere")
    (old / "h100").mkdir()
    (old / "elsewhere").rename(old / "h100" / "measured")
    assert migrate(old) == 3
    assert not (old / "data").exists()
    assert not (old / "h100" / "measured").exists()
    assert contents(old / "h100") == {
        Path("data") / path.name: path.read_bytes() for path in today[0].glob("data/*.json")
    }
    assert [store.folder for store in Store(old).nested_stores("data")] == [old / "h100"]


def test_what_is_no_record_of_a_run_stays(old):
    (old / "notes.json").write_text('{"how": "by hand"}')
    (old / "searches").mkdir()
    (old / "searches" / "tiny-mmkd.json").write_text("{}")
    assert migrate(old) == 3
    assert (old / "notes.json").read_text() == '{"how": "by hand"}'
    assert (old / "searches" / "tiny-mmkd.json").read_text() == "{}"


@pytest.mark.parametrize("change", ["renamed", "edited"])
def test_a_record_of_another_key_is_refused_and_stays_as_it_is(change, old):
    path = min(old.glob("*.json"))
    if change == "renamed":
        path = path.rename(old / "0000000000000000.json")
    else:
        values = json.loads(path.read_text())
        assert values["experiment"]["fit"]["lr"] == FitConfig().lr
        values["experiment"]["fit"]["lr"] = 0.5
        path.write_text(json.dumps(values))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"its content has the key .*; expected the key that it is named by") as caught:
        migrate(old)
    assert str(caught.value).startswith(f"{path}: ")
    assert path.read_bytes() == before
    assert not list(old.glob("tiny/*/*0000000000000000*"))
