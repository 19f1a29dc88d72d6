"""`mmkd import`: a raw log of who chose what, or a folder of ready splits, becomes a data folder."""

import argparse
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

EXAMPLES = """\
examples:
  mmkd import ratings.csv shop --user customer --item product
      each line is a choice; 10 % of each user's go to validation and 10 % to test, at random
  mmkd import ratings.csv shop --user userId --item movieId --time timestamp --split latest
        --rating rating --min-rating 4
      ratings of 4 and 5 are choices, and each user's last ones are held out
  mmkd import clicks.parquet shop --user who --item what --time when --split date --val-from 2024-05-01
        --test-from 2024-06-01 --features features --k-core 3
      what is learned until April is tested on June; features/image.npy with features/image.ids.txt are aligned
  mmkd import u.data movies --separator tab --columns user,item,rating,time --user user --item item
      a log without a header: --columns names its columns in their order; --separator :: reads ml-1m's ratings.dat
  mmkd import gowalla shop
      a folder of splits that are ready, in RecBole's files (NAME.train.inter ...), LightGCN's lists (without a
      validation file, which is then held out of train), or any other layout that is read in place
then:
  mmkd data check shop; mmkd run lightgcn --data shop
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    parser = commands.add_parser(
        "import", help="make a data set of a log", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Reads LOG, a table in CSV, TSV, Parquet or JSON lines (by its suffix, .gz after it or not), or a\n"
        "folder of ready splits, and writes the folder OUT, which all commands read: interactions, features,\n"
        "ids.parquet with the log's own ids, and card.json, which counts what was left out at each step and why.",
        epilog=EXAMPLES,
    )  # fmt: skip
    parser.add_argument("log", metavar="LOG", help="the table, a row for each choice; or a folder of splits")
    parser.add_argument("out", metavar="OUT", help="the folder to write, new or empty")
    for name, metavar, text in OPTIONS:
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    parser.add_argument("--force", action="store_true", help="replace OUT if it is what an import wrote, and no more")
    parser.set_defaults(action=_import, needs_torch=False)


OPTIONS = (
    ("user", "COLUMN", "who; of a log always given"),
    ("item", "COLUMN", "what; of a log always given"),
    ("time", "COLUMN", "when: ISO 8601, or a number of seconds or thousandths since 1970"),
    ("rating", "COLUMN", "a number that says whether it is a choice; with --min-rating"),
    ("min-rating", "NUMBER", "ratings from this on are choices"),
    ("columns", "NAMES", "of a log without a header: the names of all columns in their order, user,item,rating,time"),
    ("separator", "TEXT", "between the fields of a text, whatever its suffix: tab, one character, or ::"),
    ("k-core", "K", "leave out users and items with fewer, again and again (default 5; 0 keeps all)"),
    ("split", "RULE", "random, latest (each user's last ones) or date (default random)"),
    ("val", "SHARE", "of each user's interactions for validation (default 0.1)"),
    ("test", "SHARE", "of each user's interactions for the test (default 0.1)"),
    ("val-from", "TIME", "with --split date: validation from then on"),
    ("test-from", "TIME", "with --split date: test from then on"),
    ("seed", "N", "of what is drawn at random (default 0)"),
    ("overlap", "RULE", "of a folder: drop keeps a pair that stands twice where it stands first (default error)"),
    ("features", "FOLDER", "NAME.npy with NAME.ids.txt or ids.txt (an id a line), NAME.csv or NAME.parquet with "
     "the item's column"),
    ("layout", "LAYOUT", "mmrec, or parquet, for tens of millions of rows (default mmrec)"),
)  # fmt: skip


def _import(arguments: argparse.Namespace) -> int:
    from mmkd_core.datasets.importing import import_folder, import_log
    from mmkd_core.progress import bar

    source = Path(arguments.log).expanduser()
    if source.is_dir():
        card = import_folder(source, arguments.out, **_options(arguments, import_folder, f"the folder {source}"))
    else:
        options = _options(arguments, import_log, f"the log {source}")
        if lacking := [f"--{name}" for name in ("user", "item") if name not in options]:
            raise ValueError(f"the following arguments are required of a log: {', '.join(lacking)}")
        with bar("rows", unit_scale=True) as rows:
            card = import_log(source, arguments.out, **options, on_rows=rows.update)
    print(f"{card}\n{arguments.out}: written, with {', '.join(card.files)}")
    return 0


def _options(arguments: argparse.Namespace, function: Callable[..., Any], of: str) -> dict[str, Any]:
    """What was given, as the kinds of the parameters of `function`; raises `ValueError` for what is none of them."""
    from mmkd_core.datasets.controls import options_of
    from mmkd_core.settings import read

    known = options_of(function)
    names = {name.replace("-", "_"): f"--{name}" for name, _, _ in OPTIONS}
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    taken = {name: option for name, option in names.items() if name in signature(function).parameters}
    if others := [names[name] for name in given if name not in taken]:
        raise ValueError(f"got {', '.join(others)} for {of}; expected some of {', '.join(taken.values())}, or none")
    return {name: read(value, known.get(name)) for name, value in given.items()} | {"force": arguments.force}
