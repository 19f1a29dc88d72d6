"""A run to be killed. Who preloads this has imported everything and trained once, so that a kill falls into the run."""

import torch

from mmkd_core import MODELS, Dataset, FitConfig, fit
from mmkd_core.__main__ import main

EPOCHS, EVERY = 8, 2
SETTINGS = {"fit.epochs": EPOCHS, "fit.evaluate_every": EVERY, "fit.batch_size": 128, "fit.lr": 0.01, "dim": 8}
QUICK = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
TAUGHT = [part for name, value in SETTINGS.items() for part in ("--set", f"teacher.{name}={value}")]


def work(folder, store):
    """`mmkd run mmkd`: teacher, then student."""
    torch.set_num_threads(1)
    assert main(["run", "mmkd", "--data", str(folder), "--store", str(store), *QUICK, *TAUGHT]) == 0


def _warm() -> None:
    torch.set_num_threads(1)
    pairs = torch.cartesian_prod(torch.arange(3), torch.arange(6))
    data = Dataset("warm", 3, 6, pairs[::3], pairs[1::3], pairs[2::3], {"image": torch.eye(6)})
    fit(MODELS["mmkd"](data), data, FitConfig(epochs=1))


_warm()
