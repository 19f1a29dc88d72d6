"""A setting that comes later renames no record: at its declared neutral value no key tells of it."""

import json
from dataclasses import field, make_dataclass
from typing import Annotated

import pytest

import mmkd_core.experiment
from mmkd_core import settings
from mmkd_core.experiment import Experiment, Record, plan
from mmkd_core.models import MODELS
from mmkd_core.models.lightgcn import LightGCN
from mmkd_core.runs import run
from mmkd_core.settings import Neutral, completed, settings_of, settings_of_fields, without_neutral
from mmkd_core.training import FitConfig

FEW = {"epochs": 1, "evaluate_every": 1}


@pytest.fixture
def later(monkeypatch):
    """The library with a setting more of LightGCN, `bias`, and of the training, `warmup`; both change nothing at 0."""

    class Later(LightGCN):
        def __init__(
            self, data, *, dim: int = 64, layers: int = 2, l2: float = 1e-4, bias: Annotated[float, Neutral(0.0)] = 0.5
        ) -> None:
            super().__init__(data, dim=dim, layers=layers, l2=l2)

    def give():
        monkeypatch.setitem(MODELS, "lightgcn", Later)
        added = [("warmup", Annotated[int, Neutral(0)], field(default=3))]
        config = make_dataclass("FitConfig", added, bases=(FitConfig,), frozen=True)
        monkeypatch.setattr(mmkd_core.experiment, "SETTINGS", settings_of_fields(config))
        monkeypatch.setattr(mmkd_core.experiment, "FitConfig", config)

    return give


def changed(experiment, **values):
    """The same with other settings of the training or of the model."""
    told = experiment.as_dict()
    told["fit"] |= {name: value for name, value in values.items() if name == "warmup"}
    told["hparams"] |= {name: value for name, value in values.items() if name == "bias"}
    return Experiment.from_dict(told)


def test_a_field_of_the_training_and_a_keyword_of_a_model_move_no_key_at_their_neutral_value(later):
    before = plan("lightgcn", "demo")
    key, told = before.key("data"), json.loads(json.dumps(before.as_dict()))
    later()
    again = Experiment.from_dict(told)
    assert again.hparams["bias"] == 0.0  # what an older record means, and not today's default
    assert again.fit.warmup == 0
    assert again.key("data") == key
    assert changed(again, bias=0.0, warmup=0).key("data") == key
    moved = {changed(again, bias=0.5).key("data"), changed(again, warmup=3).key("data"), key}
    assert len(moved) == 3


def test_the_teacher_of_a_student_counts_in_the_same_way(later):
    before = plan("mmkd", "demo")
    key, told = before.key("data"), json.loads(json.dumps(before.as_dict()))
    later()
    again = Experiment.from_dict(told)
    assert again.teacher.fit.warmup == 0
    assert again.key("data") == key
    told["teacher"]["fit"]["warmup"] = 3
    assert Experiment.from_dict(told).key("data") != key


def test_a_record_made_before_is_read_and_found_after(later, tmp_path):
    record = run(plan("lightgcn", "demo", fit=FEW), tmp_path)
    path = record.file(tmp_path)
    later()
    read = Record.read(path)
    assert read.key == record.key
    assert read.experiment.hparams["bias"] == 0.0


def test_a_setting_that_declares_none_must_be_there():
    told = plan("lightgcn", "demo").as_dict()
    del told["hparams"]["l2"]
    with pytest.raises(ValueError, match=r"the settings \['l2'\] of lightgcn are missing; expected all that declare"):
        Experiment.from_dict(told)


def test_what_is_declared_is_what_is_left_out():
    def model(data, *, plain: int = 1, late: Annotated[int | None, Neutral(None)] = 2) -> None: ...

    known = settings_of(model)
    assert known["plain"].neutral is None
    assert known["late"] == settings.Setting(int, (), True, 2, settings.NOT_NEGATIVE, Neutral(None))
    assert without_neutral({"plain": 1, "late": None}, known) == {"plain": 1}
    assert without_neutral({"plain": 1, "late": 2}, known) == {"plain": 1, "late": 2}
    assert completed({"plain": 7}, known, "it") == {"plain": 7, "late": None}
