"""`mmkd export`: a folder that serves what a record's model learned, without this package."""

import argparse
from typing import Any

from mmkd_core.settings import whole


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "export", help="a folder that serves without this package", formatter_class=raw,
        description="Writes into the new folder OUT what the record's model serves: its two tables and what each user\n"
        "has seen (tables.npz, and the same as tables.safetensors), the caller's ids if the data have any\n"
        "(ids.parquet), and a card with settings, metrics, terms, versions and the sum of each file (card.json).",
    )  # fmt: skip
    parser.add_argument("record", metavar="RECORD", help="the file that `mmkd run` wrote, its weights beside it")
    parser.add_argument("out", metavar="OUT", help="the folder to be made")
    parser.add_argument("--float16", action="store_true", help="tables of half the size")
    parser.add_argument("--onnx", action="store_true", help="recommend.onnx too: a user's row and seen items to a list")
    parser.add_argument("--top", type=whole, metavar="K", help="with --onnx: length of the list (default 20)")
    parser.add_argument(
        "--content", action="store_true", help="rows of items that nobody chose come from their content"
    )
    parser.add_argument("--data", metavar="FOLDER", help="where its data lie now (default: where they lay)")
    parser.add_argument("--force", action="store_true", help="replace an export that is there")
    parser.set_defaults(action=_export)


def _export(arguments: argparse.Namespace) -> int:
    if arguments.top is not None and not arguments.onnx:
        raise ValueError(
            f"--top {arguments.top} without --onnx: only its lists have a length; expected --onnx beside it"
        )
    from mmkd_core.export import export

    onnx = (20 if arguments.top is None else arguments.top) if arguments.onnx else None
    how = {"float16": arguments.float16, "onnx": onnx, "content": arguments.content, "force": arguments.force}
    card = export(arguments.record, arguments.out, dataset=arguments.data, **how)
    (users, dim), (items, _) = (card["arrays"][name]["shape"] for name in ("users", "items"))
    dtype = card["arrays"]["users"]["dtype"]
    print(
        f"{card['experiment']['model']} of {card['data']['name']}: {users:,} users × {items:,} items, {dim}-d, {dtype}"
    )
    print(f"{arguments.out}: {', '.join(card['files'])}, card.json")
    return 0
