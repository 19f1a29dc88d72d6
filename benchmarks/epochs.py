"""Seconds that an epoch and a full test evaluation take, beside peers measured at the same settings.

    python -m benchmarks.epochs --data tiktok
    python -m benchmarks.epochs --data tiktok --device cuda --out book/records/h100/epochs-tiktok.json

CPU seconds of one thread; on a GPU, those that pass. Batch 2,048, d = 64, default settings; the median of `--repeat`
epochs after one that warms up. `--out` writes the figures and where they were taken. The peers' are in `peers.toml`;
they are shown beside TikTok, the data set that they were measured on.
"""

import argparse
import statistics
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mmkd_core import MODELS, Dataset, evaluate, load
from mmkd_core.cost import environment, timed
from mmkd_core.files import write_json
from mmkd_core.models import build
from mmkd_core.training import FitConfig, Trainer, choose_device

PEERS = tomllib.loads((Path(__file__).parent / "peers.toml").read_text())
PROMPTS = {"prompt frozen": {"prompt_mode": "frozen"}, "prompt tuned": {"prompt_mode": "kd"}}


class Row(NamedTuple):
    """A line of the table: a model with settings, and what a peer takes."""

    title: str
    model: str
    settings: Mapping[str, Any] = {}
    peer: str = ""


def rows() -> list[Row]:
    """Every model that is trained, MMKD with its prompt frozen and tuned."""
    trained = {name: kind.title for name, kind in MODELS.items() if not kind.deterministic}
    lines = [Row(title, name) for name, title in trained.items() if name != "mmkd"]
    lines += [Row(f"{trained['mmkd']}, {prompt}", "mmkd", settings) for prompt, settings in PROMPTS.items()]
    return [row._replace(**PEERS.get(row.title, {})) for row in lines]


def median_seconds(call: Callable[[], Any], device: torch.device, repeat: int) -> float:
    """Median over `repeat` calls, after one that warms up, of CPU seconds; on a GPU of those that pass."""
    return statistics.median([timed(call, device)[1] for _ in range(repeat + 1)][1:])


def measure(
    name: str, settings: Mapping[str, Any], data: Dataset, device: torch.device, repeat: int
) -> tuple[float, float]:
    """Seconds of an epoch and of a test evaluation."""
    torch.manual_seed(0)
    model = build(name, data, settings).to(device)
    seconds = median_seconds(Trainer(model, data, FitConfig()).epoch, device, repeat)
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
    timings = {}
    for title, name, settings, peer in rows():
        seconds, evaluation = measure(name, settings, data, device, arguments.repeat)
        timings[title] = {"epoch": round(seconds, 4), "evaluation": round(evaluation, 4)}
        print(f"{title:<22}{seconds:>8.3f}{evaluation:>12.3f}" + (f"   {peer}" if beside and peer else ""), flush=True)
    if beside:
        print("Evaluation of the same users in MMRec: 1.6-2.3; in the released code: 17-19.")
    if arguments.out:
        write_json(arguments.out, {"data": data.name, "kind": kind, "seconds": timings, "environment": where})


if __name__ == "__main__":
    main()
