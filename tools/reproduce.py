"""Runs records again and says whether they come out the same.

    python tools/reproduce.py --count 5          # picked at random
    python tools/reproduce.py book/records/demo/lightgcn/s0-*.json

A record's teachers are trained anew as well. Where processor, device, threads and torch are those that the record
names, everything must be equal to the bit: metrics, validation, the losses of every epoch, the places of all hits.
Elsewhere sums are taken in another order, and a test metric may differ by `TOLERANCE`. Ends with status 1 where a
record does not come out again.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mmkd_core.experiment import Record
from mmkd_core.runs import run

RECORDS = Path(__file__).parents[1] / "book" / "records"
SAME = ("processor", "device", "threads", "torch")  # of an environment: what decides the order of sums
TOLERANCE = 0.01


def verdict(path: Path, store: Path) -> tuple[bool, str]:
    """Whether a record comes out again, and how, in words; trained anew in `store`."""
    before = Record.read(path)
    after = run(before.experiment, store)
    hits = [file.with_suffix(".npz") for file in (path, after.file(store))]
    same_hits = not hits[0].exists() or hits[0].read_bytes() == hits[1].read_bytes()
    parts = {name: getattr(before, name) == getattr(after, name) for name in ("metrics", "validation", "history")}
    unequal = [name for name, same in (parts | {"hits": same_hits}).items() if not same]
    if after.key != before.key:
        return False, f"other data: key {after.key}"
    if not unequal:
        return True, "equal to the bit"
    elsewhere = [name for name in SAME if before.environment.get(name) != after.environment.get(name)]
    far = max(abs(before.metrics[name] - after.metrics[name]) for name in before.metrics)
    difference = f"{', '.join(unequal)} differ, test metrics by up to {far:.4f}"
    if elsewhere:
        return far <= TOLERANCE, f"{difference}; made with another {', '.join(elsewhere)}"
    return False, f"{difference}; record of commit {before.environment['commit']}, now {after.environment['commit']}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", nargs="*", type=Path, help="files of records; none: picked at random")
    parser.add_argument("--count", type=int, default=5, help="how many to pick (default: 5)")
    parser.add_argument("--under", type=Path, default=RECORDS, help="folder to pick from (default: book/records)")
    parser.add_argument("--seed", type=int, help="of the choice (default: another one each time)")
    options = parser.parse_args(arguments)
    found = sorted(options.under.rglob("s[0-9]*-*.json"))
    picked = options.records or random.Random(options.seed).sample(found, min(options.count, len(found)))
    if not picked:
        print(f"{options.under}: no record; expected files s<seed>-<key>.json", file=sys.stderr)
        return 1
    failed = 0
    for path in picked:
        with tempfile.TemporaryDirectory() as store:
            good, words = verdict(path, Path(store))
        failed += not good
        print(f"{'ok' if good else 'DIFFERS'}: {path}: {words}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
