"""`mmkd run` and `mmkd recommend`: one experiment, and what its model would show to a user."""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mmkd_core.data import Dataset
from mmkd_core.datasets import load
from mmkd_core.datasets.demo import DemoDataset
from mmkd_core.evaluation import rank
from mmkd_core.experiment import Experiment, Record, plan, restore, run
from mmkd_core.models import MODELS, settings_of
from mmkd_core.training import History


def add_to(commands: Any) -> None:
    """Adds the subcommands of this module to a parser."""
    _add_run(commands)
    _add_recommend(commands)


def _add_run(commands: Any) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    models = "\n".join(f"  {name:<11} {_settings_line(name)}" for name in MODELS)
    parser = commands.add_parser(
        "run", help="train a model, test it once, write a record", formatter_class=raw,
        description="Trains MODEL, keeps its best epoch by validation Recall@20, tests once, writes a record.\n"
        "A run whose record exists is not repeated: the record is shown.",
        epilog=f"models and their settings (defaults before those of the data set):\n{models}\n\n"
        "--set NAME=VALUE takes these, fit.NAME (epochs, batch_size, lr, weight_decay, patience, evaluate_every),\n"
        "teacher.NAME and teacher.fit.NAME (for mmkd) and data.NAME (options of the data set, such as data.noise).",
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help=f"one of {', '.join(MODELS)}")
    parser.add_argument("--data", required=True, metavar="NAME", help="a data set's name, or a folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting; repeatable")
    parser.add_argument("--store", default="runs", metavar="FOLDER", help="where records and weights go (default runs)")
    parser.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")
    parser.set_defaults(action=_run)


def _add_recommend(commands: Any) -> None:
    parser = commands.add_parser("recommend", help="a trained model's best items for a user")
    parser.add_argument("record", metavar="RECORD", help="the file that `mmkd run` wrote, its weights beside it")
    parser.add_argument("--user", type=int, required=True, metavar="ID")
    parser.add_argument("--top", type=int, default=10, metavar="K", help="length of the list (default 10)")
    parser.set_defaults(action=_recommend)


def _settings_line(name: str) -> str:
    return " ".join(f"{setting}={value}" for setting, value in settings_of(name).items()) or "(no settings)"


def _run(options: argparse.Namespace) -> int:
    experiment = planned(options.model, options.data, options.seed, options.set)
    data = load(options.data, **experiment.options)
    bars: dict[str, tqdm] = {}

    def show(stage: Experiment, epoch: int, history: History) -> None:
        if stage.model not in bars:
            bars[stage.model] = tqdm(total=stage.fit.epochs, desc=stage.model, unit="epoch", file=sys.stderr)
        bars[stage.model].update()
        bars[stage.model].set_postfix(best=f"{history.best.get('recall@20', 0):.4f}", at=history.best_epoch)

    try:
        record = run(experiment, options.store, data=data, device=options.device, on_epoch=show)
    finally:  # an error's line must not start behind a bar
        for bar in bars.values():
            bar.close()
    print(f"{options.model} on {options.data}, seed {options.seed}, epoch {record.history['best_epoch']} kept")
    print("test        " + "  ".join(f"{name} {value:.4f}" for name, value in record.metrics.items()))
    print("validation  " + "  ".join(f"{name} {value:.4f}" for name, value in record.validation.items()))
    print(f"cost        {record.cost['seconds']:.0f} s, {record.cost['parameters']['trained']:,} parameters trained")
    print(f"record      {Path(options.store) / record.key}.json")
    return 0


def planned(model: str, dataset: str, seed: int, settings: Sequence[str]) -> Experiment:
    """The experiment that `--set NAME=VALUE` arguments ask for."""
    groups: dict[str, dict[str, Any]] = {"": {}, "fit": {}, "teacher": {}, "teacher.fit": {}, "data": {}}
    for setting in settings:
        name, equals, text = setting.partition("=")
        group, _, leaf = name.rpartition(".")
        if not equals or not leaf or group not in groups:
            raise ValueError(
                f"--set {setting}: expected NAME=VALUE, NAME with one of {[g for g in groups if g]} in front"
            )
        try:
            groups[group][leaf] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            groups[group][leaf] = text
    teacher = groups["teacher"] | ({"fit": groups["teacher.fit"]} if groups["teacher.fit"] else {})
    return plan(
        model, dataset, seed=seed, hparams=groups[""], fit=groups["fit"], teacher=teacher, options=groups["data"]
    )


def _recommend(options: argparse.Namespace) -> int:
    record = Record.read(options.record)
    data = load(record.experiment.dataset, **record.experiment.options)
    if data.fingerprint != record.data["fingerprint"]:
        raise ValueError(f"{options.record}: made from other data than {data.name} is now; train again on these data")
    if not 0 <= options.user < data.num_users:
        raise ValueError(f"user {options.user} of {data.name}; expected 0 to {data.num_users - 1}")
    history = data.train[data.train[:, 0] == options.user, 1].tolist()
    if not history:
        raise ValueError(f"user {options.user} of {data.name} has no training history, so there is no taste to rank by")
    model = restore(options.record, data)
    with torch.no_grad():
        best = rank(model.embed(), torch.tensor([options.user]), data.train, options.top, data.num_items)
    print(f"user {options.user} of {data.name}, {len(history)} training items: {_named(data, history[:5])}")
    for place, (item, score) in enumerate(zip(best.items[0].tolist(), best.scores[0].tolist(), strict=True), 1):
        if item >= 0:
            print(f"{place:>3}. {_named(data, [item])}  {score:.3f}")
    return 0


def _named(data: Dataset, items: Sequence[int]) -> str:
    return ", ".join(f"{data.title(item) if isinstance(data, DemoDataset) else 'item'} {item}" for item in items)
