"""Chooses a model's settings for a data set on its validation split, the same way for every model.

Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) over the space of `study.space_of`. Each trial
is trained until early stopping ends it, or its cap, and none is broken off, so that all are compared at their best.
Numbers are tried with two significant digits. The test split is never looked at.

A study is one JSON file, written after each trial, beside the checkpoint of the one that runs: killed, it goes on where
it was, and asks what it would have asked, because the estimator is seeded with the number of the trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mmkd_core.chosen import Chosen, flat, nested
from mmkd_core.cost import added, environment, metered
from mmkd_core.data import Dataset
from mmkd_core.datasets import canonical_name, load
from mmkd_core.experiment import Experiment, plan
from mmkd_core.files import write_json
from mmkd_core.runs import OnTraining, fitted, trained_teachers
from mmkd_core.study import COMPLETE, FAILED, Budget, Study, nearest_in, read_study, space_of, study_file
from mmkd_core.training import choose_device

RANDOM = 4  # trials before the estimator has enough to go by
AGAIN = 20


def next_settings(study: Study) -> dict[str, Any]:
    """The settings that the next trial of a study tries: a function of its trials so far and of its seed.

    None is tried twice, unless `AGAIN` times over the estimator has nothing else to say.
    """
    found, before = {}, [trial["settings"] for trial in study.trials]
    for again in range(AGAIN):
        found = _suggested(study, seed=(1000 * study.seed + len(before)) * AGAIN + again)
        if found not in before:
            break
    return found


def _suggested(study: Study, seed: int) -> dict[str, Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parts = {name: _distribution(part) for name, part in flat(study.space).items()}
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM)
    asking = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in study.trials:
        failed = trial["state"] == FAILED
        state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
        value = None if failed else trial["validation recall@20"]
        params = flat(trial["settings"])
        asking.add_trial(optuna.trial.create_trial(params=params, distributions=parts, value=value, state=state))
    if not study.trials:
        asking.enqueue_trial(flat(study.start))
    found = asking.ask(parts).params
    return nested({name: _two_digits(found[name], part) for name, part in flat(study.space).items()})


def _distribution(part: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(part, list):
        return CategoricalDistribution(part)
    kind = IntDistribution if isinstance(part["low"], int) and isinstance(part["high"], int) else FloatDistribution
    return kind(part["low"], part["high"], log=True)


def _two_digits(value: Any, part: Any) -> Any:
    """A number of a range with two significant digits, within it; a choice as it is."""
    if isinstance(part, list):
        return value
    return nearest_in(part, type(value)(float(f"{value:.2g}")))


def tune(
    model: str,
    dataset: str,
    *,
    budget: Budget | None = None,
    seed: int = 0,
    store: str | Path = "runs",
    data: Dataset | None = None,
    start: Mapping[str, Any] | None = None,
    ranges: Mapping[str, Any] | None = None,
    chosen: Chosen | None = None,
    device: str | torch.device | None = None,
    on_epoch: OnTraining | None = None,
    on_trial: Callable[[Study], None] | None = None,
) -> Study:
    """The study of a model on a data set: read from the store as far as it is there, and gone on with to its end.

    Its file is `<store>/searches/<data set>-<model>.json`. `start` are other settings to begin with, `ranges` as in
    `space_of`, `chosen` as in `plan` those of its teachers, which are trained once and kept in the store.
    `on_epoch(experiment, epoch, history)` reports progress as in `run`, `on_trial(study)` each trial.

    More trials than a study has continue it. Raises `ValueError` for a file there that is a study of something else,
    and where no trial could be completed.
    """
    budget = budget or Budget()
    dataset = canonical_name(dataset)
    data = load(dataset) if data is None else data
    target, (space, usual) = choose_device(device), space_of(model, ranges)
    begin = usual if start is None else nested({name: flat(start)[name] for name in flat(space)})
    taught = plan(model, dataset, seed=seed, chosen=chosen).teachers
    teachers = {name: one.key(data.fingerprint) for name, one in taught.items()}
    limits = {name: getattr(budget, name) for name in ("epochs", "patience")}
    study = Study(model, dataset, data.fingerprint, seed, {**limits}, space, begin, teachers)
    path = study_file(store, dataset, model)
    study = _continued(path, study) if path.exists() else study
    study.budget["trials"] = budget.trials
    while len(study.completed) < budget.trials:
        if len(study.trials) >= 2 * budget.trials:
            raise ValueError(
                f"{model} on {data.name}: {len(study.trials) - len(study.completed)} of {len(study.trials)} trials "
                f"failed, the last with: {study.trials[-1].get('error', 'no more is known')}; see {path}"
            )
        settings = next_settings(study)
        training = limits | settings.get("fit", {})
        hparams = {name: value for name, value in settings.items() if name != "fit"}
        experiment = plan(model, dataset, seed=seed, hparams=hparams, fit=training, chosen=chosen)
        with metered(target) as cost:
            trial = _tried(experiment, path, data, store=Path(store), device=target, on_epoch=on_epoch)
        study.trials.append({"settings": settings} | trial)
        study.cost = {name: value for name, value in added(study.cost, cost).items() if name != "sessions"}
        study.environment = environment(target)
        write_json(path, study.as_dict())
        for done in path.parent.glob(f"{path.stem}.*.checkpoint"):
            done.unlink(missing_ok=True)
        if on_trial is not None:
            on_trial(study)
    return study


def _continued(path: Path, asked_for: Study) -> Study:
    """The study in a file, which is to be one of the same thing."""
    there = read_study(path)
    ours, theirs = ({**vars(one), "limits": {**one.budget, "trials": None}} for one in (asked_for, there))
    for name in ("model", "fingerprint", "seed", "space", "start", "teachers", "limits"):
        if ours[name] != theirs[name]:
            raise ValueError(
                f"{path}: a study with {name} {theirs[name]}, asked for {ours[name]}; expected the same to go on with "
                "it: delete the file, or take another --store"
            )
    there.dataset = asked_for.dataset
    return there


def _tried(
    experiment: Experiment,
    path: Path,
    data: Dataset,
    *,
    store: Path,
    device: torch.device,
    on_epoch: OnTraining | None,
) -> dict[str, Any]:
    """What a trial gave: its state, its epochs, and validation Recall@20 of the one that was kept."""
    teachers = trained_teachers(experiment, store, data, device=device, on_epoch=on_epoch)
    checkpoint = path.with_suffix(f".{experiment.key(data.fingerprint)}.checkpoint")
    try:
        _, history = fitted(experiment, data, teachers, checkpoint, device, on_epoch=on_epoch)
    except FloatingPointError as error:
        return {"state": FAILED, "error": str(error)}
    reached = {"epochs": len(history.losses), "best_epoch": history.best_epoch}
    return {"state": COMPLETE} | reached | {"validation recall@20": history.best["recall@20"]}
