"""The command `mmkd`: data sets, training runs, recommendations, and the evidence.

What is heavy is imported by the commands that need it, when they run: `mmkd --help` and a usage error come at once.
`mmkd run --help` imports torch, because it lists the settings of all models.
"""

import argparse
import io
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from mmkd_core import __version__
from mmkd_core.commands import (
    data,
    evidence,
    export,
    features,
    fit,
    importing,
    recommend,
    refresh,
    report,
    run,
    serve,
    tune,
)
from mmkd_core.settings import check_cores, whole

EXAMPLES = """\
examples:
  mmkd data list                                   data sets that can be had, and where from
  mmkd import log.csv shop --user who --item what  a log of your own becomes the data set in the folder shop
  mmkd features shop --images pictures --texts captions.csv
                                                   features of its items, of which models learn
  mmkd tune itemknn lightgcn --data shop           choose settings on validation, as many trials for each model
  mmkd run lightgcn --data shop --settings settings.toml
                                                   train with them
  mmkd run lightgcn --data demo                    train on the embedded demo, test once, write a record
  mmkd run mmkd --data tiktok --seed 1             teacher first, then the student that learns from it
  mmkd run mmkd-lists --data tiktok                two teachers, the two as one, then a student of long lists
  mmkd run mmkd --data demo --set list=0.1 --set teacher.layers=3 --set fit.lr=0.002 --set data.noise=0.3
  mmkd recommend RECORD --user 7                   what the trained model would show to user 7
  mmkd recommend RECORD --all --out lists.parquet  the lists of all users, by your ids, as a file
  mmkd report RECORD --out report.html             one page on data and models, for colleagues
  mmkd export RECORD OUT                           a folder that serves without this package and without torch
  mmkd serve OUT                                   that folder behind HTTP, with a page to try it
  mmkd refresh OUT new.csv --user who --item what  new choices, users and items in it, without training
  mmkd fit shop.toml                               all of it, from log to export, as a file says
  mmkd table 4                                     the committed records beside the paper's Table 4
  mmkd table 5 --budget quick --records runs       run what the table needs first, in minutes
  mmkd figure 5 --data tiktok --out curves.png     the paper's Figure 5 from our records
  mmkd claims                                      what the paper claims, and what was found
"""


class _Parser(argparse.ArgumentParser):
    """A wrong argument is one line and exit status 2; `late_epilog` makes the end of the help when it is asked for."""

    late_epilog: Callable[[], str] | None = None

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (`{self.prog} --help` shows how)\n")

    def format_help(self) -> str:
        if self.late_epilog is not None:
            self.epilog = self.late_epilog()
        return super().format_help()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 for anything that the caller can mend."""
    _never_fail_to_print()
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    options.again = shlex.join(["mmkd", *arguments])
    with warnings.catch_warnings():
        warnings.showwarning = _show_note
        return _carried_out(options)


def _carried_out(options: argparse.Namespace) -> int:
    try:
        _set_threads(options.threads, options.needs_torch)
        status = options.action(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `mmkd table 4 | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails again when it flushes at exit
        return 141  # as a shell says of a program that SIGPIPE ended
    except (ValueError, FloatingPointError, OverflowError, OSError) as error:
        return _failed(str(error))
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        return _failed(
            f"not enough memory for this ({str(error) or 'no more is known'}); try smaller sizes or less data"
        )
    except KeyboardInterrupt as stop:
        print(f"mmkd: {str(stop) or 'stopped; nothing half-written is left'}", file=sys.stderr)
        return 130


def _failed(message: str) -> int:
    print(f"mmkd: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _show_note(message: Warning | str, category: type[Warning], *where: object) -> None:
    """A warning as one line: where in the code it was raised is no news to a user, nor what libraries deprecate."""
    if issubclass(category, UserWarning) and not issubclass(category, DeprecationWarning):
        print(f"mmkd: note: {' '.join(str(message).split())}", file=sys.stderr)


def _is_lack_of_memory(error: Exception) -> bool:
    """Whether memory ran out: torch raises a plain RuntimeError where the CPU's does, a kind of its own for a GPU's."""
    said = ("DefaultCPUAllocator", "out of memory", "Storage size calculation overflowed")
    return isinstance(error, MemoryError) or any(text in str(error) for text in said)


def _never_fail_to_print() -> None:
    """UTF-8 into files and pipes, whatever the environment says; on a terminal ? for what it cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's is none, and takes all text
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _set_threads(threads: int, needs_torch: bool) -> None:
    check_cores("threads", threads, 0)
    if threads and needs_torch:
        import torch

        torch.set_num_threads(threads)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="mmkd", description="Multi-modal recommendation, measured.", epilog=EXAMPLES,
                     formatter_class=raw)  # fmt: skip
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--threads", type=whole, default=1, help="CPU threads (default 1; 0: torch's own choice)")
    parser.set_defaults(needs_torch=True)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (data, importing, features, tune, run, recommend, report, export, refresh, serve, fit, evidence):
        module.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
