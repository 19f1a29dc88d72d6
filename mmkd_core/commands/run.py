"""`mmkd run` and `mmkd recommend`: one experiment, and what its model would show to a user."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mmkd_core.settings import Setting, quoted, read, whole

if TYPE_CHECKING:
    import torch

    from mmkd_core.data import Dataset
    from mmkd_core.experiment import Experiment


def add_to(commands: Any) -> None:
    """Adds the subcommands of this module to a parser."""
    _add_run(commands)
    _add_recommend(commands)


def _add_run(commands: Any) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "run", help="train a model, test it once, write a record", formatter_class=raw,
        description="Trains MODEL, keeps its best epoch by validation Recall@20, tests once, writes a record.\n"
        "A run whose record exists is not repeated: the record is shown. One that was ended goes on from its last\n"
        "evaluation when the same command is given again.",
    )  # fmt: skip
    parser.late_epilog = _models
    parser.add_argument("model", metavar="MODEL", help="one of those below")
    parser.add_argument("--data", required=True, metavar="NAME", help="a data set's name, or a folder")
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting; repeatable")
    parser.add_argument("--store", "--records", default="runs", metavar="FOLDER", help="of the record (default runs)")
    parser.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")
    parser.add_argument(
        "--capture", choices=("auto", "off"), default="auto", help="on a GPU, a step as one CUDA graph (default auto)"
    )
    parser.add_argument("--compile", action="store_true", help="let torch's compiler fuse the step")
    parser.set_defaults(action=_run)


def _add_recommend(commands: Any) -> None:
    parser = commands.add_parser("recommend", help="a trained model's best items for a user")
    parser.add_argument("record", metavar="RECORD", help="the file that `mmkd run` wrote, its weights beside it")
    parser.add_argument("--user", type=whole, required=True, metavar="ID")
    parser.add_argument("--top", type=whole, default=10, metavar="K", help="length of the list (default 10)")
    parser.add_argument("--data", metavar="FOLDER", help="where its data lie now (default: where they lay)")
    parser.set_defaults(action=_recommend)


def _models() -> str:
    """The end of the help of `mmkd run`: what can be set."""
    from mmkd_core.models import MODELS, defaults_of
    from mmkd_core.training import SETTINGS

    settings = {name: " ".join(f"{key}={value}" for key, value in defaults_of(name).items()) for name in MODELS}
    models = "\n".join(f"  {name:<11} {text or '(no settings)'}" for name, text in settings.items())
    training = ", ".join(name for name in SETTINGS if name != "seed")
    return (
        "models and their default settings; hparams/MODEL.toml overrides them for the named data sets:\n"
        f"{models}\n\n--set NAME=VALUE takes these, fit.NAME ({training}),\n"
        "teacher.NAME and teacher.fit.NAME (for mmkd; teacher.model=teacher+xavier is the teacher's variant),\n"
        "and data.NAME (options of the data set, such as data.noise)."
    )


def _run(arguments: argparse.Namespace) -> int:
    from mmkd_core.parallel import is_first, joined
    from mmkd_core.training import choose_device

    device = choose_device(arguments.device)  # refuses one that is not there, before anything is loaded
    with joined(device) as own, contextlib.ExitStack() as quiet:
        if not is_first():
            for redirect in (contextlib.redirect_stdout, contextlib.redirect_stderr):
                quiet.enter_context(redirect(quiet.enter_context(open(os.devnull, "w"))))
        return _run_on(own, arguments)


def _run_on(device: torch.device, arguments: argparse.Namespace) -> int:
    from mmkd_core.datasets import load
    from mmkd_core.progress import Bars
    from mmkd_core.runs import resumes, run

    experiment = planned(arguments.model, arguments.data, arguments.seed, arguments.set)
    data = load(experiment.dataset, **experiment.options)
    print(f"settings    {in_force(experiment)}")
    if experiment.teacher is not None:
        print(f"teacher     {in_force(experiment.teacher)}")
    sys.stdout.flush()  # before the bars, also into a pipe
    for stage, file, epoch in resumes(experiment, arguments.store, data):
        if epoch:
            print(f"mmkd: {stage.model} goes on after epoch {epoch} of {stage.fit.epochs} ({file})", file=sys.stderr)
    try:
        with Bars() as show:
            how = {"device": device, "capture": arguments.capture, "compile": arguments.compile}
            record = run(experiment, arguments.store, data=data, on_epoch=show, **how)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_what_is_kept(experiment, arguments, data)) from None
    print(f"{arguments.model} on {arguments.data}, seed {arguments.seed}, epoch {record.history['best_epoch']} kept")
    print("test        " + "  ".join(f"{name} {value:.4f}" for name, value in record.metrics.items()))
    print("validation  " + "  ".join(f"{name} {value:.4f}" for name, value in record.validation.items()))
    of = "" if experiment.teacher is None else " for this stage"
    print(
        f"cost        {record.cost['seconds']:.0f} s{of}, {record.cost['parameters']['trained']:,} parameters trained"
    )
    print(f"record      {record.file(arguments.store)}")
    return 0


def in_force(stage: Experiment) -> str:
    """The settings that are not at a signature's default, by what they come from."""
    from mmkd_core.experiment import chosen_for
    from mmkd_core.models import base_of, defaults_of
    from mmkd_core.training import FitConfig

    def flat(settings: Mapping[str, Any], fit: Mapping[str, Any]) -> dict[str, Any]:
        return {**settings, **{f"fit.{name}": value for name, value in fit.items() if name != "seed"}}

    now, usual = flat(stage.hparams, asdict(stage.fit)), flat(defaults_of(stage.model), asdict(FitConfig()))
    chosen = chosen_for(stage.model, stage.dataset)
    fit = chosen.pop("fit", {})
    searched = {name: now[name] for name, value in flat(chosen, fit).items() if now[name] == value}
    given = {name: value for name, value in now.items() if name not in searched and value != usual[name]}
    given |= {f"data.{name}": value for name, value in stage.options.items()}
    origins = {f"hparams/{base_of(stage.model)}.toml [{stage.dataset}]": searched, "--set": given}
    told = [
        f"{' '.join(f'{name}={value}' for name, value in settings.items())} ({origin})"
        for origin, settings in origins.items()
        if settings
    ]
    return "; ".join([*told, "the rest defaults"]) if told else "all defaults"


