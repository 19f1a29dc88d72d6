"""What makes a student lead: each ablation changes one part, and the tables say what there is."""

from pathlib import Path

import pytest

from mmkd_core.evidence.questions import leading
from mmkd_core.evidence.store import Store

ROOT = Path(__file__).parents[1]
ONE = {
    "teachers by BPR, w/o content": {"teacher.teacher", "teacher.second"},
    "teachers of 64 columns": {"teacher.teacher.hparams.dim", "teacher.second.hparams.dim"},
    "w/o content": {"teacher.teacher.hparams.content_weight", "teacher.second.hparams.content_weight"},
    "MMKD's teacher in place of both": {"teacher"},
    "Softmax teacher alone": {"teacher.hparams.share"},
    "Softmax factors alone": {"teacher.hparams.share"},
    "random start": {"hparams.init"},
    "lists of 16": {"hparams.candidates"},
    "lists of 128": {"hparams.candidates"},
    "temperature 0.1": {"hparams.temperature"},
    "temperature 1": {"hparams.temperature"},
}


def changed(one, other, path=""):
    """The places at which two experiments differ; of another model as teacher, the teacher's place."""
    if isinstance(one, dict) and isinstance(other, dict) and one.get("model") == other.get("model"):
        names = one.keys() | other.keys()
        return {place for name in names for place in changed(one.get(name), other.get(name), f"{path}.{name}")}
    return set() if one == other else {path.removeprefix(".")}


@pytest.fixture(scope="module")
def planned():
    return {case.labels["system"]: case.job.as_dict() for case in leading.cases("lfm2k", 0)}


def test_an_ablation_changes_one_part_of_the_student(planned):
    found = {name: changed(planned[name], planned[leading.STUDENT]) for name in leading.ABLATIONS}
    permuted = found.pop(leading.PERMUTED)
    assert found == ONE
    assert {place.rpartition(".")[2] for place in permuted} == {"content"}
    assert len(permuted) == 4  # of the student, of both as one and of each


def test_every_part_of_the_method_is_among_the_systems(planned):
    student = planned[leading.STUDENT]
    both = student["teacher"]
    for part in (both, both["teacher"], both["second"]):
        assert part in [planned[name] for name in leading.SYSTEMS]
    assert changed(planned[leading.START], student) == {"fit.epochs"}


def test_the_tables_stand_for_every_data_set_with_and_without_records(tmp_path):
    cases = leading.cases()
    titles = [f"{name}{part}" for name in ("tiktok", "lfm2k", "amazon-beauty") for part in ("", ", one part changed")]
    for store in (Store(tmp_path, new=True), Store(ROOT / "book" / "records")):
        frames = leading.frames(cases, store)
        assert list(frames) == titles
        assert list(frames["tiktok, one part changed"].index) == [leading.STUDENT, *leading.ABLATIONS]
        assert {*leading.SYSTEMS, "LightGCN", "MMKD"} < {*frames["tiktok"].index}
