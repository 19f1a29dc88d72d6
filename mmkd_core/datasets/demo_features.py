"""Columns of the demo that say nothing of its items; what its features are is in `extracting/simple.py`."""

import numpy as np
from jaxtyping import Float, Float32

from mmkd_core.datasets.extracting.simple import settled


def nuisance(
    features: Float32[np.ndarray, "item feat"], width: int, rank: int, rng: np.random.Generator
) -> Float[np.ndarray, "item width"]:
    """`width` columns that say nothing about the items: `rank` hidden factors mixed, plus a little noise, float32.

    Low rank as real nuisances are (brightness, loudness, recording): a few directions move many columns at once.
    The columns have the mean variance of `features`, so that they weigh as much as the real ones.
    """
    factors = rng.standard_normal((len(features), rank))
    columns = factors @ rng.standard_normal((rank, width)) + 0.3 * rng.standard_normal((len(features), width))
    spread = np.sqrt(features.astype(float).var(axis=0).mean())
    return settled(columns / columns.std() * spread) if width else np.zeros((len(features), 0), np.float32)
