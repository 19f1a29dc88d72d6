"""Speed tables from one run: ours beside the peers that are installed, with how many times ours they take first.

    python -m benchmarks
    python -m benchmarks --at tiktok --parts epoch kernels --out speed.json
    python -m benchmarks --device cuda --minutes 8 --out book/records/speed/cuda.json

CPU seconds of one thread, batch 2,048, d = 64, medians. Peers are optional (`pip install -e .[peers]`); "measured
earlier" marks those of `benchmarks/peers.toml`. With `--minutes` it does what needs a GPU, the most important first,
and ends in time. `--dry` takes tiny data, to see that everything runs. `--out` writes a record, whole, part by part.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu, ours, peers
from benchmarks.table import Row, as_json, cited, lines
from mmkd_core import Dataset, load
from mmkd_core.cost import environment
from mmkd_core.evidence.shapes import random_data, shape_of
from mmkd_core.files import write_json
from mmkd_core.training import choose_device

AT = ("tiktok", "netflix")
DRY = "demo"  # the name of the smallest shape


def data_of(at: str) -> Dataset:
    """The data set of that name, or generated data of that shape."""
    return load("tiktok") if at == "tiktok" else random_data(shape_of(at))


def compare(at: Sequence[str], parts: Sequence[str], repeat: int, out: Path | None) -> list[Row]:
    """Every part at every shape, printed and written as it is done; a record that is there keeps its other parts."""
    rows: list[Row] = []
    there = json.loads(out.read_text(encoding="utf-8")) if out and out.exists() else {"rows": [], "environments": {}}
    for part in parts:
        for name in at:
            data = data_of(name)
            own = [*ours.PARTS[part](data, name, repeat), *peers.beside(part, data, name, repeat), *cited(part, name)]
            print("\n".join(lines(own)), flush=True)
            rows += own
            if out:
                kept = [row for row in there["rows"] if (row["part"], row["at"]) != (part, name)]
                taken = {**there["environments"], f"{part}, {name}": environment(ours.CPU)}
                there = {"rows": sorted(kept + as_json(own), key=_place), "environments": taken}
                write_json(out, there)
    return rows


def _place(row: dict[str, Any]) -> tuple[int, int]:
    return list(ours.PARTS).index(row["part"]), [*AT, DRY].index(row["at"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", nargs="+", choices=[*AT, DRY], default=AT, help="data or shapes")
    parser.add_argument("--parts", nargs="+", choices=list(ours.PARTS), default=list(ours.PARTS))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--minutes", type=float, help="do what needs a GPU, in so much time (cuda: 8)")
    parser.add_argument("--dry", action="store_true", help="tiny data, the numbers mean nothing")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a JSON record too")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    device = choose_device(given.device)
    if given.minutes or device.type == "cuda":
        gpu.run(device, 60 * (given.minutes or 8), given.out, dry=given.dry)
    else:
        compare([DRY] if given.dry else given.at, given.parts, given.repeat, given.out)


if __name__ == "__main__":
    main()
