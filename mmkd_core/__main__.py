"""The command `mmkd`: data sets, training runs and recommendations."""

from __future__ import annotations

import argparse
import ast
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from tqdm import tqdm

from mmkd_core import __version__, engine, recipes, tables
from mmkd_core.claims import ledger, summary
from mmkd_core.data import Dataset
from mmkd_core.datasets import CATALOGUE, check, fetch, load
from mmkd_core.datasets.demo import DemoDataset
from mmkd_core.datasets.shapes import SHAPES
from mmkd_core.evaluation import rank
from mmkd_core.experiment import Experiment, Record, plan, restore, run, write_whole
from mmkd_core.models import MODELS, settings_of
from mmkd_core.recipes import Case
from mmkd_core.training import History

EXAMPLES = """\
examples:
  mmkd data list                                   data sets that can be had, and where from
  mmkd run lightgcn --data demo                    train on the embedded demo, test once, write a record
  mmkd run mmkd --data tiktok --seed 1             teacher first, then the student that learns from it
  mmkd run mmkd --data demo --set list=0.1 --set teacher.layers=3 --set fit.lr=0.002 --set data.noise=0.3
  mmkd recommend runs/RECORD.json --user 7         what the trained model would show to user 7
  mmkd table 4                                     the committed records beside the paper's Table 4
  mmkd table 5 --budget quick --records runs       run what the table needs first, in minutes
  mmkd figure 5 --data tiktok --out curves.png     the paper's Figure 5 from our records
  mmkd claims                                      what the paper claims, and what was found
"""


