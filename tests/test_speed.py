"""The speed tables: what they compare, what they say of peers that are not there, and the run that needs a GPU."""

import json
import sys
import time

import numpy as np
import pytest
import torch

from benchmarks import gpu, ours, peers, table
from benchmarks.__main__ import main
from benchmarks.blocks import make, read
from benchmarks.epochs import epoch_seconds, rows
from benchmarks.generated import generated_data, power_law
from benchmarks.scale import AXES, Size, measure, power
from benchmarks.table import ABSENT, CITED, EARLIER, OURS, Row, cited, lines, ratio
from mmkd_core.evidence.meters import alone
from mmkd_core.models import build

CPU = torch.device("cpu")


@pytest.fixture
def without_peers(monkeypatch):
    for name in ("recbole", "cornac", "implicit", "faiss"):
        for module in [module for module in sys.modules if module.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)


def test_one_run_compares_every_part_and_writes_a_whole_record(without_peers, tmp_path, capsys):
    out = tmp_path / "speed.json"
    main(["--dry", "--repeat", "1", "--out", str(out)])
    record = json.loads(out.read_text())
    found = [Row(**row) for row in record["rows"]]
    assert {row.part for row in found if row.who == OURS} == set(table.PARTS) == set(ours.PARTS) == set(peers.PEERS)
    assert {row.what for row in found if (row.part, row.who) == ("epoch", OURS)} == {row.title for row in rows()}
    assert all(row.value is not None for row in found if row.who == OURS)
    absent = {row.who for row in found if row.value is None}
    assert absent == {"RecBole", "cornac", "implicit", "faiss"}
    assert {row.who for row in found} - absent - {OURS} == {
        "torch, COO", "torch, CSR", "scipy, CSR", "torch, matmul and topk", "numpy, the product alone",
    }  # fmt: skip
    assert {where["device"] for where in record["environments"].values()} == {"cpu"}
    assert list(record["environments"]) == [f"{part}, demo" for part in table.PARTS]
    said = capsys.readouterr().out
    assert said.count(ABSENT) == sum(row.value is None for row in found)
    assert list(tmp_path.iterdir()) == [out]
    main(["--dry", "--repeat", "1", "--parts", "product", "--out", str(out)])
    again = json.loads(out.read_text())["rows"]
    assert [row[:4] for row in found] == [Row(**row)[:4] for row in again]
    assert [row for row in again if row["part"] != "product"] == [
        row for row in record["rows"] if row["part"] != "product"
    ]


def test_each_peer_stands_beside_a_line_of_ours():
    titles = {row.title for row in rows()} | {ours.USERS, ours.LISTS, ours.TRIPLES, ours.BIPARTITE}
    assert {what for part in peers.PEERS.values() for _, what, _ in part} <= titles
    assert {what for part in CITED.values() for at in part.values() for what in at} <= titles


@pytest.mark.parametrize(("part", "peer"), [(part, peer) for part, all_of in peers.PEERS.items() for peer in all_of])
def test_a_peer_that_is_installed_gives_its_row(part, peer, data):
    who, what, adapter = peer
    try:
        (row,) = adapter(data, "small", 1)
    except ImportError:
        pytest.skip("peers are an optional group: pip install -e .[peers]")
    assert row[:4] == (part, "small", what, who)
    assert row.value is not None


def test_ratios_come_first_and_what_is_earlier_or_missing_says_so():
    found = [
        Row("epoch", "x", "a model", OURS, 0.5),
        Row("epoch", "x", "a model", "fast", 0.25, "otherwise"),
        Row("epoch", "x", "a model", "gone", None),
        Row("epoch", "x", "another", "slow", 3.0),
    ]
    assert [ratio(row, found) for row in found] == [1.0, 0.5, None, None]
    title, *said = lines(found)
    assert title == "x: an epoch of training, seconds"
    assert [line.split() for line in said] == [
        ["1.0", "x", "0.500", "a", "model", "ours"],
        ["0.5", "x", "0.250", "fast", "otherwise"],
        ["not", "installed", "gone"],
        ["3.000", "slow"],
    ]
    assert all(row.note.startswith(EARLIER) for row in cited("epoch", "tiktok"))
    assert not list(cited("epoch", "nowhere"))