def _what_is_kept(experiment: Experiment, arguments: argparse.Namespace, data: Dataset) -> str:
    """One line on what a run that was stopped leaves, and how to go on."""
    from mmkd_core.runs import resumes

    left = resumes(experiment, arguments.store, data)
    if not left:
        return f"stopped when the record was written: {experiment.file(arguments.store, data.fingerprint)}"
    stage, file, epoch = left[0]
    if not epoch:
        return f"stopped before {stage.model} was evaluated, so nothing of it is kept; to train it: {arguments.again}"
    return f"stopped; {file} keeps {stage.model} up to epoch {epoch} of {stage.fit.epochs}; to go on: {arguments.again}"


def planned(model: str, dataset: str, seed: int, settings: Sequence[str]) -> Experiment:
    """The experiment that `--set NAME=VALUE` arguments ask for."""
    from mmkd_core.experiment import plan
    from mmkd_core.models import base_of

    groups: dict[str, dict[str, str]] = {"": {}, "fit": {}, "teacher": {}, "teacher.fit": {}, "data": {}}
    for setting in settings:
        name, equals, text = setting.partition("=")
        group, _, leaf = name.rpartition(".")
        if not equals or not leaf or group not in groups or name in groups:
            fronts = [group for group in groups if group]
            raise ValueError(f"--set {quoted(setting)}: expected NAME=VALUE, NAME with one of {fronts} in front")
        groups[group][leaf] = text
    given = _values(model, groups)
    teacher = None
    common: dict[str, Any] = {"seed": seed, "options": given["data"]}
    if inner := given["teacher"] | given["teacher.fit"]:
        if base_of(model) != "mmkd":
            raise ValueError(f"{model} has no teacher, so settings {quoted(inner)} of one mean nothing")
        kind = given["teacher"].pop("model", "teacher")
        teacher = plan(kind, dataset, hparams=given["teacher"], fit=given["teacher.fit"], **common)
    return plan(model, dataset, hparams=given[""], fit=given["fit"], teacher=teacher, **common)


def _values(model: str, groups: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """The values that the texts of `--set` stand for, each read as its setting's kind."""
    from mmkd_core.datasets import OPTIONS
    from mmkd_core.models import settings_of
    from mmkd_core.training import SETTINGS

    kinds: dict[str, dict[str, Setting]] = {
        "": settings_of(model),
        "fit": SETTINGS,
        "teacher": settings_of(groups["teacher"].get("model", "teacher")),
        "teacher.fit": SETTINGS,
        "data": OPTIONS,
    }
    return {
        group: {name: read(text, kinds[group].get(name)) for name, text in texts.items()}
        for group, texts in groups.items()
    }


def _recommend(arguments: argparse.Namespace) -> int:
    from mmkd_core.models.base import recommend
    from mmkd_core.runs import data_of, restore

    data, user = data_of(arguments.record, arguments.data), arguments.user
    best = recommend(restore(arguments.record, data), [user], data, arguments.top)
    history = data.train[data.train[:, 0] == user, 1].tolist()
    if not history:
        raise ValueError(f"user {user} of {data.name} has no training history, so there is no taste to rank by")
    print(f"user {user} of {data.name}, {len(history)} training items: {_named(data, history[:5])}")
    for place, (item, score) in enumerate(zip(best.items[0].tolist(), best.scores[0].tolist(), strict=True), 1):
        if item >= 0:
            print(f"{place:>3}. {_named(data, [item])}  {score:.3f}")
    return 0


def _named(data: Dataset, items: Sequence[int]) -> str:
    """The items by title, if they have one, and number; renumbered ones with the number that they have in the files."""
    from mmkd_core.datasets.demo_catalogue import DemoDataset

    titles = [data.title(item) if isinstance(data, DemoDataset) else "item" for item in items]
    ids = data.item_ids
    in_files = [f" ({int(ids[item])} in the files)" if ids is not None else "" for item in items]
    return ", ".join(f"{title} {item}{number}" for title, item, number in zip(titles, items, in_files, strict=True))
