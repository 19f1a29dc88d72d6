"""Chooses a model's settings for a data set on its validation split, the same way for every model.

    python -m benchmarks.search lightgcn --data tiktok --trials 8

Optuna's tree-structured Parzen estimator, started at the settings in force, with successive halving. The study goes to
`book/records/searches/<data>-<model>.json`; the best settings are copied by hand into `mmkd_core/hparams/<model>.toml`.
The test split is never read.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import optuna
import torch

from mmkd_core import Dataset, History, load, plan
from mmkd_core.cost import environment, measured
from mmkd_core.experiment import train, write_whole
from mmkd_core.models import build
from mmkd_core.training import choose_device, fit

ROOT = Path(__file__).parents[1]


def suggest(trial: optuna.Trial, space: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """One value for each name of a space of choices and ranges."""
    values = {}
    for name, choice in space.items():
        if isinstance(choice, list):
            values[name] = trial.suggest_categorical(prefix + name, choice)
        elif "low" in choice:
            values[name] = trial.suggest_float(prefix + name, choice["low"], choice["high"], log=True)
    return values


def one_trial(trial: optuna.Trial, arguments: argparse.Namespace, space: dict[str, Any], data: Dataset) -> float:
    """Best validation Recall@20 of one setting; the teacher of a student is trained once and kept in the store."""
    hparams = suggest(trial, space)
    training = {"epochs": arguments.epochs, "patience": arguments.patience} | suggest(trial, space["fit"], "fit.")
    experiment = plan(arguments.model, arguments.data, hparams=hparams, fit=training)
    extra: dict[str, Any] = {}
    if experiment.teacher is not None:
        extra["teacher"], _ = train(experiment.teacher, Path(arguments.store), data)

    def report(epoch: int, history: History) -> None:
        last = history.validation[-1]
        if last["epoch"] == epoch:
            trial.report(last["recall@20"], epoch)
            if trial.should_prune():
                trial.set_user_attr("best_epoch", history.best_epoch)
                raise optuna.TrialPruned

    torch.manual_seed(0)
    model = build(experiment.model, data, experiment.hparams, **extra)
    history = fit(model, data, experiment.fit, on_epoch=report)
    trial.set_user_attr("best_epoch", history.best_epoch)
    return history.best["recall@20"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--patience", type=int, default=6)
    parser.add_argument("--store", default="runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    space = tomllib.loads((ROOT / "benchmarks" / "spaces.toml").read_text())[arguments.model]
    data = load(arguments.data)
    start = plan(arguments.model, arguments.data)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=4),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=20, reduction_factor=2, min_early_stopping_rate=0),
    )
    in_force = {name: start.hparams[name] for name in space if name != "fit"}
    study.enqueue_trial(in_force | {f"fit.{name}": getattr(start.fit, name) for name in space["fit"]})
    with measured(choose_device()) as cost:
        study.optimize(lambda trial: one_trial(trial, arguments, space, data), n_trials=arguments.trials)
    trials = [
        {"params": t.params, "state": t.state.name.lower(), "validation recall@20": t.value, **t.user_attrs}
        for t in study.trials
    ]
    result = {
        "model": arguments.model, "dataset": arguments.data, "seed": 0, "epochs": arguments.epochs,
        "patience": arguments.patience, "space": space, "best": study.best_params, "best validation": study.best_value,
        "trials": trials, "cost": cost, "environment": environment(choose_device()),
    }  # fmt: skip
    text = json.dumps(result, indent=1) + "\n"
    path = ROOT / "book" / "records" / "searches" / f"{arguments.data}-{arguments.model}.json"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    print(json.dumps(study.best_params, indent=1), study.best_value)


if __name__ == "__main__":
    main()