@pytest.mark.parametrize("most", [1, 10**9])
def test_an_epoch_of_few_or_many_steps_has_a_time(data, most):
    assert epoch_seconds(build("bpr-mf", data, {}), data, CPU, 1, most) >= 0


def test_what_needs_a_gpu_is_all_asked_and_written_in_time(tmp_path, capsys):
    out = tmp_path / "cuda.json"
    main(["--device", "cpu", "--minutes", "1", "--dry", "--out", str(out)])
    record = json.loads(out.read_text())
    assert (record["failed"], record["left out"], record["dry"]) == ({}, [], True)
    assert list(record["answers"]) == list(gpu.TASKS)
    assert list(record["answers"]["steps"]) == [row.title for row in rows()]
    said = capsys.readouterr().out
    assert all(f"{name}, " in said for name in gpu.TASKS)


def answering(*questions):
    def answers(device, sizes):
        for what in questions:
            yield what, {"ms": 1.0}

    return answers


def failing(device, sizes):
    yield "first", {"ms": 2.0}
    raise RuntimeError("out of memory")


def test_a_task_that_fails_keeps_what_was_there_and_the_next_is_asked(tmp_path, monkeypatch):
    tasks = {"a": gpu.Task(failing, 0), "b": gpu.Task(answering("x"), 0), "c": gpu.Task(answering("y"), 10**6)}
    monkeypatch.setattr(gpu, "TASKS", tasks)
    found = gpu.run(CPU, 60, tmp_path / "f.json")
    assert found["answers"] == {"a": {"first": {"ms": 2.0}}, "b": {"x": {"ms": 1.0}}}
    assert found["failed"] == {"a": "RuntimeError: out of memory"}
    assert found["left out"] == ["c"]
    assert json.loads((tmp_path / "f.json").read_text())["answers"] == found["answers"]


def test_a_task_ends_when_time_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "TASKS", {"a": gpu.Task(answering("x", "y"), -1)})
    monkeypatch.setattr(time, "perf_counter", iter(range(100)).__next__)
    assert gpu.run(CPU, 1.5, None)["left out"] == ["a, after x"]


@pytest.mark.parametrize("power_of", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("constant", [0.0, 5.0])
def test_a_power_is_found_beside_a_constant(power_of, constant):
    factors = [1, 2, 4, 8, 16, 32, 64]
    fit = power(factors, [constant + 3 * x**power_of for x in factors])
    assert fit["power"] == pytest.approx(power_of, abs=0.02)
    assert fit["constant"] == pytest.approx(constant, abs=0.3)


def test_what_does_not_grow_has_the_power_0():
    assert power([1, 8, 64], [2.0, 2.2, 2.1]) == {"power": 0.0, "constant": 2.1}


def test_a_point_of_growth_has_every_quantity():
    # As the program does: here the peak of an earlier test would stand for that of the imports.
    found = alone(measure, Size(users=60, items=50, edges=200, width=4, modalities=2))
    assert len(found) == 5
    assert all(value >= 0 for value in found.values())
    assert set(AXES.values()) < set(Size._fields)


def test_generated_pairs_are_distinct_always_the_same_and_follow_a_power_law():
    keys = power_law(400, 300, 8000)
    assert len(set(keys.tolist())) == len(keys) == 8000
    assert np.array_equal(keys, power_law(400, 300, 8000))
    assert not np.array_equal(keys, power_law(400, 300, 8000, seed=1))
    counts = np.sort(np.bincount(keys % 300, minlength=300))[::-1]
    assert counts[:30].sum() > 0.25 * len(keys)
    assert keys.max() < 400 * 300
    with pytest.raises(ValueError, match="expected a tenth of all at most"):
        power_law(10, 10, 11)


def test_generated_data_have_the_sizes_asked_for():
    data = generated_data(60, 50, 200, {"text": 3})
    assert [len(split) for split in (data.train, data.val, data.test)] == [160, 20, 20]
    assert data.features["text"].shape == (50, 3)


def test_a_file_in_blocks_is_the_same_pairs(tmp_path, monkeypatch):
    made = make(str(tmp_path / "a.parquet"), 300, 200, 3000)
    assert made["file bytes"] == (tmp_path / "a.parquet").stat().st_size
    found = read(str(tmp_path))
    assert sum(found["splits"].values()) == 3000
    assert found["splits"]["train"] > 2200
    assert set(found["peak MiB"]) == {"imports", "load", "fingerprint"}
