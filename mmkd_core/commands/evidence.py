"""`mmkd table`, `mmkd figure` and `mmkd claims`: what the records say."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkd_core.files import write_whole
from mmkd_core.settings import whole

if TYPE_CHECKING:
    from mmkd_core.engine import Progress
    from mmkd_core.recipes import Case

# The names of `tables.TABLES` and so on, without importing them: a test holds the two together.
TABLES = ("1", "3", "4", "5", "6", "7", "8", "content", "demo", "overfitting")
FIGURES = ("3", "4", "5")
BUDGETS = ("smoke", "quick", "paper")
ENGINES = ("local", "ray")


def add_to(commands: Any) -> None:
    """Adds the subcommands of this module to a parser."""
    _add_table(commands)
    _add_figure(commands)
    _add_claims(commands)


def _add_table(commands: Any) -> None:
    parser = commands.add_parser(
        "table", help="a table of the paper, or a question it leaves open, from records",
        description="Prints a table from records; with --budget it first runs what they lack.",
    )  # fmt: skip
    parser.add_argument("name", choices=TABLES, help="the number in the paper, or the question")
    _add_recipe(parser)
    parser.set_defaults(action=_table)


def _add_figure(commands: Any) -> None:
    parser = commands.add_parser(
        "figure", help="a figure of the paper, drawn from records",
        description="Draws a figure from records into a file; with --budget it first runs what they lack.",
    )  # fmt: skip
    parser.add_argument("name", choices=FIGURES, help="the number in the paper")
    _add_recipe(parser)
    parser.add_argument("--out", metavar="FILE", help="SVG or PNG, by its suffix (default figure-N.svg, here)")
    parser.set_defaults(action=_figure)


def _add_claims(commands: Any) -> None:
    parser = commands.add_parser("claims", help="the claims of the paper, each with what was found")
    _add_records(parser)
    parser.set_defaults(action=_claims)


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", nargs="+", metavar="NAME", help="data sets (default: those of the recipe)")
    parser.add_argument("--seeds", nargs="+", type=whole, metavar="N", help="seeds (default: those of the recipe)")
    _add_records(parser)
    budgets = "smoke (seconds), quick (minutes) or paper (hours of a CPU)"
    parser.add_argument("--budget", choices=BUDGETS, help=f"first run what the records lack: {budgets}")
    parser.add_argument("--engine", choices=ENGINES, default="local", help="ray: spread the runs over a cluster")
    parser.add_argument("--workers", type=whole, metavar="N", help="processes Ray starts here (default: one a core)")


def _add_records(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", metavar="FOLDER", help="default: book/records of the clone")


def _table(options: argparse.Namespace) -> int:
    from mmkd_core import tables

    table = tables.TABLES[options.name]
    cases = _cases(options, table.recipe)
    for title, frame in table.frames(cases, _records(options)).items():
        print(f"{title}\n{frame.rename_axis(None).to_string()}\n")
    for note in table.notes:
        print(textwrap.fill(note, 110))
    return 0


def _figure(options: argparse.Namespace) -> int:
    from mmkd_core import figures

    out = Path(options.out or f"figure-{options.name}.svg")
    if out.suffix not in figures.FORMATS:  # before anything is run
        raise ValueError(f"--out {out}: unknown suffix {out.suffix!r}; one of {list(figures.FORMATS)}")
    figure = figures.FIGURES[options.name]
    drawn = figure.draw(_cases(options, figure.recipe), _records(options))
    write_whole(out, lambda temporary: temporary.write_bytes(figures.encoded(drawn, out.suffix)))
    print(out)
    for note in figure.notes:
        print(textwrap.fill(note, 110))
    return 0


def _claims(options: argparse.Namespace) -> int:
    from mmkd_core.claims import ledger, summary
    from mmkd_core.results import records_folder

    found = ledger(records_folder(options.records))
    for name, row in found.iterrows():
        print(f"{row['verdict'].upper()}: {row['claim']} ({row['where']})")
        print(textwrap.fill(row["measured"], 110, initial_indent="    ", subsequent_indent="    "))
        print(f"    {name}; {len(row['records'])} records; notebooks/{row['notebook']}.ipynb\n")
    print(summary(found))
    return 0


def _records(options: argparse.Namespace) -> Path:
    from mmkd_core.results import records_folder

    return records_folder(options.records, new=options.budget is not None)


def _cases(options: argparse.Namespace, recipe: Callable[..., list[Case]]) -> list[Case]:
    """The cases of a recipe; with a budget, after what the records lack has been run."""
    from tqdm import tqdm

    from mmkd_core import engine

    cases = recipe(options.data, options.seeds, options.budget or "paper")
    if options.budget is None:
        return cases
    bars: list[tqdm] = []  # none before the first run: an error's line must not start behind a bar

    def show(progress: Progress) -> None:
        if not bars:
            bars.append(tqdm(desc="runs", unit="run", file=sys.stderr))
        bars[0].total = progress.done + progress.running + progress.left
        bars[0].n = progress.done
        bars[0].set_postfix(running=progress.running, left=progress.left)

    try:
        engine.carry_out(cases, _records(options), engine=options.engine, workers=options.workers, on_progress=show)
    finally:
        for bar in bars:
            bar.close()
    return cases
