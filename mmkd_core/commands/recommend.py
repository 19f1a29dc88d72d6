"""`mmkd recommend`: what a trained model would show to one user, and the lists of many as a file or as several."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkd_core.settings import WHOLE, quoted, whole

if TYPE_CHECKING:
    from mmkd_core.approximate import Approximate
    from mmkd_core.served import Served


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "recommend", help="a trained model's best items for a user, or for all", formatter_class=raw,
        description="Prints the best items for one user, or writes the lists of many to a Parquet file with the\n"
        "columns user, rank, item, score. What a user had in training is left out. Users and items are called\n"
        "as in the data's ids.parquet, or by number where there is none.\n\n"
        "Lists of millions go to a folder (--out FOLDER/) of files of about a million rows. A call that was cut\n"
        "short goes on when it is given again; several machines fill one folder, each with a --share of it.\n"
        "Where there are millions of items, --approximate .99 reads as few of them as find 99 % of the exact\n"
        "lists' items, by faiss (pip install 'mmkd-book[faiss]'), and says what was measured.",
    )  # fmt: skip
    parser.add_argument(
        "record", metavar="RECORD", help="the file that `mmkd run` wrote, its weights beside it, or an export's folder"
    )
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--user", metavar="ID", help="one user, whose list is printed")
    whom.add_argument("--users", metavar="FILE", help="those whose ids are in FILE, one per line; with --out")
    whom.add_argument("--all", action="store_true", help="all who have a training history; with --out")
    parser.add_argument("--top", type=whole, default=10, metavar="K", help="length of the list (default 10)")
    parser.add_argument("--out", metavar="LISTS.parquet", help="where the lists of many users go, or FOLDER/")
    parser.add_argument("--share", type=_share, metavar="I/N", help="make the I-th of every N files of --out FOLDER/")
    parser.add_argument("--approximate", type=_recall, metavar="RECALL", help="lists that need not be exact, by faiss")
    parser.add_argument("--allow", metavar="FILE", help="show only items whose ids are in FILE, one per line")
    parser.add_argument("--deny", metavar="FILE", help="show no item whose id is in FILE")
    parser.add_argument("--data", metavar="FOLDER", help="where its data lie now (default: where they lay)")
    parser.set_defaults(action=_recommend)


def _share(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not (slash and WHOLE.fullmatch(part) and WHOLE.fullmatch(parts) and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is no share; expected such as 2/5, the second of five")
    return int(part), int(parts)


def _recall(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{quoted(text)} is no share of a list; expected such as .99, at most 1")


def _recommend(arguments: argparse.Namespace) -> int:
    if (arguments.user is None) != (arguments.out is not None):
        raise ValueError(
            f"--user {arguments.user} with --out {arguments.out}: one user's list is printed; expected --users or --all"
            if arguments.out else "--out is missing: the lists of many users go to a file; expected --out LISTS.parquet"
        )  # fmt: skip
    if arguments.user is not None and arguments.approximate is not None:
        raise ValueError("--approximate with --user: one user's list is exact; leave it out")
    if arguments.share is not None and not _is_folder(arguments.out):
        raise ValueError(f"--share with --out {arguments.out}: expected a folder that is shared, --out FOLDER/")
    from mmkd_core.served import served

    source = served(arguments.record, arguments.data)
    return _print_one(source, arguments) if arguments.out is None else _write_many(source, arguments)


def _is_folder(out: str | None) -> bool:
    return out is not None and (out.endswith(("/", os.sep)) or Path(out).is_dir())


def _print_one(source: Served, arguments: argparse.Namespace) -> int:
    from mmkd_core.evaluation import checked_users, rank
    from mmkd_core.lists import left_out_by

    data, user = source.data, source.user(arguments.user)
    left_out = left_out_by(source, arguments.allow, arguments.deny)
    best = rank(source.tables, checked_users([user], data), data, arguments.top, left_out=left_out)
    history = data.train[data.train[:, 0] == user, 1].tolist()
    if not history:
        raise ValueError(f"user {user} of {data.name} has no training history, so there is no taste to rank by")
    who = f"user {user}" if source.ids is None else f"user {user} ({source.ids.users[user]})"
    print(f"{who} of {data.name}, {len(history)} training items: {_named(source, history[:5])}")
    for place, (item, score) in enumerate(zip(best.items[0].tolist(), best.scores[0].tolist(), strict=True), 1):
        if item >= 0:
            print(f"{place:>3}. {_named(source, [item])}  {score:.3f}")
    return 0


def _write_many(source: Served, arguments: argparse.Namespace) -> int:
    import torch

    from mmkd_core.lists import left_out_by, users_in, with_history, write_lists, write_parts

    data, out, top = source.data, arguments.out, arguments.top
    asked = torch.arange(data.num_users) if arguments.all else users_in(arguments.users, source)
    left_out = left_out_by(source, arguments.allow, arguments.deny)

    @cache  # made when the first list is, so not where nothing is to be done
    def index() -> Approximate:
        from mmkd_core.approximate import Approximate

        made = Approximate(source.tables, left_out=left_out)
        print(f"approximate lists: {made.tune(with_history(asked, source), data, top, arguments.approximate)}")
        return made

    ranked = None if arguments.approximate is None else lambda some, seen: index().rank(some, data, top, seen=seen)
    if _is_folder(out):
        share, recall = arguments.share or (1, 1), arguments.approximate
        parts = write_parts(out, source, asked, top, left_out=left_out, ranked=ranked, recall=recall, share=share)
        there = f", {parts.before} of them from before" if parts.before else ""
        listed, files = parts.users, f" in {parts.there} of {parts.files} files{there}"
    else:
        listed, files = write_lists(out, source, asked, top, left_out=left_out, ranked=ranked), ""
    without = f"; {len(asked) - listed:,} without training history have none" if listed < len(asked) else ""
    print(f"{out}: lists of up to {top} items for {listed:,} users of {data.name}{files}{without}")
    return 0


def _named(source: Served, items: Sequence[int]) -> str:
    """The items by title, if they have one, and number; with their id, or the number that they have in the files."""
    from mmkd_core.datasets.demo_catalogue import DemoDataset

    data, ids = source.data, source.ids
    titles = [data.title(item) if isinstance(data, DemoDataset) else "item" for item in items]
    if ids is not None:
        others = [f" ({ids.items[item]})" for item in items]
    else:
        own = data.item_ids
        others = [f" ({int(own[item])} in the files)" if own is not None else "" for item in items]
    return ", ".join(f"{title} {item}{other}" for title, item, other in zip(titles, items, others, strict=True))
