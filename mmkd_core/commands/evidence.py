"""`mmkd table`, `mmkd figure` and `mmkd claims`: what the records say."""

from __future__ import annotations

import argparse
import re
import textwrap
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkd_core.files import write_whole
from mmkd_core.settings import whole

if TYPE_CHECKING:
    from mmkd_core.evidence.cases import Case
    from mmkd_core.evidence.challenge import Result
    from mmkd_core.evidence.engine import Progress
    from mmkd_core.evidence.question import Question
    from mmkd_core.evidence.store import Store

# The names of `cases.BUDGETS` and so on, without importing them: a test holds the two together.
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
    parser.add_argument("name", choices=names("table"), help="the number in the paper, or the question")
    _add_asked(parser)
    parser.set_defaults(action=_table)


def _add_figure(commands: Any) -> None:
    parser = commands.add_parser(
        "figure", help="a figure of the paper, drawn from records",
        description="Draws a figure from records into a file; with --budget it first runs what they lack.",
    )  # fmt: skip
    parser.add_argument("name", choices=names("figure"), help="the number in the paper")
    _add_asked(parser)
    parser.add_argument("--out", metavar="FILE", help="SVG or PNG, by its suffix (default figure-N.svg, here)")
    parser.set_defaults(action=_figure)


def _add_claims(commands: Any) -> None:
    parser = commands.add_parser(
        "claims", help="the claims of the paper, each with what was found",
        description="Prints the verdict on each claim of the paper, and what was measured.",
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="claims by name (default: all)")
    parser.add_argument("--files", action="store_true", help="list the records behind each")
    parser.add_argument(
        "--with", dest="results", nargs="+", metavar="FILE", default=[],
        help="show the results of challenges beside the ledger's: files that notebooks/challenge.ipynb wrote",
    )  # fmt: skip
    parser.add_argument("--of", metavar="RECORD", help="the cells that a record fills, and the claims it is behind")
    _add_records(parser)
    parser.set_defaults(action=_claims)


