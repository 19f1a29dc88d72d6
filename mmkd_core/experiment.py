"""An experiment is a frozen value; its record is a file named by the hash of that value and of its data."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mmkd_core import settings
from mmkd_core.cost import environment, measured, parameters
from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets import address, checked_options, load
from mmkd_core.evaluation import hit_places, metrics_at
from mmkd_core.files import fits, read_json, write_json, write_whole
from mmkd_core.hits import KS, packed, read_hits, save_hits, unpacked
from mmkd_core.models import base_of, build, check_memory, checked, described_settings
from mmkd_core.models.base import Recommender
from mmkd_core.training import SETTINGS, TRAINING, FitConfig, History, choose_device, fit, seeded

__all__ = ["KS", "Experiment", "Record", "plan", "read_hits", "restore", "run", "train"]

OnTraining = Callable[["Experiment", int, History], None]


@dataclass(frozen=True)
class Experiment:
    """All that decides a result: data (with the options of `load`), model, settings, training, seed, teacher.

    `hparams` holds every setting of the model, so that a later change of a default cannot change a record's meaning.
    `options` holds those that are not at their default. `dataset` is a name, or a folder; `plan` makes that the
    absolute path. Raises `ValueError` for what is no value of a setting or option.
    """

    dataset: str
    model: str
    seed: int = 0
    hparams: Mapping[str, Any] = field(default_factory=dict)
    fit: FitConfig = field(default_factory=FitConfig)
    teacher: Experiment | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not self.dataset:
            raise ValueError(f"data set {settings.quoted(self.dataset)}; expected a name or the path of a folder")
        object.__setattr__(self, "hparams", checked(self.model, self.hparams))
        for name, kinds in (("fit", (FitConfig,)), ("teacher", (Experiment, type(None)))):
            if not isinstance(value := getattr(self, name), kinds):
                raise ValueError(f"{name}={settings.quoted(value)} of {self.model}; expected a {kinds[0].__name__}")
        if self.teacher is not None and (base_of(self.model), base_of(self.teacher.model)) != ("mmkd", "teacher"):
            raise ValueError(f"{self.model} cannot be taught by {self.teacher.model}; expected mmkd and teacher")
        object.__setattr__(self, "fit", replace(self.fit, seed=self.seed))
        object.__setattr__(self, "options", checked_options(self.options, self.dataset))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Experiment:
        """The inverse of `as_dict`; a setting that came later than `values` has its declared neutral value.

        Raises `ValueError` where a setting is missing that declares none.
        """
        hparams = settings.completed(values["hparams"], described_settings(values["model"]), values["model"])
        fit = FitConfig(**settings.completed(values["fit"], SETTINGS, TRAINING))
        teacher = values["teacher"] and cls.from_dict(values["teacher"])
        return cls(**{**values, "hparams": hparams, "fit": fit, "teacher": teacher})

    @property
    def canonical(self) -> str:
        """JSON that two equal experiments share; without the settings that are at their declared neutral value."""
        return json.dumps(self._told(), sort_keys=True)

    def _told(self) -> dict[str, Any]:
        return self.as_dict() | {
            "hparams": settings.without_neutral(self.hparams, described_settings(self.model)),
            "fit": settings.without_neutral(asdict(self.fit), SETTINGS),
            "teacher": self.teacher and self.teacher._told(),
        }

    def key(self, fingerprint: str) -> str:
        """16 hexadecimal digits of sha256 over the experiment's canonical JSON and the data set's fingerprint.

        Where a folder lies does not count: the fingerprint says which data they are.
        """
        placeless = self.at("a folder") if Path(self.dataset).is_absolute() else self
        return hashlib.sha256((placeless.canonical + fingerprint).encode()).hexdigest()[:16]

    def file(self, store: str | Path, fingerprint: str) -> Path:
        """Where its record lies in a store: `<data set>/<model>/s<seed>-<key>.json`.

        The folder of a data set may have had another name then: where a record is, it is found.
        """
        name = f"s{self.seed}-{self.key(fingerprint)}.json"
        places = sorted(Path(store).glob(f"*/{self.model}/{name}"))
        return places[0] if places else Path(store) / (Path(self.dataset).name or "folder") / self.model / name

    def at(self, dataset: str) -> Experiment:
        """The same on the data set of another name or place."""
        return replace(self, dataset=dataset, teacher=self.teacher and self.teacher.at(dataset))


def plan(
    model: str,
    dataset: str,
    *,
    seed: int = 0,
    hparams: Mapping[str, Any] | None = None,
    fit: Mapping[str, Any] | None = None,
    teacher: Experiment | None = None,
    options: Mapping[str, Any] | None = None,
) -> Experiment:
    """The experiment with the settings of `hparams/<model>.toml` for `dataset`, changed by what is given.

    A setting that is in neither has the default of the model's signature or of `FitConfig`.
    The `teacher` of "mmkd" is planned too unless it is given. A variant has the settings of what it varies. A folder
    is the same data set however its path is written. Raises `ValueError` for an unknown model or setting, for what is
    no value of one, and for a teacher of another data set, seed or options.
    """
    dataset = address(dataset)
    chosen = {} if dataset == "search" else tables_of(model).get(dataset, {})
    chosen.pop("how", None)
    training = settings.mapping(chosen.pop("fit", {}), "setting", TRAINING)
    if teacher is None and base_of(model) == "mmkd":
        teacher = plan("teacher", dataset, seed=seed, options=options)
    described = {name: setting for name, setting in SETTINGS.items() if name != "seed"}
    training |= settings.mapping({} if fit is None else fit, "setting", TRAINING)
    training = settings.checked(training, described, TRAINING)
    chosen |= settings.mapping({} if hparams is None else hparams, "setting", model)
    options = {} if options is None else options
    experiment = Experiment(dataset, model, seed, chosen, FitConfig(**training), teacher, options)
    for name in ("dataset", "seed", "options") if teacher is not None else ():
        ours, theirs = getattr(experiment, name), getattr(teacher, name)
        if ours != theirs:
            raise ValueError(f"{name} of {model}: got {ours!r}, and {theirs!r} of its teacher; expected the same")
    return experiment


def tables_of(model: str) -> dict[str, dict[str, Any]]:
    """The tables of `hparams/<model>.toml`: "search", and one per data set. None for a model that has no such file."""
    file = resources.files("mmkd_core") / "hparams" / f"{base_of(model)}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


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
        write_json(path, values | {"experiment": self.experiment.as_dict(), "history": packed(self.history)})
        return path

    @classmethod
    def read(cls, path: str | Path) -> Record:
        """The record in a file.

        Raises `ValueError` naming the file when it is missing, is no record, or does not fit its name: changed by hand.
        """
        record = read_json(path, cls._made, "record", "mmkd run")
        fits(path, record.key)
        return record

    @classmethod
    def _made(cls, values: Mapping[str, Any]) -> Record:
        experiment, history = Experiment.from_dict(values["experiment"]), unpacked(values["history"])
        record = cls(**{**values, "experiment": experiment, "history": history})
        record.key  # noqa: B018, fails where the fingerprint is missing
        return record


def run(
    experiment: Experiment,
    store: str | Path = "runs",
    *,
    data: Dataset | None = None,
    device: str | None = None,
    on_epoch: OnTraining | None = None,
) -> Record:
    """The record of `experiment`: read if the store holds it, else trained, selected on validation, tested once, saved.

    A nested teacher is run first, in the same store, and its weights are kept there for the next student.
    `data` spares loading the data set again; `on_epoch(experiment, epoch, history)` reports progress.
    """
    if data is None:
        experiment = experiment.at(address(experiment.dataset))
        data = load(experiment.dataset, **experiment.options)
    path = experiment.file(store, data.fingerprint)
    if path.exists():
        record = Record.read(path)
        if record.experiment != experiment:  # the same data, which lie elsewhere now
            record = replace(record, experiment=experiment)
            record.save(store)
        return record
    return train(experiment, Path(store), data, device=device, on_epoch=on_epoch)[1]


def model_of(experiment: Experiment, data: Dataset, teacher: Recommender | None = None) -> Recommender:
    """The model of an experiment as it starts; without `teacher` that of a student is made, too, and is untrained."""
    if teacher is None and experiment.teacher is not None:
        teacher = model_of(experiment.teacher, data)
    return build(experiment.model, data, experiment.hparams, teacher=teacher)


def teacher_of(
    experiment: Experiment,
    store: Path,
    data: Dataset,
    *,
    device: str | None = None,
    on_epoch: OnTraining | None = None,
) -> Recommender | None:
    """The trained teacher of an experiment, from the store if it is there; None where the experiment names none.

    It lies on the CPU, as if restored, so that all students start from the same numbers.
    """
    if experiment.teacher is None:
        return None
    return train(experiment.teacher, store, data, device=device, on_epoch=on_epoch)[0].cpu()


def train(
    experiment: Experiment,
    store: Path,
    data: Dataset,
    *,
    device: str | None = None,
    on_epoch: OnTraining | None = None,
) -> tuple[Recommender, Record]:
    """The trained model and its record; both are read from the store if it holds both, else made and saved there."""
    record_file = experiment.file(store, data.fingerprint)
    weights_file = record_file.with_suffix(".safetensors")
    if record_file.exists() and weights_file.exists():
        return restore(record_file, data), Record.read(record_file)
    if data.num_items < max(KS):
        raise ValueError(f"k={max(KS)} for a catalogue of {data.num_items} items; records hold Recall@{max(KS)}")
    if len(data.test) == 0:
        raise ValueError(f"{data.name}: no test interaction, and a record holds test metrics; `fit` needs none")
    target = choose_device(device)
    for stage in (experiment, experiment.teacher):  # the student's too before its teacher is trained
        if stage is not None:
            check_memory(stage.model, stage.hparams, data)
    teacher = teacher_of(experiment, store, data, device=device, on_epoch=on_epoch)
    with measured(target) as cost, seeded(experiment.seed, target):
        model = model_of(experiment, data, teacher).to(target)
        report = on_epoch and (lambda epoch, history: on_epoch(experiment, epoch, history))
        history = fit(model, data, experiment.fit, on_epoch=report, device=device)
    with torch.no_grad():
        tables = model.embed()
    places = hit_places(tables, data, "test", max(KS))
    users = data.test[:, 0]
    means = {name: float(values.mean()) for name, values in metrics_at(places, users, KS).items()}
    record = Record(
        experiment=experiment,
        metrics=means,
        validation=history.best,
        history=history.as_dict(),
        cost=cost | {"epochs": len(history.losses), "parameters": parameters(model, tables)},
        environment=environment(target),
        data={"fingerprint": data.fingerprint, "num_users": data.num_users, "num_items": data.num_items}
        | {split: len(getattr(data, split)) for split in ("train", "val", "test")}
        | {"features": {modality: x.shape[1] for modality, x in data.features.items()}},
    )
    # clones, because safetensors refuses tensors that share their storage, and a variant's do
    state = {name: tensor.cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    write_whole(weights_file, lambda temporary: save_file(state, temporary))
    save_hits(record_file, users, places)
    record.save(store)
    return model, record


def data_of(record_file: str | Path, dataset: str | None = None) -> Dataset:
    """The data of a record, loaded from where they lay or, by `dataset`, from where they lie now.

    Raises `ValueError` when they are gone; whether they are the same, `restore` says.
    """
    experiment = Record.read(record_file).experiment
    try:
        return load(dataset or experiment.dataset, **experiment.options)
    except DataError as error:
        raise ValueError(f"{record_file}: its data: {error}; say where they lie now with --data FOLDER") from None


def restore(record_file: str | Path, data: Dataset | None = None) -> Recommender:
    """The trained model of a record, rebuilt from the weights that lie beside it, in evaluation mode.

    The record's data are loaded unless given. Raises `ValueError` for other `data` than the record was made from, and
    when the weights are not there, for example because the record was committed without them.
    """
    record = Record.read(record_file)
    experiment, data = record.experiment, data_of(record_file) if data is None else data
    if data.fingerprint != record.data["fingerprint"]:
        raise ValueError(
            f"{record_file}: made from other data than {data.name} is now; say where they lie with --data FOLDER, "
            "or train again on these"
        )
    weights_file = Path(record_file).with_suffix(".safetensors")
    if not weights_file.exists():
        raise ValueError(
            f"{weights_file}: no weights beside the record; train it again, with its settings, into another folder: "
            f"mmkd run {experiment.model} --data {experiment.dataset} --seed {experiment.seed} --store FOLDER"
        )
    with seeded(experiment.seed):
        model = model_of(experiment, data)
    try:
        model.load_state_dict(load_file(weights_file))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{weights_file}: not the weights of the record beside it ({error})") from None
    model.refresh()
    return model.eval()
