"""The command `mmkd`: data sets, training runs, recommendations, and the evidence."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import torch

from mmkd_core import __version__
from mmkd_core.commands import data, evidence, training

EXAMPLES = """\
examples:
  mmkd data list                                   data sets that can be had, and where from
  mmkd run lightgcn --data demo                    train on the embedded demo, test once, write a record
  mmkd run mmkd --data tiktok --seed 1             teacher first, then the student that learns from it
  mmkd run mmkd --data demo --set list=0.1 --set teacher.layers=3 --set fit.lr=0.002 --set data.noise=0.3
  mmkd recommend runs/RECORD.json --user 7         what the trained model would show to user 7
  mmkd table 4                                     the committed records beside the paper's Table 4
  mmkd table 5 --budget quick --records runs       run what the table needs first, in minutes
  mmkd figure 5 --data tiktok --out curves.png     the paper's Figure 5 from our records
  mmkd claims                                      what the paper claims, and what was found
"""


class _Parser(argparse.ArgumentParser):
    """A wrong argument is one line and exit status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (`{self.prog} --help` shows how)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 for anything that the caller can mend."""
    options = _parser().parse_args(arguments)
    try:
        if options.threads < 0:
            raise ValueError(f"--threads {options.threads}; expected 0 or more")
        if options.threads:
            torch.set_num_threads(options.threads)
        status = options.action(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `mmkd table 4 | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails again when it flushes at exit
        return 141  # as a shell says of a program that SIGPIPE ended
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"mmkd: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mmkd: stopped; nothing half-written is left", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="mmkd", description="Multi-modal recommendation, measured.", epilog=EXAMPLES,
                     formatter_class=raw)  # fmt: skip
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1; 0: torch's own choice)")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (data, training, evidence):
        module.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
