"""Every model that is trained, by the title that it has in tables of speed, and what its epoch takes."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from math import ceil
from typing import Any, NamedTuple

import torch

from mmkd_core import MODELS, Dataset
from mmkd_core.cost import timed
from mmkd_core.data import Batch
from mmkd_core.models import build
from mmkd_core.models.base import Recommender
from mmkd_core.training import FitConfig, Trainer, train_epoch

TITLES = {"lightgcn": "LightGCN, 2 layers", "teacher": "teacher"}
PROMPTS = {"prompt frozen": {"prompt_mode": "frozen"}, "prompt tuned": {"prompt_mode": "kd"}}


class Line(NamedTuple):
    """A line of a table: a model with settings."""

    title: str
    model: str
    settings: Mapping[str, Any] = {}

    def build(self, data: Dataset, **settings: Any) -> Recommender:
        """The model, untrained, from the same seed each time."""
        torch.manual_seed(0)
        return build(self.model, data, {**self.settings, **settings})


def rows() -> list[Line]:
    """Every model that is trained, MMKD with its prompt frozen and tuned."""
    trained = {name: TITLES.get(name, kind.title) for name, kind in MODELS.items() if kind.trained}
    lines = [Line(title, name) for name, title in trained.items() if name != "mmkd"]
    return lines + [Line(f"{trained['mmkd']}, {prompt}", "mmkd", settings) for prompt, settings in PROMPTS.items()]


def median_seconds(call: Callable[[], Any], device: torch.device, repeat: int) -> float:
    """Median over `repeat` calls, after one that warms up, of CPU seconds; on a GPU of those that pass."""
    return statistics.median([timed(call, device)[1] for _ in range(repeat + 1)][1:])


def epoch_seconds(model: Recommender, data: Dataset, device: torch.device, repeat: int, most: int = 10) -> float:
    """Seconds of an epoch, batch 2,048: its first step, with all that is done once per epoch, and `most` others.

    What has more steps than that is scaled. The median of `repeat` times, after one that warms up.
    """
    trainer = Trainer(model.to(device), data, FitConfig())
    steps = ceil(len(trainer.sampler.edges) / trainer.batch_size)
    others = min(most, steps - 1)

    def begin() -> Iterator[Batch]:
        batches = trainer.batches()
        train_epoch(trainer.stepper, islice(batches, 1))
        return batches

    def once() -> float:
        batches, first = timed(begin, device)
        if not others:
            return first
        _, rest = timed(lambda: train_epoch(trainer.stepper, islice(batches, others)), device)
        return first + rest * (steps - 1) / others

    return statistics.median([once() for _ in range(repeat + 1)][1:])
