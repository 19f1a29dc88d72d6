"""`mmkd serve`: an export behind HTTP."""

import argparse
import os
import sys
from typing import Any

from mmkd_core.settings import whole

EXAMPLES = """\
examples:
  mmkd serve OUT                                     then open http://127.0.0.1:8000/ in a browser
  mmkd serve OUT --titles titles.csv --pictures covers
  curl 'http://127.0.0.1:8000/recommend/USER?k=10'
  curl -H 'Content-Type: application/json' -d '{"items": ["B001", "B007"]}' http://127.0.0.1:8000/recommend
  openssl rand -hex 32 >token; mmkd serve OUT --host 0.0.0.0 --token-file token
a version that replaces OUT is served within a second; Ctrl-C or SIGTERM ends it
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    parser = commands.add_parser(
        "serve", allow_abbrev=False, help="an export behind HTTP, with a page to try it",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES,
        description="Answers with lists of items for users, for somebody who is new and chose some, and for items;\n"
        "/openapi.json describes all of it, / is a page to try it. Needs pip install 'mmkd-book[serve]'.",
    )  # fmt: skip
    parser.add_argument("export", metavar="EXPORT", help="the folder that `mmkd export` wrote")
    parser.add_argument("--port", type=whole, default=8000, help="default 8000; 0 takes one that is free")
    parser.add_argument("--host", default="127.0.0.1", help="whom it listens to (default 127.0.0.1: this machine)")
    parser.add_argument("--token-file", metavar="FILE", help="answer those alone who send the token in FILE")
    parser.add_argument("--titles", metavar="FILE", help="a .csv or .tsv with the columns item and title, or just two")
    parser.add_argument("--pictures", metavar="DIR", help="pictures of items, each named by its item's id")
    parser.set_defaults(action=_serve, needs_torch=False)


def _serve(arguments: argparse.Namespace) -> int:
    if arguments.threads and "numpy" not in sys.modules:  # NumPy's products else wait for all cores, each for a little
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(arguments.threads))
    try:
        from mmkd_core.serving.start import serve
    except ImportError as error:
        raise ValueError(f"mmkd serve needs {error.name}; pip install 'mmkd-book[serve]'") from None

    def started(address: str, what: str) -> None:
        print(f"{what}\n{address}", flush=True)

    names = ("host", "port", "token_file", "titles", "pictures")
    serve(arguments.export, **{name: getattr(arguments, name) for name in names}, on_start=started)
    return 0
