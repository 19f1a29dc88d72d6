"""`mmkd report`: one HTML page on a data set and what was trained on it."""

import argparse
import sys
from typing import Any

EXAMPLES = """\
examples:
  mmkd report runs/shop/lightgcn/s0-*.json runs/shop/mmkd/s0-*.json --out report.html
  mmkd report runs --data shop --titles titles.csv --pictures photos --permuted --out report.html
      all records in runs of the data in shop; items by title and picture; what content adds, trained if need be
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    parser = commands.add_parser(
        "report", help="one page on data and models, for colleagues",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES,
        description="Writes one HTML page that needs no other file: Recall and NDCG with 95 % intervals beside\n"
        "Popularity and ItemKNN, coverage and popularity of the lists, what content adds, the recommendations\n"
        "of ten users, training curves, and the data.",
    )  # fmt: skip
    parser.add_argument(
        "records", metavar="RECORD", nargs="+",
        help="a file that `mmkd run` wrote, its weights beside it; or a folder of such files",
    )  # fmt: skip
    parser.add_argument("--out", required=True, metavar="PAGE.html", help="the page to write")
    parser.add_argument("--data", metavar="FOLDER", help="where the data lie now (default: where they lay)")
    parser.add_argument("--titles", metavar="FILE", help="a .csv or .tsv with the columns item and title, or just two")
    parser.add_argument("--pictures", metavar="DIR", help="pictures of items, called <id>.jpg or the like")
    parser.add_argument(
        "--permuted", action="store_true", help="train the best model that reads content on permuted content, too"
    )
    parser.set_defaults(action=_report)


def _report(arguments: argparse.Namespace) -> int:
    from mmkd_core.evidence.report import write_report
    from mmkd_core.progress import Bars

    with Bars() as show:
        notes = write_report(
            arguments.records, arguments.out, dataset=arguments.data, titles=arguments.titles,
            pictures=arguments.pictures, permuted=arguments.permuted, on_epoch=show,
        )  # fmt: skip
    for note in notes:
        print(f"mmkd: note: {note}", file=sys.stderr)
    print(f"{arguments.out}: written")
    return 0
