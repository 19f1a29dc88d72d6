"""`mmkd recommend`: what a trained model would show to one user, and the lists of many as a file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmkd_core.settings import whole

if TYPE_CHECKING:
    from mmkd_core.served import Served


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "recommend", help="a trained model's best items for a user, or for all", formatter_class=raw,
        description="Prints the best items for one user, or writes the lists of many to a Parquet file with the\n"
        "columns user, rank, item, score. What a user had in training is left out. Users and items are called\n"
        "as in the data's ids.parquet, or by number where there is none.",
    )  # fmt: skip
    parser.add_argument(
        "record", metavar="RECORD", help="the file that `mmkd run` wrote, its weights beside it, or an export's folder"
    )
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--user", metavar="ID", help="one user, whose list is printed")
    whom.add_argument("--users", metavar="FILE", help="those whose ids are in FILE, one per line; with --out")
    whom.add_argument("--all", action="store_true", help="all who have a training history; with --out")
    parser.add_argument("--top", type=whole, default=10, metavar="K", help="length of the list (default 10)")
    parser.add_argument("--out", metavar="LISTS.parquet", help="where the lists of many users go")
    parser.add_argument("--allow", metavar="FILE", help="show only items whose ids are in FILE, one per line")
    parser.add_argument("--deny", metavar="FILE", help="show no item whose id is in FILE")
    parser.add_argument("--data", metavar="FOLDER", help="where its data lie now (default: where they lay)")
    parser.set_defaults(action=_recommend)


def _recommend(arguments: argparse.Namespace) -> int:
    if (arguments.user is None) != (arguments.out is not None):
        raise ValueError(
            f"--user {arguments.user} with --out {arguments.out}: one user's list is printed; expected --users or --all"
            if arguments.out else "--out is missing: the lists of many users go to a file; expected --out LISTS.parquet"
        )  # fmt: skip
    from mmkd_core.served import served

    source = served(arguments.record, arguments.data)
    return _print_one(source, arguments) if arguments.out is None else _write_many(source, arguments)


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

    from mmkd_core.lists import left_out_by, users_in, write_lists

    data = source.data
    users = torch.arange(data.num_users) if arguments.all else users_in(arguments.users, source)
    left_out = left_out_by(source, arguments.allow, arguments.deny)
    listed = write_lists(arguments.out, source, users, arguments.top, left_out=left_out)
    without = f"; {len(users) - listed:,} without training history have none" if listed < len(users) else ""
    print(f"{arguments.out}: lists of up to {arguments.top} items for {listed:,} users of {data.name}{without}")
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
