"""Chooses a model's settings for a data set on its validation split, the same way for every model.

    python -m benchmarks.search lightgcn --data tiktok

Optuna's tree-structured Parzen estimator with successive halving. The space is the table [search] of
`mmkd_core/hparams/<model>.toml`: a list is a choice; {low, high} is uniform in the logarithm, and over whole numbers
where both are; `start` is the first trial unless the budget says another. The number of trials for each data set, their
cap and where the first one starts are in `budgets.toml`, the same for all models. Numbers are tried with two
significant digits; ItemKNN only counts, so it has no settings of a training. The study goes to
`book/records/searches/<data>-<model>.json`, and the best settings become the data set's block of the model's file. The
test split is never read.
"""

import argparse
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import torch

from mmkd_core import Dataset, History, load, plan
from mmkd_core.cost import environment, metered
from mmkd_core.experiment import tables_of
from mmkd_core.files import write_json, write_whole
from mmkd_core.runs import model_of, trained_teachers
from mmkd_core.training import choose_device, fit

ROOT = Path(__file__).parents[1]


def space_of(model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The space of a model, and where a study of it begins, named as a trial names its parameters: "l2", "fit.lr"."""
    space = tables_of(model)["search"]
    start = space.pop("start")
    training = {f"fit.{name}": value for name, value in start.pop("fit", {}).items()}
    return space, start | training


def in_force(model: str, dataset: str, space: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a model for a data set, of the names in `space`, as a trial names them."""
    experiment = plan(model, dataset)
    chosen = {name: experiment.hparams[name] for name in space if name != "fit"}
    return chosen | {f"fit.{name}": getattr(experiment.fit, name) for name in space.get("fit", {})}


def suggest(trial: optuna.Trial, space: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """One value for each name of a space of choices and ranges; a range between whole numbers holds whole numbers."""
    values = {}
    for name, choice in space.items():
        if isinstance(choice, list):
            values[name] = trial.suggest_categorical(prefix + name, choice)
        elif "low" in choice:
            whole = isinstance(choice["low"], int)
            draw = trial.suggest_int if whole else trial.suggest_float
            value = draw(prefix + name, choice["low"], choice["high"], log=True)
            values[name] = (int if whole else float)(float(f"{value:.2g}"))
    return values


def one_trial(
    trial: optuna.Trial, arguments: argparse.Namespace, space: dict[str, Any], budget: dict[str, Any], data: Dataset
) -> float:
    """Best validation Recall@20 of one setting; the teachers of a student are trained once and kept in the store."""
    hparams, chosen = suggest(trial, space), suggest(trial, space.get("fit", {}), "fit.")
    trial.set_user_attr("settings", hparams | ({"fit": chosen} if chosen else {}))
    training = {"epochs": budget["epochs"], "patience": budget["patience"]} | chosen
    experiment = plan(arguments.model, arguments.data, hparams=hparams, fit=training)
    teachers = trained_teachers(experiment, Path(arguments.store), data)

    def report(epoch: int, history: History) -> None:
        last = history.validation[-1]
        if last["epoch"] == epoch:
            trial.report(last["recall@20"], epoch)
            if trial.should_prune():
                trial.set_user_attr("best_epoch", history.best_epoch)
                raise optuna.TrialPruned

    torch.manual_seed(0)
    history = fit(model_of(experiment, data, **teachers), data, experiment.fit, on_epoch=report)
    trial.set_user_attr("best_epoch", history.best_epoch)
    return history.best["recall@20"]


def adopt(file: Path, dataset: str, how: str, settings: dict[str, Any]) -> None:
    """Makes `settings` the block of `dataset` in a model's file, in place of the one that is there."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    kept = re.sub(rf"^\[{re.escape(dataset)}(\.fit)?\]\n(?:(?!\[).*\n)*", "", text, flags=re.MULTILINE).rstrip()
    block = {"how": how} | {name: value for name, value in settings.items() if name != "fit"}
    blocks = {dataset: block} | ({f"{dataset}.fit": settings["fit"]} if "fit" in settings else {})
    lines = [
        f"[{title}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        for title, values in blocks.items()
    ]
    whole = "\n".join(([kept + "\n"] if kept else []) + lines)
    tomllib.loads(whole)
    write_whole(file, lambda temporary: temporary.write_text(whole, encoding="utf-8"))


def found_by(trials: Sequence[Mapping[str, Any]], study: str) -> str:
    """How settings were found, for a model's file: trials that were broken off are counted apart."""
    completed = sum(trial["state"] == "complete" for trial in trials)
    best = f"best of {completed} completed trials, {len(trials)} started"
    return f"{best}, by validation Recall@20, book/records/searches/{study}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--store", default="runs", help="where the teachers of students are kept")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    budget = tomllib.loads((ROOT / "benchmarks" / "budgets.toml").read_text())[arguments.data]
    space, start = space_of(arguments.model)
    data = load(arguments.data)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=budget.get("sampler", 0), n_startup_trials=4),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=budget.get("rung", 20), reduction_factor=2),
    )
    study.enqueue_trial(start if budget["start"] == "default" else in_force(arguments.model, budget["start"], space))
    with metered(choose_device()) as cost:
        study.optimize(lambda trial: one_trial(trial, arguments, space, budget, data), n_trials=budget["trials"])
    trials = [{**t.user_attrs, "state": t.state.name.lower(), "validation recall@20": t.value} for t in study.trials]
    best = study.best_trial.user_attrs["settings"]
    result = {
        "model": arguments.model, "dataset": arguments.data, "seed": 0, "budget": budget, "space": space,
        "best": best, "best validation": study.best_value,
        "trials": trials, "cost": cost, "environment": environment(choose_device()),
    }  # fmt: skip
    name = f"{arguments.data}-{arguments.model}.json"
    path = ROOT / "book" / "records" / "searches" / name
    write_json(path, result)
    how = found_by(trials, name)
    final = {"fit": best["fit"] | budget.get("final", {})} if "fit" in best else {}
    adopt(ROOT / "mmkd_core" / "hparams" / f"{arguments.model}.toml", arguments.data, how, best | final)
    print(json.dumps(best, indent=1), study.best_value)


if __name__ == "__main__":
    main()
