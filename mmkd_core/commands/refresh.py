"""`mmkd refresh`: new choices, users and items in an export, without training."""

import argparse
from typing import Any

EXAMPLES = """\
examples:
  mmkd refresh OUT today.csv --user customer --item product
      folds in what today.csv has, by the export's ids; users and items that it does not know get rows
  mmkd refresh OUT today.csv --user customer --item product --rating stars --min-rating 4
      ratings of 4 and 5 are choices
  mmkd refresh OUT --roll-back
      what served before the last refresh serves again
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    parser = commands.add_parser(
        "refresh", help="fold new choices into an export", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Reads LOG, a table as `mmkd import` reads it, and folds its choices, users and items into\n"
        "EXPORT, a folder that `mmkd export` wrote: no teacher, no features, seconds. The result\n"
        "is a new version in that folder, which then serves; the version before is kept.",
        epilog=EXAMPLES,
    )  # fmt: skip
    parser.add_argument("export", metavar="EXPORT", help="the folder that `mmkd export` wrote")
    parser.add_argument("log", metavar="LOG", nargs="?", help="the table of new choices, a row for each")
    parser.add_argument("--user", metavar="COLUMN", help="who")
    parser.add_argument("--item", metavar="COLUMN", help="what")
    parser.add_argument("--rating", metavar="COLUMN", help="a number that says whether it is a choice; --min-rating")
    parser.add_argument("--min-rating", metavar="NUMBER", help="ratings from this on are choices")
    parser.add_argument("--columns", metavar="NAMES", help="of a log without a header: all in order, user,item,time")
    parser.add_argument("--separator", metavar="TEXT", help="between the fields of a text: tab, one character, or ::")
    parser.add_argument("--roll-back", action="store_true", help="let the version before serve again")
    parser.set_defaults(action=_refresh, needs_torch=False)


def _refresh(arguments: argparse.Namespace) -> int:
    names = ("log", "user", "item", "rating", "min_rating", "columns", "separator")
    named = {name: getattr(arguments, name) for name in names}
    given = [name for name, value in named.items() if value is not None]
    if arguments.roll_back:
        if given:
            raise ValueError(f"--roll-back with {', '.join(given)}: nothing is read then; expected --roll-back alone")
        return _roll_back(arguments.export)
    if lacking := [name for name in ("log", "user", "item") if name not in given]:
        shown = ["LOG" if name == "log" else f"--{name}" for name in lacking]
        raise ValueError(f"got no {', '.join(shown)}; expected LOG --user COLUMN --item COLUMN, or --roll-back")
    from mmkd_core.progress import bar
    from mmkd_core.refresh import refresh
    from mmkd_core.settings import of_function, read

    known = of_function(refresh, ranged=False)
    options: dict[str, Any] = {name: read(named[name], known.get(name)) for name in given}
    with bar("rows", unit_scale=True) as rows:
        told = refresh(arguments.export, **options, on_rows=rows.update)
    print(_account(told, arguments.export))
    return 0


def _account(told: dict[str, Any], export: str) -> str:
    """What was read and what is new, as lines."""
    lines, counts = [f"{told['log']['file']}: {told['rows']:,} rows"], told["choices"]
    for fault, rows in told["left_out"].items():
        more = ", ..." if rows["rows"] > len(rows["first"]) else ""
        lines.append(f"left out: {rows['rows']:,} with {fault} ({', '.join(rows['first'])}{more})")
    known = f"{counts['known']:,} were known, {counts['repeated']:,} rows stood twice"
    new = f"{counts['new']:,} new choices, {told['users']:,} new users, {told['items']:,} new items"
    lines.append(f"{new}; {known}")
    if told["version"] == told["of"]:
        return "\n".join([*lines, f"{export}: nothing is new, so {_named(told['of'])} goes on"])
    return "\n".join(
        [*lines, f"{export}: version {told['version']} serves; --roll-back returns to {_named(told['of'])}"]
    )


def _named(version: int) -> str:
    return f"version {version}" if version else "what was trained"


def _roll_back(export: str) -> int:
    from mmkd_core.versions import roll_back

    print(f"{export}: {_named(roll_back(export))} serves again")
    return 0