class _Parser(argparse.ArgumentParser):
    """A wrong argument is one line and exit status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (`{self.prog} --help` shows how)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 for anything that the caller can mend."""
    options = _parser().parse_args(arguments)
    try:
        if options.threads < 0:
            raise ValueError(f"--threads {options.threads}; expected 0 or more")
        if options.threads:
            torch.set_num_threads(options.threads)
        status = options.action(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `mmkd table 4 | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails again when it flushes at exit
        return 141  # as a shell says of a program that SIGPIPE ended
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"mmkd: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mmkd: stopped; nothing half-written is left", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="mmkd", description="Multi-modal recommendation, measured.", epilog=EXAMPLES,
                     formatter_class=raw)  # fmt: skip
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1; 0: torch's own choice)")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_data(commands)
    _add_run(commands)
    _add_recommend(commands)
    _add_table(commands)
    _add_figure(commands)
    _add_claims(commands)
    return parser


def _add_data(commands: Any) -> None:
    data = commands.add_parser("data", help="list, fetch or check data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="what there is, from where, on what terms").set_defaults(action=_list)
    for name, action, text in (
        ("fetch", _fetch, "download a data set and check its sums"),
        ("check", _check, "load a data set or a folder, check its files, show its size"),
    ):
        parser = actions.add_parser(name, help=text)
        parser.add_argument("name", help="a name of `mmkd data list`, or a folder")
        parser.set_defaults(action=action)


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


def _add_table(commands: Any) -> None:
    parser = commands.add_parser(
        "table", help="a table of the paper, or a question it leaves open, from records",
        description="Prints a table from records; with --budget it first runs what they lack.",
    )  # fmt: skip
    parser.add_argument("name", choices=list(tables.TABLES), help="the number in the paper, or the question")
    _add_recipe(parser)
    parser.set_defaults(action=_table)


def _add_figure(commands: Any) -> None:
    parser = commands.add_parser(
        "figure", help="a figure of the paper, drawn from records",
        description="Draws a figure from records into a file; with --budget it first runs what they lack.",
    )  # fmt: skip
    parser.add_argument("name", choices=list(recipes.FIGURES), help="the number in the paper")
    _add_recipe(parser)
    parser.add_argument("--out", metavar="FILE", help="SVG or PNG, by its suffix (default figure-N.svg, here)")
    parser.set_defaults(action=_figure)


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", nargs="+", metavar="NAME", help="data sets (default: those of the recipe)")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="seeds (default: those of the recipe)")
    _add_records(parser)
    budgets = "smoke (seconds), quick (minutes) or paper (hours of a CPU)"
    parser.add_argument("--budget", choices=list(recipes.BUDGETS), help=f"first run what the records lack: {budgets}")
    parser.add_argument("--engine", choices=engine.ENGINES, default="local", help="ray: spread the runs over a cluster")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that Ray starts here (default: one a core)")


def _add_claims(commands: Any) -> None:
    parser = commands.add_parser("claims", help="the claims of the paper, each with what was found")
    _add_records(parser)
    parser.set_defaults(action=_claims)


def _add_records(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", default="book/records", metavar="FOLDER", help="default: book/records")


def _settings_line(name: str) -> str:
    return " ".join(f"{setting}={value}" for setting, value in settings_of(name).items()) or "(no settings)"


def _list(_: argparse.Namespace) -> int:
    for name, entry in CATALOGUE.items():
        print(f"{name:<14} {entry.summary}\n{'':<14} source: {entry.source}\n{'':<14} terms: {entry.terms}")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    print(f"{options.name}: {fetch(options.name)}")
    return 0


def _check(options: argparse.Namespace) -> int:
    problems = 0
    for file, verdict in check(options.name):
        print(f"{file}: {verdict}")
        problems += verdict != "ok"
    if problems:
        return 2
    data = load(options.name)
    widths = ", ".join(f"{modality} {x.shape[1]}-d" for modality, x in data.features.items()) or "none"
    print(f"{data.name}: {data.num_users:,} users x {data.num_items:,} items")
    print(f"train {len(data.train):,}, validation {len(data.val):,}, test {len(data.test):,} interactions")
    print(f"features: {widths}\nfingerprint {data.fingerprint}")
    return 0


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


def _table(options: argparse.Namespace) -> int:
    table = tables.TABLES[options.name]
    cases = _cases(options, table.recipe)
    for title, frame in table.frames(cases, Path(options.records)).items():
        print(f"{title}\n{frame.rename_axis(None).to_string()}\n")
    for note in table.notes:
        print(textwrap.fill(note, 110))
    return 0


def _figure(options: argparse.Namespace) -> int:
    from mmkd_core import figures  # here, because importing matplotlib takes a second that no other command needs

    out = Path(options.out or f"figure-{options.name}.svg")
    if out.suffix not in figures.FORMATS:  # before anything is run
        raise ValueError(f"--out {out}: unknown suffix {out.suffix!r}; one of {list(figures.FORMATS)}")
    figure = figures.FIGURES[options.name]
    drawn = figure.draw(_cases(options, figure.recipe), Path(options.records))
    write_whole(out, lambda temporary: temporary.write_bytes(figures.encoded(drawn, out.suffix)))
    print(out)
    for note in figure.notes:
        print(textwrap.fill(note, 110))
    return 0


def _cases(options: argparse.Namespace, recipe: Callable[..., list[Case]]) -> list[Case]:
    """The cases of a recipe; with a budget, after what the records lack has been run."""
    for name in options.data or ():
        if name not in (*CATALOGUE, *SHAPES) and not Path(name).is_dir():
            raise ValueError(f"--data {name}: no such data set or folder; one of {list(CATALOGUE)}")
    cases = recipe(options.data, options.seeds, options.budget or "paper")
    if options.budget is None:
        _check_folder(options.records)
        return cases
    with tqdm(desc="runs", unit="run", file=sys.stderr) as bar:

        def show(progress: engine.Progress) -> None:
            bar.total = progress.done + progress.running + progress.left
            bar.n = progress.done
            bar.set_postfix(running=progress.running, left=progress.left)

        engine.carry_out(cases, options.records, engine=options.engine, workers=options.workers, on_progress=show)
    return cases


def _claims(options: argparse.Namespace) -> int:
    _check_folder(options.records)
    found = ledger(options.records)
    for name, row in found.iterrows():
        print(f"{row['verdict'].upper()}: {row['claim']} ({row['where']})")
        print(textwrap.fill(row["measured"], 110, initial_indent="    ", subsequent_indent="    "))
        print(f"    {name}; {len(row['records'])} records; notebooks/{row['notebook']}.ipynb\n")
    print(summary(found))
    return 0


def _check_folder(records: str) -> None:
    if not Path(records).is_dir():
        raise ValueError(f"--records {records}: no such folder; expected the folder `book/records` of a clone")


def _named(data: Dataset, items: Sequence[int]) -> str:
    return ", ".join(f"{data.title(item) if isinstance(data, DemoDataset) else 'item'} {item}" for item in items)


if __name__ == "__main__":
    sys.exit(main())
