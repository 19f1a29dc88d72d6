"""Interactions of any number whose popularity falls by a power law, and files of them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from mmkd_core.data import SPLITS, Dataset

USERS, ITEMS = 0.4, 0.6  # the r-th most active user, the r-th most popular item comes in proportion to r ** -exponent
SHARES = (0.8, 0.1, 0.1)
BLOCK = 2**20


def power_law(users: int, items: int, edges: int, seed: int = 0) -> Int64[np.ndarray, " edge"]:
    """`edges` distinct pairs, each as user * items + item, in random order; ids are in no order of popularity.

    Raises `ValueError` where more than a tenth of all pairs is asked for: the popular ones would be used up.
    """
    if edges > users * items / 10:
        raise ValueError(f"got {edges:,} pairs of {users:,} users and {items:,} items; expected a tenth of all at most")
    rng = np.random.default_rng(seed)
    names = rng.permutation(users), rng.permutation(items)
    keys = np.empty(0, dtype=np.int64)
    while len(keys) < edges:
        drawn = _drawn(rng, edges - len(keys) + edges // 50, names)
        drawn = np.concatenate([keys, drawn])
        drawn.sort()
        keys = drawn[np.concatenate([[True], drawn[1:] != drawn[:-1]])]
    rng.shuffle(keys)
    return keys[:edges]


def _drawn(rng: np.random.Generator, count: int, names: tuple[np.ndarray, np.ndarray]) -> Int64[np.ndarray, " edge"]:
    keys = np.empty(count, dtype=np.int64)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        user, item = (
            own[(len(own) * rng.random(size) ** (1 / (1 - exponent))).astype(np.int64)]
            for own, exponent in zip(names, (USERS, ITEMS), strict=True)
        )
        keys[start : start + size] = user * len(names[1]) + item
    return keys


def generated_data(users: int, items: int, edges: int, widths: Mapping[str, int], seed: int = 0) -> Dataset:
    """Such pairs, four fifths of them for training, with normal features of these widths."""
    keys = power_law(users, items, edges, seed)
    pairs = torch.from_numpy(np.stack([keys // items, keys % items], 1))
    held = edges // 10
    parts = pairs.split([edges - 2 * held, held, held])
    generator = torch.Generator().manual_seed(seed)
    features = {name: torch.randn(items, width, generator=generator) for name, width in widths.items()}
    return Dataset("generated", users, items, *parts, features)


def write_parquet(path: Path, users: int, items: int, edges: int, seed: int = 0) -> None:
    """Such pairs in Parquet, a block at a time: userID, itemID and x_label, which is drawn."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    keys = power_law(users, items, edges, seed)
    rng = np.random.default_rng(seed)
    schema = pa.schema({"userID": pa.int32(), "itemID": pa.int32(), "x_label": pa.int8()})
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, edges, BLOCK):
            own = keys[start : start + BLOCK]
            labels = rng.choice(len(SPLITS), len(own), p=SHARES).astype(np.int8)
            columns = ((own // items).astype(np.int32), (own % items).astype(np.int32), labels)
            writer.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))
