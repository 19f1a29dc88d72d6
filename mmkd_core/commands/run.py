"""`mmkd run`: one experiment, trained, tested and recorded."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mmkd_core.settings import Setting, quoted, read, whole

if TYPE_CHECKING:
    import torch

    from mmkd_core.chosen import Chosen
    from mmkd_core.data import Dataset
    from mmkd_core.experiment import Experiment


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
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
    parser.add_argument("--settings", metavar="FILE.toml", help="of models, as `mmkd tune` found them")
    parser.add_argument("--store", "--records", default="runs", metavar="FOLDER", help="of the record (default runs)")
    parser.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")
    parser.add_argument(
        "--capture", choices=("auto", "off"), default="auto", help="on a GPU, a step as one CUDA graph (default auto)"
    )
    parser.add_argument("--compile", action="store_true", help="let torch's compiler fuse the step")
    parser.set_defaults(action=_run)


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
        "second.NAME where there are two, teacher.second.NAME for a teacher's own,\n"
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

    experiment, chosen = asked_for(arguments)
    data = load(experiment.dataset, **experiment.options)
    for name, stage in {"settings": experiment, **_teachers(experiment)}.items():
        print(f"{name:<11} {in_force(stage, chosen, arguments.settings)}")
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
    of = " for this stage" if experiment.teachers else ""
    print(
        f"cost        {record.cost['seconds']:.0f} s{of}, {record.cost['parameters']['trained']:,} parameters trained"
    )
    print(f"record      {record.file(arguments.store)}")
    return 0


def asked_for(arguments: argparse.Namespace) -> tuple[Experiment, Chosen]:
    """The experiment that the arguments of a command ask for, and what stands in its file of settings."""
    from mmkd_core.chosen import read_chosen

    chosen = read_chosen(arguments.settings) if arguments.settings else {}
    return planned(arguments.model, arguments.data, arguments.seed, arguments.set, chosen), chosen


def _teachers(experiment: Experiment, front: str = "") -> dict[str, Experiment]:
    """The experiments nested in one by the names that `--set` knows them by: "teacher", "teacher.second"."""
    own = {front + name: teacher for name, teacher in experiment.teachers.items()}
    return own | {deep: one for name, teacher in own.items() for deep, one in _teachers(teacher, f"{name}.").items()}


def in_force(stage: Experiment, chosen: Chosen | None = None, file: str | None = None) -> str:
    """The settings that are not at a signature's default, by what they come from; `chosen` come from `file`."""
    from mmkd_core.chosen import chosen_for, file_of, flat
    from mmkd_core.models import defaults_of, usual_fit
    from mmkd_core.training import FitConfig

    now = flat({**stage.hparams, "fit": asdict(stage.fit) | {"seed": None}})
    usual = flat({**defaults_of(stage.model), "fit": asdict(FitConfig()) | usual_fit(stage.model) | {"seed": None}})
    found = chosen_for(stage.model, stage.dataset, chosen)
    usual_place = f"hparams/{file_of(stage.model)} [{stage.dataset}]"
    place = f"{file} [{stage.model}]" if found != chosen_for(stage.model, stage.dataset) else usual_place
    searched = {name: now[name] for name, value in flat(found).items() if now[name] == value}
    given = {name: value for name, value in now.items() if name not in searched and value != usual[name]}
    given |= {f"data.{name}": value for name, value in stage.options.items()}
    origins = {place: searched, "--set": given}
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


FRONTS = re.compile(r"fit|data|(?:teacher|second)(?:\.(?:teacher|second))*(?:\.fit)?")  # of the names of settings


def planned(model: str, dataset: str, seed: int, settings: Sequence[str], chosen: Chosen | None = None) -> Experiment:
    """The experiment that `--set NAME=VALUE` arguments ask for, the others being `chosen`, or as `plan` has them."""
    from mmkd_core.datasets import OPTIONS

    told: dict[str, str] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        front, _, leaf = name.rpartition(".")
        if not equals or not leaf or (front and not FRONTS.fullmatch(front)) or FRONTS.fullmatch(name):
            fronts = ["fit", "teacher", "teacher.fit", "data"]
            raise ValueError(f"--set {quoted(setting)}: expected NAME=VALUE, NAME with one of {fronts} in front")
        told[name] = text
    options = _read(_below("data", told), OPTIONS)
    return _stage(model, told, dataset=dataset, seed=seed, options=options, chosen=chosen)


def _stage(model: str, told: Mapping[str, str], **common: Any) -> Experiment:
    """The experiment of a model with the settings that texts by name stand for, those of its teachers among them."""
    from mmkd_core.experiment import plan
    from mmkd_core.models import TEACHERS, settings_of, teachers_of
    from mmkd_core.training import SETTINGS

    own = {name: text for name, text in told.items() if "." not in name}
    hparams, fit = _read(own, settings_of(model)), _read(_below("fit", told), SETTINGS)
    usual, teachers = teachers_of(model), {}
    for name in TEACHERS:
        if inner := _below(name, told):
            if name not in usual:
                raise ValueError(f"{model} has no {name}, so settings {quoted(inner)} of one mean nothing")
            teachers[name] = _stage(inner.pop("model", usual[name]), inner, **common)
    return plan(model, hparams=hparams, fit=fit, **teachers, **common)


def _below(front: str, told: Mapping[str, str]) -> dict[str, str]:
    return {name[len(front) + 1 :]: text for name, text in told.items() if name.startswith(f"{front}.")}


def _read(texts: Mapping[str, str], kinds: Mapping[str, Setting]) -> dict[str, Any]:
    """The values that texts stand for, each read as its setting's kind."""
    return {name: read(text, kinds.get(name)) for name, text in texts.items()}
