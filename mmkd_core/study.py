"""A search for a model's settings as its file has it: the space of them, and the trials in it.

The space is the table `[search]` of `hparams/<model>.toml`: a list is a choice; {low, high} is uniform in the
logarithm, and over whole numbers where both are. `start` are the settings of the first trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import log
from pathlib import Path
from typing import Any

from mmkd_core.chosen import flat, nested, tables_of
from mmkd_core.files import read_json
from mmkd_core.models import settings_of, usual_fit
from mmkd_core.settings import check
from mmkd_core.training import SETTINGS, TRAINING

EDGE = 0.05  # of a range, in its logarithm: nearer to its end than this is at its edge
COMPLETE, FAILED = "complete", "failed"
Space = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """What a study may spend: `trials` that complete, each of at most `epochs`; `patience` counts evaluations.

    Raises `ValueError` for a number below 1.
    """

    trials: int = 10
    epochs: int = 300
    patience: int = 6

    def __post_init__(self) -> None:
        for name, number in asdict(self).items():
            if number < 1:
                raise ValueError(f"{name}={number} of a search; expected at least 1")


def patience_of(model: str, otherwise: int = Budget.patience) -> int:
    """How many evaluations without improvement end a trial: as the model's own training has it, if it says so."""
    return usual_fit(model).get("patience", otherwise)


@dataclass
class Study:
    """The trials of one model on one data set, as its file has them.

    A trial has its "settings", its "state" (one whose loss was no longer finite has failed, and does not count), the
    "epochs" that it was trained for, of which "best_epoch" was kept, and that epoch's "validation recall@20".
    """

    model: str
    dataset: str
    fingerprint: str
    seed: int
    budget: dict[str, Any]
    space: Space
    start: dict[str, Any]
    teachers: dict[str, str]
    trials: list[dict[str, Any]] = field(default_factory=list)
    cost: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)

    @property
    def completed(self) -> list[dict[str, Any]]:
        return [trial for trial in self.trials if trial["state"] == COMPLETE]

    @property
    def best(self) -> dict[str, Any]:
        """The trial with the best validation Recall@20, of equally good ones the first."""
        return max(self.completed, key=lambda trial: trial["validation recall@20"])

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the best trial, with the cap of its training: what a file of settings says of the model."""
        tried = self.best["settings"]
        cap = {name: self.budget[name] for name in ("epochs", "patience")}
        return tried | ({"fit": tried["fit"] | cap} if "fit" in tried else {})

    @property
    def capped(self) -> int:
        """How many trials ended at the cap, and may have had better epochs beyond it."""
        return sum(trial["epochs"] >= self.budget["epochs"] for trial in self.completed)

    def edges(self) -> list[str]:
        """The settings of the best trial at an edge of what was tried, with what that was: "layers=3 of [1, 2, 3]"."""
        tried = flat(self.best["settings"])
        return [
            f"{name}={tried[name]} of {part if isinstance(part, list) else '{low} to {high}'.format(**part)}"
            for name, part in flat(self.space).items()
            if at_edge(tried[name], part)
        ]

    def as_dict(self) -> dict[str, Any]:
        """What its file holds: its fields, and the best of its trials under "best" and "best validation"."""
        if not self.completed:
            return asdict(self)
        return asdict(self) | {"best": self.best["settings"], "best validation": self.best["validation recall@20"]}


def at_edge(value: Any, part: Any) -> bool:
    """Whether the best value of a setting lies at an end of its range, or is the least or most of several numbers.

    0 is no edge: it leaves a part away.
    """
    if isinstance(part, list):
        return _numbers(part) and len(part) > 1 and value != 0 and value in (min(part), max(part))
    share = log(value / part["low"]) / log(part["high"] / part["low"])
    return not EDGE < share < 1 - EDGE


def space_of(model: str, ranges: Mapping[str, Any] | None = None) -> tuple[Space, dict[str, Any]]:
    """The space of a model, and the settings that a study of it begins with.

    `ranges` takes the place of parts of it, by the names of the command line: {"l2": {"low": 1e-5, "high": 1.0}}.
    Raises `ValueError` for a model that has no settings, a name that it does not know and what is no range.
    """
    space = tables_of(model).get("search", {})
    if not space:
        raise ValueError(f"{model} has nothing to tune; expected a model with settings (`mmkd run --help` lists them)")
    start = flat(space.pop("start"))
    known = {name: (settings_of(model)[name], model) for name in space if name != "fit"}
    known |= {f"fit.{name}": (SETTINGS[name], TRAINING) for name in space.get("fit", {})}
    parts = flat(space)
    for name, part in (ranges or {}).items():
        if name not in known:
            raise ValueError(f"unknown setting {name!r} in the search of {model}; one of {sorted(known)}")
        setting, of = known[name]
        values = part if isinstance(part, list) else [part["low"], part["high"]]
        values = [check(name, value, setting, of) for value in values]
        if not isinstance(part, list) and not 0 < values[0] < values[1]:
            raise ValueError(f"{name} from {values[0]} to {values[1]}; expected two numbers above 0, the lesser first")
        parts[name] = values if isinstance(part, list) else dict(zip(("low", "high"), values, strict=True))
        start[name] = nearest_in(parts[name], start[name])
    return nested(parts), nested(start)


def nearest_in(part: Any, value: Any) -> Any:
    """The value of a part of a space that is nearest to another; of choices without order the first."""
    if isinstance(part, list):
        return value if value in part else min(part, key=lambda one: abs(one - value)) if _numbers(part) else part[0]
    return min(max(value, part["low"]), part["high"])


def _numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def study_file(store: str | Path, dataset: str, model: str) -> Path:
    """Where the study of a model on a data set lies in a store."""
    return Path(store) / "searches" / f"{Path(dataset).name or 'folder'}-{model}.json"


def read_study(path: str | Path) -> Study:
    """The study in a file; raises `ValueError` naming a file that is missing or is none."""
    return read_json(path, _study, "study", "mmkd tune")


def _study(values: Mapping[str, Any]) -> Study:
    study = Study(**{name: value for name, value in values.items() if name not in ("best", "best validation")})
    names = {*flat(study.space)}
    for number, trial in enumerate(study.trials):
        if trial["state"] not in (COMPLETE, FAILED) or {*flat(trial["settings"])} != names:
            raise ValueError(f"trial {number}: expected one that is complete or failed, with the settings of the space")
        if trial["state"] == COMPLETE:
            trial |= {"validation recall@20": float(trial["validation recall@20"]), "epochs": int(trial["epochs"])}
    return study


def found_by(study: Study, place: str) -> str:
    """How settings were found, for a file of settings; `place` is where the study lies."""
    tried = f"{len(study.completed)} completed trials, {len(study.trials)} started"
    return f"best of {tried}, by validation Recall@20, {place}"
