"""`mmkd tune`: settings of models, chosen on validation by a search of the same size for each."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkd_core.settings import quoted, read, whole

if TYPE_CHECKING:
    from mmkd_core.study import Study

EXAMPLES = """\
examples:
  mmkd tune lightgcn --data shop
  mmkd tune itemknn bpr-mf lightgcn --data shop --trials 6 --epochs 100 --out shop.toml
      the same six trials of each; then: mmkd run lightgcn --data shop --settings shop.toml
  mmkd tune lightgcn --data shop --range layers=1,2,3,4 --range l2=1e-6:1
      where the best stood at an edge of what was tried
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    parser = commands.add_parser(
        "tune", help="choose the settings of models on validation",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES,
        description="Searches settings for each MODEL by validation Recall@20, as many trials for one as for another.\n"
        "The first trial has the settings that the space of the model begins with, four are at random, the others\n"
        "where a tree-structured Parzen estimator expects most. Each is trained until early stopping ends it, or its\n"
        "cap; none is broken off. The test split is not looked at. Ended, it goes on when the same command is given\n"
        "again; with more --trials it continues. Models are searched in the order given: put teachers before their\n"
        "students, whose trials then learn from the teachers found. Needs optuna: pip install 'mmkd-book[search]'.",
    )  # fmt: skip
    parser.add_argument("models", metavar="MODEL", nargs="+", help="one of those that `mmkd run --help` lists")
    parser.add_argument("--data", required=True, metavar="NAME", help="a data set's name, or a folder")
    parser.add_argument("--trials", type=whole, default=10, help="that complete, for each model (default 10)")
    parser.add_argument("--epochs", type=whole, default=300, help="the cap of a trial (default 300)")
    parser.add_argument(
        "--patience", type=whole,
        help="evaluations without improvement that end a trial (default: the model's own, or 6)",
    )  # fmt: skip
    parser.add_argument("--seed", type=whole, default=0, help="of the trainings and of the search (default 0)")
    parser.add_argument(
        "--range", action="append", default=[], metavar="NAME=RANGE",
        help="search this in place of the usual range, of one MODEL: LOW:HIGH, or choices with commas; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--store", default="runs", metavar="FOLDER", help="of the studies and of teachers (default runs)"
    )
    parser.add_argument(
        "--out", default="settings.toml", metavar="FILE.toml",
        help="the settings found, a block per model, for `mmkd run --settings` (default settings.toml)",
    )  # fmt: skip
    parser.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")
    parser.set_defaults(action=_tune)


def _tune(arguments: argparse.Namespace) -> int:
    from mmkd_core.chosen import read_chosen, write_block
    from mmkd_core.datasets import canonical_name, load
    from mmkd_core.progress import Bars
    from mmkd_core.study import Budget, found_by, patience_of, study_file
    from mmkd_core.training import choose_device
    from mmkd_core.tuning import tune

    out, device = Path(arguments.out), choose_device(arguments.device)
    chosen = read_chosen(out) if out.exists() else {}
    ranges = {model: _ranges(model, arguments) for model in arguments.models}
    budgets = {
        model: Budget(
            arguments.trials,
            arguments.epochs,
            patience_of(model) if arguments.patience is None else arguments.patience,
        )
        for model in ranges
    }
    dataset = canonical_name(arguments.data)
    data = load(dataset)
    try:
        with Bars() as show:

            def told(study: Study) -> None:
                show.__exit__()  # what is printed next must not start behind a bar
                print(_line(study))
                sys.stdout.flush()

            for model, budget in budgets.items():
                print(
                    f"{model} on {data.name}: {budget.trials} trials of at most {budget.epochs} epochs, none broken off"
                )
                sys.stdout.flush()
                study = tune(
                    model, dataset, budget=budget, seed=arguments.seed, store=arguments.store, data=data,
                    ranges=ranges[model], chosen=chosen, device=device, on_epoch=show, on_trial=told,
                )  # fmt: skip
                write_block(
                    out, model, found_by(study, str(study_file(arguments.store, dataset, model))), study.settings
                )
                chosen[model] = study.settings
                _summed_up(study, out)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; what was tried is kept; to go on: {arguments.again}") from None
    print(f"to train with them: mmkd run {arguments.models[-1]} --data {arguments.data} --settings {out}")
    return 0


def _summed_up(study: Study, out: Path) -> None:
    """Says what was found, and what speaks for looking further."""
    print(f"  best: validation Recall@20 {study.best['validation recall@20']:.4f}, in {out} now")
    for edge in study.edges():
        print(f"  at the edge of what was tried: {edge}; `--range {edge.partition('=')[0]}=...` tries others")
    if study.capped:
        print(f"  {study.capped} of {len(study.completed)} ended at the cap; more --epochs may find better")


def _line(study: Study) -> str:
    """The last trial of a study, as a line."""
    from mmkd_core.chosen import flat
    from mmkd_core.study import COMPLETE

    trial, number = study.trials[-1], len(study.trials)
    tried = " ".join(f"{name}={value}" for name, value in flat(trial["settings"]).items())
    if trial["state"] != COMPLETE:
        return f"  {number:>3}  failed, {trial['error']}: {tried}"
    epochs = f"epoch {trial['best_epoch']} of {trial['epochs']}" if trial["epochs"] else "nothing to train"
    return f"  {number:>3}  {trial['validation recall@20']:.4f}  {epochs:<18} {tried}"


def _ranges(model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What `--range` says, checked: {"l2": {"low": 1e-5, "high": 1.0}}, {"layers": [1, 2]}."""
    from mmkd_core.models import settings_of
    from mmkd_core.study import space_of
    from mmkd_core.training import SETTINGS

    if arguments.range and len(arguments.models) > 1:
        raise ValueError(f"--range with {len(arguments.models)} models; expected one MODEL, whose range it is")
    ranges = {}
    for text in arguments.range:
        name, equals, part = text.partition("=")
        low, colon, high = part.partition(":")
        if not equals or not name or not part or (colon and not (low and high)):
            raise ValueError(f"--range {quoted(text)}; expected NAME=LOW:HIGH or NAME=ONE,ANOTHER")
        setting = (SETTINGS if name.startswith("fit.") else settings_of(model)).get(name.removeprefix("fit."))
        values = [read(one, setting) for one in ((low, high) if colon else part.split(","))]
        ranges[name] = dict(zip(("low", "high"), values, strict=True)) if colon else values
    space_of(model, ranges)  # refuses what is none before anything is trained
    return ranges
