"""Committed records are what they say, and what is printed from them is what they hold."""

import json
import math
from pathlib import Path

import pytest

from mmkd_core.experiment import Record
from mmkd_core.results import frame, markdown, read_records

ROOT = Path(__file__).parents[1]
STORE = ROOT / "book" / "records"
FILES = sorted(STORE.glob("*.json"))


def test_there_are_records():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_record_is_named_by_its_experiment_and_data_and_is_small(path):
    record = Record.read(path)
    assert path.stem == record.key
    assert path.stat().st_size < 100_000
    assert not record.environment["commit"].endswith("dirty")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_record_keeps_the_best_validation_epoch(path):
    record = Record.read(path)
    rows = {row["epoch"]: row["recall@20"] for row in record.history["validation"]}
    assert rows[record.history["best_epoch"]] == max(rows.values()) == record.validation["recall@20"]


@pytest.mark.parametrize("path", [p for p in FILES if json.loads(p.read_text())["experiment"]["teacher"]], ids=str)
def test_a_student_learned_from_a_teacher_whose_record_is_committed(path):
    record = Record.read(path)
    assert record.experiment.teacher is not None
    assert (STORE / f"{record.experiment.teacher.key(record.data['fingerprint'])}.json").exists()


def test_the_readme_prints_the_records():
    assert markdown(frame(read_records(STORE)), "tiktok") in (ROOT / "README.md").read_text()


def test_a_line_is_mean_and_deviation_over_seeds():
    rows = frame(read_records(STORE))
    lightgcn = rows[(rows["dataset"] == "tiktok") & (rows["model"] == "lightgcn")]
    values = lightgcn["recall@20"].tolist()
    mean = sum(values) / 3
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
    assert f"| lightgcn | 3 | {mean:.4f} ± {deviation:.4f} |" in markdown(rows, "tiktok")
