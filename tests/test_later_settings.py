"""A setting that comes later moves no key and makes no record unreadable, where it declares what is neutral."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import pytest

from mmkd_core import settings
from mmkd_core.experiment import Experiment, Record, plan
from mmkd_core.settings import Neutral
from mmkd_core.training import FitConfig

ROOT = Path(__file__).parents[1]
RECORD = min(ROOT.glob("book/records/demo/lightgcn/s0-*.json"))
STUDENT = min(ROOT.glob("book/records/demo/mmkd/s0-*.json"))


@dataclass(frozen=True)
class Training:
    """What a training could be told one day."""

    epochs: int = 10
    warm_up: Annotated[int, Neutral(0)] = 3
    decay: Annotated[float | None, Neutral(None)] = None


def model(data, *, dim: int = 64, bias: Annotated[bool, Neutral(False)] = True) -> None:
    """The signature of a model with a setting more."""


FIELDS, KEYWORDS = settings.of_dataclass(Training), settings.of_function(model)


def test_what_is_neutral_is_read_from_the_annotation_and_the_kind_beside_it():
    assert {name: setting.neutral for name, setting in (FIELDS | KEYWORDS).items()} == {
        "epochs": None, "warm_up": (0,), "decay": (None,), "dim": None, "bias": (False,),
    }  # fmt: skip
    assert (FIELDS["warm_up"].kind, FIELDS["warm_up"].default) == (int, 3)
    assert (FIELDS["decay"].kind, FIELDS["decay"].optional) == (float, True)
    assert (KEYWORDS["bias"].kind, KEYWORDS["bias"].default) == (bool, True)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"epochs": 10, "warm_up": 0, "decay": None}, {"epochs": 10}),
        ({"epochs": 10, "warm_up": 3, "decay": 0.5}, {"epochs": 10, "warm_up": 3, "decay": 0.5}),
        ({"epochs": 0, "warm_up": 0, "decay": 0.0}, {"epochs": 0, "decay": 0.0}),
    ],
)
def test_a_key_leaves_out_what_is_at_its_neutral_value_and_a_record_without_it_has_it(values, told):
    assert settings.without_neutral(values, FIELDS) == told
    assert settings.completed(told, FIELDS, "the training") == values
    assert asdict(Training(**settings.completed(told, FIELDS, "the training"))) == values


def test_a_setting_that_declares_nothing_neutral_must_be_there():
    assert settings.completed({"dim": 4}, KEYWORDS, "the model") == {"dim": 4, "bias": False}
    with pytest.raises(ValueError, match=r"the settings \['dim'\] of the model are missing; expected all that declare"):
        settings.completed({"bias": True}, KEYWORDS, "the model")


# --- the same in the package itself, to whose sources two settings are added ---

TOLD = """
import json, sys
from pathlib import Path
from mmkd_core.evidence.cases import Case
from mmkd_core.evidence.store import Store
from mmkd_core.experiment import Record, plan

record, student, store, new = map(Path, sys.argv[1:])
old, taught = Record.read(record), Record.read(student)
teacher = plan("teacher", "demo", fit={"warm_up": 0})
print(json.dumps({
    "read": [old.key, old.experiment.hparams["bias"], old.experiment.fit.warm_up],
    "taught": [taught.key, taught.experiment.teacher.fit.warm_up, taught.experiment.fit.warm_up],
    "neutral": plan("lightgcn", "demo", hparams={"bias": False}, fit={"warm_up": 0}).key("data"),
    "found": Store(store).rows(
        [Case({}, plan("lightgcn", "demo", hparams={"bias": False}, fit={"warm_up": warm_up})) for warm_up in (0, 4)]
    )["record"].map(str).tolist(),
    "moved": [
        plan("lightgcn", "demo").key("data"),
        plan("lightgcn", "demo", hparams={"bias": False}, fit={"warm_up": 4}).key("data"),
        plan("lightgcn", "demo", hparams={"bias": True}, fit={"warm_up": 0}).key("data"),
    ],
    "taught by": plan("mmkd", "demo", fit={"warm_up": 0}, teacher=teacher).key("data"),
    "taught otherwise": plan("mmkd", "demo", fit={"warm_up": 0}).key("data"),
    "saved": [json.loads(old.save(new).read_text())["experiment"][part] for part in ("hparams", "fit")],
}))
"""


def changed(path, *changes):
    """Rewrites a file in which each text that is replaced stands once."""
    text = path.read_text(encoding="utf-8")
    for before, after in changes:
        assert text.count(before) == 1, (path.name, before)
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    """A folder with the package as it may be later: `FitConfig` has a field more, and LightGCN a keyword.

    The default of either is not its neutral value.
    """
    folder = tmp_path_factory.mktemp("later")
    shutil.copytree(ROOT / "mmkd_core", folder / "mmkd_core", ignore=shutil.ignore_patterns("__pycache__"))
    changed(
        folder / "mmkd_core" / "training.py",
        ("    seed: int = 0\n", "    seed: int = 0\n    warm_up: Annotated[int, settings.Neutral(0)] = 3\n"),
    )
    changed(
        folder / "mmkd_core" / "models" / "lightgcn.py",
        ("from mmkd_core.data import", "from typing import Annotated\n\nfrom mmkd_core.data import"),
        ("from mmkd_core.models.base import IdModel\n", "from mmkd_core.models.base import IdModel\n"
         "from mmkd_core.settings import Neutral\n"),
        ("l2: float = 1e-4)", "l2: float = 1e-4, bias: Annotated[bool, Neutral(False)] = True)"),
    )  # fmt: skip
    return folder


def python(folder, code, *arguments):
    """What a fresh interpreter does that finds the package in `folder` first."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_settings_that_are_added_to_the_sources_move_no_key_at_their_neutral_value_and_old_records_are_read(
    later, tmp_path
):
    done = python(later, TOLD, RECORD, STUDENT, ROOT / "book" / "records", tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    old, taught = Record.read(RECORD), Record.read(STUDENT)
    assert told["read"] == [old.key, False, 0]
    assert told["taught"] == [taught.key, 0, 0]
    assert told["neutral"] == plan("lightgcn", "demo").key("data")
    assert told["found"] == [str(RECORD), "nan"]
    assert len({told["neutral"], *told["moved"]}) == 4
    assert told["taught by"] == plan("mmkd", "demo").key("data") != told["taught otherwise"]
    assert told["saved"] == [old.experiment.hparams | {"bias": False}, asdict(old.experiment.fit) | {"warm_up": 0}]


def test_a_setting_that_is_added_and_declares_nothing_neutral_makes_old_records_unreadable(later, tmp_path):
    shutil.copytree(later / "mmkd_core", tmp_path / "mmkd_core")
    changed(tmp_path / "mmkd_core" / "training.py", ("Annotated[int, settings.Neutral(0)] = 3", "int = 3"))
    done = python(tmp_path, f"from mmkd_core import Record; Record.read({str(RECORD)!r})")
    assert done.returncode == 1
    assert f"{RECORD}: not a record (the settings ['warm_up'] of the training are missing" in done.stderr


def test_a_record_of_today_has_every_setting():
    experiment = Record.read(RECORD).experiment
    assert asdict(experiment.fit).keys() == asdict(FitConfig()).keys()
    assert Experiment.from_dict(json.loads(json.dumps(experiment.as_dict()))) == experiment
