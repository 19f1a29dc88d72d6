"""Seconds of CPU that an epoch and a full test evaluation take, beside peers measured at the same settings.

    python -m benchmarks.epochs --data tiktok

One thread, batch 2,048, d = 64, default settings; the median of `--repeat` epochs after one that warms up. Peers: MMRec
(enoche/MMRec at e775373) and the released PromptMM code, single runs on one core of a similar machine; they are shown
beside TikTok, the data set that they were measured on.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from mmkd_core import Dataset, evaluate, load
from mmkd_core.models import build
from mmkd_core.sampling import Sampler
from mmkd_core.training import train_epoch

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


def cpu_seconds(call: Callable[[], Any], repeat: int) -> float:
    """Median CPU seconds of `repeat` calls after one that warms up."""
    call()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


def measure(name: str, settings: dict[str, Any], data: Dataset, repeat: int) -> tuple[float, float]:
    """CPU seconds of an epoch and of a test evaluation."""
    torch.manual_seed(0)
    model = build(name, data, settings)
    sampler = Sampler(data.train, data.num_items, model.negatives)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=True)

    def epoch() -> None:
        model.train()
        model.refresh()
        train_epoch(model, sampler.epoch(2048, generator), optimizer)

    seconds = cpu_seconds(epoch, repeat)
    model.eval()
    with torch.no_grad():
        tables = model.embed()
    return seconds, cpu_seconds(lambda: evaluate(tables, data), repeat)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="tiktok")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load(arguments.data)
    users = len(data.test[:, 0].unique())
    print(f"{data.name}: {len(data.train):,} training pairs, {users:,} users evaluated, one thread, CPU seconds")
    beside = data.name == "tiktok"
    print(f"{'':<22}{'epoch':>8}{'evaluation':>12}" + ("   peers, an epoch" if beside else ""))
    for title, (name, settings, peer) in CASES.items():
        seconds, evaluation = measure(name, settings, data, arguments.repeat)
        print(f"{title:<22}{seconds:>8.2f}{evaluation:>12.2f}" + (f"   {peer}" if beside and peer else ""), flush=True)
    if beside:
        print("Evaluation of the same users in MMRec: 1.6-2.3; in the released code: 17-19.")


if __name__ == "__main__":
    main()
