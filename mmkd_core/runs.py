"""From an experiment to its record: trained once, selected on validation, tested once, and restored when asked for."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mmkd_core.checkpoint import read_header, write_tensors
from mmkd_core.cost import added, environment, metered, parameters
from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets import canonical_name, load
from mmkd_core.evaluation import KS, hit_places, means, metrics_at
from mmkd_core.experiment import Experiment, Record
from mmkd_core.history import History
from mmkd_core.hits import save_hits
from mmkd_core.models import build, check_memory
from mmkd_core.models.base import Recommender
from mmkd_core.parallel import is_first
from mmkd_core.training import choose_device, fit, seeded

# Called as (experiment, epoch, history): unlike `training.OnEpoch` told whose epoch it was, teacher's or student's.
OnTraining = Callable[[Experiment, int, History], None]


def run(
    experiment: Experiment,
    store: str | Path = "runs",
    *,
    data: Dataset | None = None,
    device: str | torch.device | None = None,
    on_epoch: OnTraining | None = None,
    **execution: Any,
) -> Record:
    """The record of `experiment`: read if the store holds it, else trained, selected on validation, tested once, saved.

    Nested teachers are run first, in the same store, and their weights are kept there for the next student. Each keeps
    a checkpoint beside its record-to-be, from which the next call goes on, bit for bit, should this one be ended. A
    record of the same data under another place is saved again with this one.
    `data` spares loading the data set again; `on_epoch(experiment, epoch, history)` reports progress, that of the
    teachers' stages as well, where `fit` calls its own with (epoch, history) alone. What else is given, `capture` and
    `compile`, goes to `fit`. Of a group of processes (`parallel.joined`) the first writes.
    """
    if data is None:
        experiment = experiment.at(canonical_name(experiment.dataset))
        data = load(experiment.dataset, **experiment.options)
    path = experiment.file(store, data.fingerprint)
    if path.exists():
        _tidied(path)
        record = Record.read(path)
        if record.experiment != experiment:  # the same data, which lie elsewhere now
            record = replace(record, experiment=experiment)
            record.save(store)
        return record
    return trained(experiment, Path(store), data, device=device, on_epoch=on_epoch, **execution)[1]


def model_of(experiment: Experiment, data: Dataset, **teachers: Recommender | None) -> Recommender:
    """The model of an experiment as it starts.

    Of its `teachers`, by name, one that is not given is built, untrained, from the experiment that trains it.
    """
    missing = {name: stage for name, stage in experiment.teachers.items() if teachers.get(name) is None}
    teachers |= {name: model_of(stage, data) for name, stage in missing.items()}
    return build(experiment.model, data, experiment.hparams, **teachers)


def trained_teachers(
    experiment: Experiment,
    store: Path,
    data: Dataset,
    *,
    device: str | torch.device | None = None,
    on_epoch: OnTraining | None = None,
    **execution: Any,
) -> dict[str, Recommender]:
    """The trained teachers of an experiment by name, from the store if they are there.

    They lie on the CPU, as if restored, so that all students start from the same numbers. Raises `ValueError`, before
    anything is trained, for a stage that cannot fit into memory, the experiment's own among them.
    """
    for stage in reversed(experiment.stages):  # the student's too before its teachers are trained
        check_memory(stage.model, stage.hparams, data)
    how = {"device": device, "on_epoch": on_epoch} | execution
    return {name: trained(one, store, data, **how)[0].cpu() for name, one in experiment.teachers.items()}


def trained(
    experiment: Experiment,
    store: Path,
    data: Dataset,
    *,
    device: str | torch.device | None = None,
    on_epoch: OnTraining | None = None,
    **execution: Any,
) -> tuple[Recommender, Record]:
    """The trained model and its record; restored if the store holds both, else trained and saved."""
    record_file = experiment.file(store, data.fingerprint)
    if _tidied(record_file):
        return restore(record_file, data), Record.read(record_file)
    if data.num_items < max(KS):
        raise ValueError(f"k={max(KS)} for a catalogue of {data.num_items} items; records hold Recall@{max(KS)}")
    if len(data.test) == 0:
        raise ValueError(f"{data.name}: no test interaction, and a record holds test metrics; `fit` needs none")
    target = choose_device(device)
    teachers = trained_teachers(experiment, store, data, device=target, on_epoch=on_epoch, **execution)
    checkpoint = checkpoint_beside(record_file)
    earlier = read_header(checkpoint).get("cost", {})
    with metered(target) as cost:
        model, history = fitted(experiment, data, teachers, checkpoint, target, on_epoch=on_epoch, **execution)
    with torch.no_grad():
        tables = model.embed()
    places = hit_places(tables, data, "test", max(KS))
    users = data.test[:, 0]
    record = Record(
        experiment=experiment,
        metrics=means(metrics_at(places, users, KS)),
        validation=history.best,
        history=history.as_dict(),
        cost=added(earlier, cost) | {"epochs": len(history.losses), "parameters": parameters(model, tables)},
        environment=environment(target),
        data={"fingerprint": data.fingerprint, "num_users": data.num_users, "num_items": data.num_items}
        | {split: len(getattr(data, split)) for split in ("train", "val", "test")}
        | {"features": {modality: x.shape[1] for modality, x in data.features.items()}},
    )
    if is_first():
        write_tensors(record_file.with_suffix(".safetensors"), model.state_dict())
        save_hits(record_file, users, places)
        record.save(store)
        _tidied(record_file)
    return model, record


def fitted(
    experiment: Experiment,
    data: Dataset,
    teachers: Mapping[str, Recommender],
    checkpoint: Path,
    device: torch.device,
    *,
    on_epoch: OnTraining | None = None,
    **execution: Any,
) -> tuple[Recommender, History]:
    """The model of an experiment with trained teachers, trained on `device`, from its checkpoint on if there is one.

    Raises `FloatingPointError` when a loss is no longer finite; the checkpoint is then gone.
    """
    report = on_epoch and (lambda epoch, history: on_epoch(experiment, epoch, history))
    with seeded(experiment.seed, device):
        model = model_of(experiment, data, **teachers).to(device)
        try:
            how = {"device": device, "checkpoint": checkpoint} | execution
            return model, fit(model, data, experiment.fit, on_epoch=report, **how)
        except FloatingPointError:  # the same steps would end there again
            checkpoint.unlink(missing_ok=True)
            raise


def checkpoint_beside(record_file: Path) -> Path:
    """Where a run that has no record yet keeps its state."""
    return record_file.with_suffix(".checkpoint")


def resumes(experiment: Experiment, store: str | Path, data: Dataset) -> list[tuple[Experiment, Path, int]]:
    """The stages, teachers first, that `run` would train: each with its checkpoint and the epoch that it goes on after.

    That epoch is 0 where there is no checkpoint, or one of the untrained model alone. Raises `ValueError` for a
    checkpoint that is damaged.
    """
    if experiment.file(store, data.fingerprint).exists():
        return []
    left = [(stage, checkpoint_beside(stage.file(store, data.fingerprint))) for stage in _left(experiment, store, data)]
    return [(stage, file, read_header(file).get("epoch", 0)) for stage, file in left]


def _left(experiment: Experiment, store: str | Path, data: Dataset) -> list[Experiment]:
    """The stages that are not in the store; a teacher that is there needs none of its own."""
    if _is_whole(experiment.file(store, data.fingerprint)):
        return []
    return [*(stage for teacher in experiment.teachers.values() for stage in _left(teacher, store, data)), experiment]


def _is_whole(record_file: Path) -> bool:
    """Whether record and weights are there: then nothing has to be trained for either."""
    return record_file.exists() and record_file.with_suffix(".safetensors").exists()


def _tidied(record_file: Path) -> bool:
    """`_is_whole`; a checkpoint that is still there has then done its work and goes."""
    whole, checkpoint = _is_whole(record_file), checkpoint_beside(record_file)
    if whole and checkpoint.exists():
        with contextlib.suppress(OSError):  # it is in nobody's way
            checkpoint.unlink()
    return whole


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
