"""Seconds that an epoch and a full test evaluation take, beside peers measured at the same settings.

    python -m benchmarks.epochs --data tiktok
    python -m benchmarks.epochs --data tiktok --device cuda --out book/records/h100/epochs-tiktok.json

CPU seconds of one thread; on a GPU, those that pass. Batch 2,048, d = 64, default settings; the median of `--repeat`
epochs after one that warms up. `--out` writes the figures and where they were taken. Peers: MMRec
(enoche/MMRec at e775373) and the released PromptMM code, single runs on one core of a similar machine; they are shown
beside TikTok, the data set that they were measured on.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mmkd_core import Dataset, evaluate, load
from mmkd_core.cost import environment, timed
from mmkd_core.files import write_json
from mmkd_core.models import build
from mmkd_core.sampling import Sampler
from mmkd_core.training import choose_device, train_epoch

CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "BPR-MF": ("bpr-mf", {}, "MMRec 0.66"),
    "NGCF": ("ngcf", {}, ""),
    "LightGCN, 2 layers": ("lightgcn", {"layers": 2}, "MMRec 2.42"),
    "VBPR": ("vbpr", {}, "MMRec 1.60"),
    "MMGCN": ("mmgcn", {}, "MMRec 27.7"),
    "GRCN": ("grcn", {}, "MMRec 22.5"),
    "LATTICE": ("lattice", {}, "MMRec 109 (two threads)"),
    "CLCRec": ("clcrec", {}, ""),
    "SLMRec": ("slmrec", {}, "MMRec 12.6"),
    "BM3": ("bm3", {}, "MMRec 3.6"),
    "teacher": ("teacher", {}, "released 11 (d = 32, batch 1,024)"),
    "MMKD, prompt frozen": ("mmkd", {"prompt_mode": "frozen"}, "released 7-8 (d = 32)"),
    "MMKD, prompt tuned": ("mmkd", {"prompt_mode": "kd"}, ""),
}


def median_seconds(call: Callable[[], Any], device: torch.device, repeat: int) -> float:
    """Median over `repeat` calls, after one that warms up, of CPU seconds; on a GPU of those that pass."""
    return statistics.median([timed(call, device)[1] for _ in range(repeat + 1)][1:])


def measure(
    name: str, settings: dict[str, Any], data: Dataset, device: torch.device, repeat: int
) -> tuple[float, float]:
    """Seconds of an epoch and of a test evaluation."""
    torch.manual_seed(0)
    model = build(name, data, settings).to(device)
    sampler = Sampler(data.train.to(device), data.num_items, model.negatives)
    generator = torch.Generator(device).manual_seed(0)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=True)

    def epoch() -> None:
        model.train()
        model.refresh()
        train_epoch(model, sampler.epoch(2048, generator), optimizer)

    seconds = median_seconds(epoch, device, repeat)
    model.eval()
    with torch.no_grad():
        tables = model.embed()
    return seconds, median_seconds(lambda: evaluate(tables, data), device, repeat)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="tiktok")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a JSON record too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, device = load(arguments.data), choose_device(arguments.device)
    users = len(data.test[:, 0].unique())
    where = environment(device)
    kind = "one thread, CPU seconds" if device.type == "cpu" else f"{where['device']}, seconds"
    print(f"{data.name}: {len(data.train):,} training pairs, {users:,} users evaluated, {kind}")
    beside = data.name == "tiktok" and device.type == "cpu"
    print(f"{'':<22}{'epoch':>8}{'evaluation':>12}" + ("   peers, an epoch" if beside else ""))
    rows = {}
    for title, (name, settings, peer) in CASES.items():
        seconds, evaluation = measure(name, settings, data, device, arguments.repeat)
        rows[title] = {"epoch": round(seconds, 4), "evaluation": round(evaluation, 4)}
        print(f"{title:<22}{seconds:>8.3f}{evaluation:>12.3f}" + (f"   {peer}" if beside and peer else ""), flush=True)
    if beside:
        print("Evaluation of the same users in MMRec: 1.6-2.3; in the released code: 17-19.")
    if arguments.out:
        write_json(arguments.out, {"data": data.name, "kind": kind, "seconds": rows, "environment": where})


if __name__ == "__main__":
    main()
