"""Rows of items that nobody has chosen yet, from their content: a ridge regression on those of the others.

    e_i = mean + (z_i - mean of z) W
    W = argmin over W of the sum over chosen i of a_i |e_i - mean - (z_i - mean of z) W|^2 + l2 tr(Z^T A Z) / p |W|^2

z_i are the features of all modalities side by side, each standardised over the items that have it (zeros where an item
lacks it, and then a column that says so) and divided by the root of its width, so that a modality counts as one. a_i
is log(1 + n_i), n_i being how many chose item i, since what many tell of it is known better; the means are weighted
alike. NumPy alone is needed.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from mmkd_core.fold_in import ridge


def rows_by_content(
    items: Float[np.ndarray, "item dim"],
    counts: Int[np.ndarray, " item"],
    features: Mapping[str, Float[np.ndarray, "item _"]],
    *,
    l2: float = 0.3,
) -> Float32[np.ndarray, "item dim"]:
    """The table `items` with the rows that content gives in place of those of items with a count of 0.

    An item without any content keeps its row: so does every item where there are no features. A row of zeros is how a
    missing modality is written. Raises `ValueError` where nobody has chosen anything.
    """
    chosen, rows = counts > 0, items.astype(np.float32)
    if not chosen.any():
        raise ValueError("no item was chosen by anybody, so how rows follow from content cannot be learned")
    known = np.zeros(len(items), bool)
    for x in features.values():
        known |= x.any(axis=1)
    cold = known & ~chosen
    if not cold.any():
        return rows
    z = np.concatenate([_standardised(x, chosen) for _, x in sorted(features.items())], axis=1)
    weights = np.log1p(counts[chosen])[:, None]
    mean, middle = ((weights * x[chosen]).sum(axis=0) / weights.sum() for x in (items.astype(np.float64), z))
    own = z[chosen] - middle
    learned = ridge((weights * own).T @ own, (weights * own).T @ (items[chosen] - mean), l2)
    rows[cold] = mean + (z[cold] - middle) @ learned
    return rows


def _standardised(x: Float[np.ndarray, "item feat"], chosen: Bool[np.ndarray, " item"]) -> np.ndarray:
    """One modality in float64, by the mean and the deviation of the chosen items that have it."""
    x = x.astype(np.float64)
    has = np.count_nonzero(x, axis=1) > 0
    there = has & chosen
    if not there.any():
        return np.zeros((len(x), 0))
    spread = x[there].std(axis=0)
    wide = np.maximum(spread, 1e-6 * np.abs(x[there]).max())
    z = np.where(has[:, None], (x - x[there].mean(axis=0)) / np.where(wide > 0, wide, 1), 0) / np.sqrt(x.shape[1])
    return z if has.all() else np.concatenate([z, has[:, None]], axis=1)
