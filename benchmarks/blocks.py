"""Many generated interactions, from a Parquet file to a `Dataset`: CPU seconds and the peak of resident memory.

    python -m benchmarks.blocks --pairs 100_000_000

The file is made in one process and read in another, on one thread each. `--out` writes what was found.
"""

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from benchmarks.generated import write_parquet
from mmkd_core.cost import environment, timed
from mmkd_core.data import DataWarning
from mmkd_core.datasets import load
from mmkd_core.evidence.meters import alone, peak_memory
from mmkd_core.files import write_json

CPU = torch.device("cpu")


def make(path: str, users: int, items: int, pairs: int) -> dict[str, Any]:
    """Writes the file; says how large it is."""
    write_parquet(Path(path), users, items, pairs)
    return {"users": users, "items": items, "pairs": pairs, "file bytes": Path(path).stat().st_size}


def read(folder: str) -> dict[str, Any]:
    """Seconds of reading, sorting and checking, those of the fingerprint, and the peak with what was imported."""
    torch.set_num_threads(1)
    before = peak_memory(CPU)["resident"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # of the few that a draw leaves without interactions
        data, seconds = timed(lambda: load(folder), CPU)
    loaded = peak_memory(CPU)["resident"]
    mark, marking = timed(lambda: data.fingerprint, CPU)
    memory = {"imports": before, "load": loaded, "fingerprint": peak_memory(CPU)["resident"]}
    splits = {split: len(getattr(data, split)) for split in ("train", "val", "test")}
    seconds = {"load": seconds, "fingerprint": marking}
    return {"seconds": seconds, "peak MiB": memory, "splits": splits, "fingerprint": mark}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=500_000)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a JSON record too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "generated.parquet")
        made = alone(make, path, arguments.users, arguments.items, arguments.pairs)
        found = made | alone(read, folder)
    for part in ("seconds", "peak MiB"):
        print(f"{part}: " + ", ".join(f"{name} {value:,}" for name, value in found[part].items()))
    if arguments.out:
        write_json(arguments.out, found | {"environment": environment(CPU)})


if __name__ == "__main__":
    main()
