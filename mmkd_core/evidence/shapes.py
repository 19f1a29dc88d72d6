"""Data of a given shape and no meaning, for what depends on sizes alone: operations, seconds, memory, counts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmkd_core.data import Dataset


@dataclass(frozen=True)
class Shape:
    """Sizes of a data set: all its interactions are `edges`, and `widths` are those of the modalities' features."""

    users: int
    items: int
    edges: int
    widths: tuple[int, ...]


# The paper's Table 3, and a shape on which everything takes seconds.
SHAPES = {
    "netflix": Shape(43_739, 17_239, 609_341, (512, 768)),
    "electronics": Shape(41_691, 21_479, 359_165, (4096, 1024)),
    "demo": Shape(128, 96, 512, (32, 32)),
}


def shape_of(name: str) -> Shape:
    """The shape of that name; raises `ValueError` for an unknown one."""
    if name not in SHAPES:
        raise ValueError(f"unknown shape {name!r}; one of {list(SHAPES)}")
    return SHAPES[name]


def random_data(shape: Shape, *, held_back: float = 0.2) -> Dataset:
    """Exactly `shape.edges` distinct uniform pairs and normal features in float32; always the same.

    A share of the pairs is `held_back`, half for validation and half for test. Raises `ValueError` when there are not
    as many pairs of a user and an item.
    """
    generator = torch.Generator().manual_seed(0)
    pairs = _distinct(shape.edges, shape.users * shape.items, generator)
    pairs = torch.stack([pairs // shape.items, pairs % shape.items], 1)
    held = round(held_back * shape.edges)
    train, val, test = pairs.split([shape.edges - held, held // 2, held - held // 2])
    features = {
        f"modality {index}": torch.randn(shape.items, width, generator=generator)
        for index, width in enumerate(shape.widths)
    }
    return Dataset("random", shape.users, shape.items, train, val, test, features)


def _distinct(count: int, cells: int, generator: torch.Generator) -> Tensor:
    """`count` distinct numbers below `cells`, in random order; never more memory than a few times `count`."""
    if count > cells:
        raise ValueError(f"{count} interactions for {cells} pairs of a user and an item; expected no more than pairs")
    drawn = torch.empty(0, dtype=torch.int64)
    while len(drawn) < count:
        drawn = torch.cat([drawn, torch.randint(cells, (2 * count,), generator=generator)]).unique()
    return drawn[torch.randperm(len(drawn), generator=generator)[:count]]
