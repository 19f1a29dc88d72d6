"""Peak resident memory and seconds of a few training steps and an evaluation, on random data of a given shape.

    python -m benchmarks.memory lattice

The default shape is that of the paper's Electronics: 41,691 users, 21,479 items, features of 4,096 and 1,024 numbers; a
fifth of the interactions is held back. The peak is the process's, imports and data included; one thread.
"""

from __future__ import annotations

import argparse
from itertools import islice

import torch

from mmkd_core import evaluate
from mmkd_core.cost import measured
from mmkd_core.datasets.shapes import SHAPES, Shape, random_data
from mmkd_core.models import build
from mmkd_core.sampling import Sampler
from mmkd_core.training import choose_device, train_epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    usual = SHAPES["electronics"]
    parser.add_argument("--users", type=int, default=usual.users)
    parser.add_argument("--items", type=int, default=usual.items)
    parser.add_argument("--edges", type=int, default=usual.edges)
    parser.add_argument("--widths", type=int, nargs="*", default=usual.widths)
    parser.add_argument("--steps", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = choose_device()
    with measured(device) as data_cost:
        data = random_data(Shape(arguments.users, arguments.items, arguments.edges, tuple(arguments.widths)))
    print(f"data: {len(data.train):,} training pairs; {data_cost}", flush=True)
    with measured(device) as build_cost:
        model = build(arguments.model, data, {}).to(device)
    print(f"building: {build_cost}", flush=True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    sampler = Sampler(data.train.to(device), data.num_items, model.negatives)
    batches = sampler.epoch(2048, torch.Generator(device).manual_seed(0))
    with measured(device) as step_cost:
        model.train()
        model.refresh()
        train_epoch(model, islice(batches, arguments.steps), optimizer)
    print(f"{arguments.steps} steps: {step_cost}", flush=True)
    with measured(device) as evaluation_cost, torch.no_grad():
        evaluate(model.eval().embed(), data, "val", (20,))
    print(f"evaluation: {evaluation_cost}", flush=True)


if __name__ == "__main__":
    main()