def _add_asked(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", nargs="+", metavar="NAME", help="data sets (default: those of the question)")
    parser.add_argument("--seeds", nargs="+", type=whole, metavar="N", help="seeds (default: those of the question)")
    _add_records(parser)
    budgets = "smoke (seconds), quick (minutes) or paper (hours of a CPU)"
    parser.add_argument("--budget", choices=BUDGETS, help=f"first run what the records lack: {budgets}")
    parser.add_argument("--engine", choices=ENGINES, default="local", help="ray: spread the runs over a cluster")
    parser.add_argument("--workers", type=whole, metavar="N", help="processes Ray starts here (default: one a core)")


def _add_records(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", metavar="FOLDER", help="default: book/records of the clone")


def names(kind: str) -> list[str]:
    """The names of `questions.TABLES` or `FIGURES` ("table", "figure"), read from the sources of the questions.

    A question is known by its file alone, and to import them all takes a second.
    """
    files = (resources.files("mmkd_core") / "evidence" / "questions").iterdir()
    told = [file.read_text(encoding="utf-8").partition("\nQUESTION = ")[2] for file in files if file.name[-3:] == ".py"]
    return sorted(found[1] for text in told if (found := re.search(rf'\b{kind}="([^"]+)"', text)))


def _table(options: argparse.Namespace) -> int:
    from mmkd_core.evidence.questions import TABLES
    from mmkd_core.evidence.tables import plain

    question = TABLES[options.name]
    assert question.frames is not None
    for title, frame in question.frames(*_asked(options, question)).items():
        shown = frame.map(plain).rename(columns=plain, index=plain).rename_axis(None)
        print(f"{title}\n{shown.to_string()}\n")
    for note in question.notes:
        print(textwrap.fill(note, 110))
    return 0


def _figure(options: argparse.Namespace) -> int:
    from mmkd_core.evidence.questions import FIGURES
    from mmkd_core.evidence.style import FORMATS, encoded

    question = FIGURES[options.name]
    assert question.draw is not None
    out = Path(options.out or f"figure-{options.name}.svg")
    if out.suffix not in FORMATS:  # before anything is run
        raise ValueError(f"--out {out}: unknown suffix {out.suffix!r}; one of {list(FORMATS)}")
    drawn = question.draw(*_asked(options, question))
    write_whole(out, lambda temporary: temporary.write_bytes(encoded(drawn, out.suffix)))
    print(out)
    for note in question.notes:
        print(textwrap.fill(note, 110))
    return 0


def _claims(options: argparse.Namespace) -> int:
    from mmkd_core.evidence.challenge import Result, differences
    from mmkd_core.evidence.ledger import claims, judged, summary
    from mmkd_core.evidence.store import Store
    from mmkd_core.evidence.verdicts import Finding

    for name in options.names:
        if name not in claims():
            raise ValueError(f"unknown claim {name!r}; one of {list(claims())}")
    theirs = [(file, Result.read(file)) for file in options.results]
    names = options.names or [result.claim for _, result in theirs]
    store = Store(options.records)
    cells = [] if options.of is None else _cells(Path(options.of))
    ledger = judged(store, names=names)
    if options.of is not None:
        print(*cells, "", sep="\n")
        record = Path(options.of).resolve()
        ledger = ledger[[record in [Path(file).resolve() for file in files] for files in ledger["records"]]]
    for name, row in ledger.iterrows():
        print(f"{row['verdict'].upper()}: {row['claim']} ({row['where']})")
        print(textwrap.fill("; ".join(row["measured"]), 110, initial_indent="    ", subsequent_indent="    "))
        print(f"    {name}; {row['behind']}; notebooks/{row['notebook']}.ipynb")
        for file in row["records"] if options.files else ():
            print(f"      {file}")
        for file, result in theirs:
            if result.claim == name:
                finding = Finding(row["verdict"], row["measured"], row["records"])
                _print_result(file, result, differences(finding, result, store))
        print()
    print(summary(ledger))
    return 0


def _print_result(file: str, result: Result, differing: list[str]) -> None:
    """A result beside the ledger's, and what is different in how it came about."""
    print(f"    {file} says {result.verdict.upper()}:")
    for text in ("; ".join(result.lines), *(f"- {one}" for one in differing)):
        print(textwrap.fill(text, 110, initial_indent="      ", subsequent_indent="      "))


def _cells(record: Path) -> list[str]:
    """The cells of the questions that a record fills, a line each; raises `ValueError` for what is no record."""
    from mmkd_core.evidence.measurement import MeasurementRecord
    from mmkd_core.evidence.questions import QUESTIONS
    from mmkd_core.experiment import Record

    run = re.fullmatch(r"s\d+-[0-9a-f]+", record.stem) is not None
    job = Record.read(record).experiment if run else MeasurementRecord.read(record).measurement
    cells = [
        f"{name}: {', '.join(f'{label} {value}' for label, value in labels.items())}"
        for name, question in QUESTIONS.items()
        for labels, planned in question.cases()
        if planned.canonical == job.canonical
    ]
    return cells or ["no cell of a question"]


def _asked(options: argparse.Namespace, question: Question) -> tuple[list[Case], Store]:
    """The cases of a question and the store; with a budget, after what the records lack has been run."""
    from mmkd_core.evidence import engine
    from mmkd_core.evidence.store import Store
    from mmkd_core.progress import bar

    store = Store(options.records, new=options.budget is not None)
    cases = question.cases(options.data, options.seeds, options.budget or "paper")
    if options.budget is None:
        return cases, store
    bars: list[Any] = []  # none before the first run: an error's line must not start behind a bar

    def show(progress: Progress) -> None:
        if not bars:
            bars.append(bar("runs", unit="run"))
        bars[0].total = progress.done + progress.running + progress.left
        bars[0].n = progress.done
        bars[0].set_postfix(running=progress.running, left=progress.left)

    try:
        engine.run_all(cases, store.folder, engine=options.engine, workers=options.workers, on_progress=show)
    except KeyboardInterrupt:
        kept = f"what was finished, and of what was running its last evaluation, are in {store.folder}"
        raise KeyboardInterrupt(f"stopped; {kept}; to go on: {options.again}") from None
    finally:
        for shown in bars:
            shown.close()
    return cases, store
