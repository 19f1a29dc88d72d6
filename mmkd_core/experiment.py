"""An experiment is a frozen value; its record is a file named by the hash of that value and of its data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from mmkd_core import settings
from mmkd_core.chosen import Chosen, chosen_for
from mmkd_core.datasets import canonical_name, non_default_options
from mmkd_core.files import check_named, read_json, write_json
from mmkd_core.history import pack_history, unpack_history
from mmkd_core.models import TEACHERS, all_settings, may_teach, settings_of, teachers_of, usual_fit
from mmkd_core.training import SETTINGS, TRAINING, FitConfig


@dataclass(frozen=True)
class Experiment:
    """All that decides a result: data (with the options of `load`), model, settings, training, seed, teachers.

    `hparams` holds every setting of the model, so that a later change of a default cannot change a record's meaning;
    but MMKD's `layers=None` stands for the `usual_layers` of its student, which are therefore frozen. `fit.seed` is
    always `seed`. `options`, `--set data.NAME` on the command line, holds those that are not at their default.
    `dataset` is a name, or a folder; `plan` makes that the absolute path. Raises `ValueError` for what is no value of a
    setting or option, and for a teacher too few, too many or of a kind that the model cannot learn from. Few models
    have a `second`; where there is none, neither a record nor a key has a line of it.
    """

    dataset: str
    model: str
    seed: int = 0
    hparams: Mapping[str, Any] = field(default_factory=dict)
    fit: FitConfig = field(default_factory=FitConfig)
    teacher: Experiment | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    second: Experiment | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not self.dataset:
            raise ValueError(f"data set {settings.quoted(self.dataset)}; expected a name or the path of a folder")
        object.__setattr__(self, "hparams", all_settings(self.model, self.hparams))
        nested = [(name, (Experiment, type(None))) for name in TEACHERS]
        for name, kinds in (("fit", (FitConfig,)), *nested):
            if not isinstance(value := getattr(self, name), kinds):
                raise ValueError(f"{name}={settings.quoted(value)} of {self.model}; expected a {kinds[0].__name__}")
        object.__setattr__(self, "fit", replace(self.fit, seed=self.seed))
        object.__setattr__(self, "options", non_default_options(self.options, self.dataset))
        self._check_teachers()

    def _check_teachers(self) -> None:
        usual = teachers_of(self.model)
        for name, teacher in self.teachers.items():
            if name not in usual or not may_teach(teacher.model, self.model, usual[name]):
                raise ValueError(f"{self.model} cannot be taught by {teacher.model}; expected mmkd and teacher")
        if lacking := [name for name in usual if name not in self.teachers]:
            raise ValueError(
                f"{lacking[0]}=None of {self.model}, which learns from one; expected a teacher, as `plan` gives"
            )

    @property
    def teachers(self) -> dict[str, Experiment]:
        """The experiments that train what its model learns from, by the names of the parameters that take them."""
        return {name: teacher for name in TEACHERS if (teacher := getattr(self, name)) is not None}

    @property
    def depth(self) -> int:
        """How many trainings must come before its own, one after another."""
        return max((1 + teacher.depth for teacher in self.teachers.values()), default=0)

    @property
    def stages(self) -> list[Experiment]:
        """All trainings, its own as the last: those that a training learns from come before it."""
        return [*(stage for teacher in self.teachers.values() for stage in teacher.stages), self]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self, dict_factory=lambda items: {key: x for key, x in items if (key, x) != ("second", None)})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Experiment:
        """The inverse of `as_dict`; a setting that came later than `values` has its declared neutral value.

        Raises `ValueError` where a setting is missing that declares none.
        """
        hparams = settings.completed(values["hparams"], settings_of(values["model"]), values["model"])
        fit = FitConfig(**settings.completed(values["fit"], SETTINGS, TRAINING))
        teachers: dict[str, Any] = {
            name: values[name] and cls.from_dict(values[name]) for name in TEACHERS if name in values
        }
        return cls(**{**values, "hparams": hparams, "fit": fit} | teachers)

    @cached_property
    def canonical(self) -> str:
        """JSON that two equal experiments share; without the settings that are at their declared neutral value."""
        return json.dumps(self._without_neutral(), sort_keys=True)

    def _without_neutral(self) -> dict[str, Any]:
        names = [f.name for f in fields(self) if f.name not in TEACHERS]
        return {name: getattr(self, name) for name in names} | {
            "hparams": settings.without_neutral(self.hparams, settings_of(self.model)),
            "fit": settings.without_neutral(asdict(self.fit), SETTINGS),
            "teacher": None,
            **{name: teacher._without_neutral() for name, teacher in self.teachers.items()},
        }

    def key(self, fingerprint: str) -> str:
        """16 hexadecimal digits of sha256 over the experiment's canonical JSON and the data set's fingerprint.

        Where a folder lies does not count: the fingerprint says which data they are.
        """
        placeless = self.at("a folder") if Path(self.dataset).is_absolute() else self
        return hashlib.sha256((placeless.canonical + fingerprint).encode()).hexdigest()[:16]

    def file(self, store: str | Path, fingerprint: str) -> Path:
        """Where its record lies in a store: `<data set>/<model>/s<seed>-<key>.json`.

        If the store already holds it under another data set's folder name, that file.
        """
        name = f"s{self.seed}-{self.key(fingerprint)}.json"
        places = sorted(Path(store).glob(f"*/{self.model}/{name}"))
        return places[0] if places else Path(store) / (Path(self.dataset).name or "folder") / self.model / name

    def at(self, dataset: str) -> Experiment:
        """The same on the data set of another name or place."""
        return self._each(lambda stage: {"dataset": dataset})

    def with_options(self, **options: Any) -> Experiment:
        """The same, its teachers too, on data that were loaded with these options besides."""
        return self._each(lambda stage: {"options": {**stage.options, **options}})

    def _each(self, changes: Callable[[Experiment], Mapping[str, Any]]) -> Experiment:
        """The same with each training changed."""
        teachers = {name: teacher._each(changes) for name, teacher in self.teachers.items()}
        return replace(self, **changes(self), **teachers)


def plan(
    model: str,
    dataset: str,
    *,
    seed: int = 0,
    hparams: Mapping[str, Any] | None = None,
    fit: Mapping[str, Any] | None = None,
    teacher: Experiment | None = None,
    second: Experiment | None = None,
    options: Mapping[str, Any] | None = None,
    chosen: Chosen | None = None,
) -> Experiment:
    """The experiment with the settings of `hparams/<model>.toml` for `dataset`, changed by what is given.

    `chosen`, as `read_chosen` gives it, takes the place of those files for the models that it names. A setting that is
    in none has the default of the model's signature, or that of its `usual_fit` and `FitConfig`. The `teacher` of
    "mmkd" is planned too unless it is given, as are the teachers of any model that learns from others. A variant has
    the settings of what it varies, where it has no file of its own. A folder is the same data set however its path is
    written. Raises `ValueError` for an unknown model or setting, for what is no value of one, and for a teacher of
    another data set, seed or options.
    """
    dataset = canonical_name(dataset)
    found = chosen_for(model, dataset, chosen)
    training = usual_fit(model) | settings.mapping(found.pop("fit", {}), "setting", TRAINING)
    given = zip(TEACHERS, (teacher, second), strict=True)
    teachers = {name: one for name, one in given if one is not None}
    for name, usual in teachers_of(model).items():
        if name not in teachers:
            teachers[name] = plan(usual, dataset, seed=seed, options=options, chosen=chosen)
    described = {name: setting for name, setting in SETTINGS.items() if name != "seed"}
    training |= settings.mapping({} if fit is None else fit, "setting", TRAINING)
    training = settings.checked(training, described, TRAINING)
    found |= settings.mapping({} if hparams is None else hparams, "setting", model)
    options = {} if options is None else options
    experiment = Experiment(dataset, model, seed, found, FitConfig(**training), options=options, **teachers)
    for name, one in product(("dataset", "seed", "options"), teachers.values()):
        ours, theirs = getattr(experiment, name), getattr(one, name)
        if ours != theirs:
            raise ValueError(f"{name} of {model}: got {ours!r}, and {theirs!r} of its teacher; expected the same")
    return experiment


@dataclass(frozen=True)
class Record:
    """What an experiment gave: test means, validation means, history, cost and where it ran."""

    experiment: Experiment
    metrics: dict[str, float]
    validation: dict[str, float]
    history: dict[str, Any]
    cost: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, Any]

    @cached_property
    def key(self) -> str:
        return self.experiment.key(self.data["fingerprint"])

    def file(self, store: str | Path) -> Path:
        """Where it lies in a store."""
        return self.experiment.file(store, self.data["fingerprint"])

    def save(self, store: str | Path) -> Path:
        """Writes its file, whole or not at all."""
        path = self.file(store)
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        write_json(path, values | {"experiment": self.experiment.as_dict(), "history": pack_history(self.history)})
        return path

    @classmethod
    def read(cls, path: str | Path) -> Record:
        """The record in a file.

        Raises `ValueError` naming the file when it is missing, is no record, or does not fit its name: changed by hand.
        """
        record = read_json(path, cls._from_json, "record", "mmkd run")
        check_named(path, record.key)
        return record

    @classmethod
    def _from_json(cls, values: Mapping[str, Any]) -> Record:
        if not isinstance(fingerprint := values["data"]["fingerprint"], str):
            raise TypeError(f"fingerprint {settings.quoted(fingerprint)}, expected a text")
        experiment, history = Experiment.from_dict(values["experiment"]), unpack_history(values["history"])
        return cls(**{**values, "experiment": experiment, "history": history})
