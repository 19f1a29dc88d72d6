"""`mmkd data`: list, fetch or check data sets."""

import argparse
import warnings
from typing import Any

from mmkd_core.datasets import DATASETS


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    data = commands.add_parser("data", help="list, fetch or check data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="what there is, from where, on what terms")
    listing.set_defaults(action=_list, needs_torch=False)
    for name, action, text in (
        ("fetch", _fetch, "download a data set and check its sums"),
        ("check", _check, "load a data set or a folder, check its files, show its size"),
    ):
        parser = actions.add_parser(name, help=text)
        parser.add_argument("name", help="a name of `mmkd data list`, or a folder")
        parser.set_defaults(action=action)
    parser.add_argument("--compact", action="store_true", help="leave out users and items without any interaction")


def _list(_: argparse.Namespace) -> int:
    for name, entry in DATASETS.items():
        print(f"{name:<14} {entry.summary}\n{'':<14} source: {entry.source}\n{'':<14} terms: {entry.terms}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from mmkd_core.datasets import fetch

    print(f"{arguments.name}: {fetch(arguments.name)}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from mmkd_core.data import DataWarning
    from mmkd_core.datasets import check, load

    options: dict[str, Any] = {"compact": True} if arguments.compact else {}
    named = arguments.name in DATASETS
    verdicts = check(arguments.name) if named else []
    for file, verdict in verdicts:
        print(f"{file}: {verdict}")
    if any(verdict != "ok" for _, verdict in verdicts):
        return 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the notes are printed below
        data = load(arguments.name, **options)
    for file in dict.fromkeys(data.sources.values()) if not named else ():
        print(f"{file}: ok")
    widths = ", ".join(f"{modality} {x.shape[1]}-d" for modality, x in data.features.items()) or "none"
    print(f"{data.name}: {data.num_users:,} users × {data.num_items:,} items")
    print(f"train {len(data.train):,}, validation {len(data.val):,}, test {len(data.test):,} interactions")
    print(f"features: {widths}\nfingerprint {data.fingerprint}")
    for note in data.notes:
        print(f"note: {note}")
    return 0
