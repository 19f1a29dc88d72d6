"""Does content say anything about taste? What is asked of features before anything is trained on them."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from mmkd_core.data import Dataset
from mmkd_core.layers import standardise, unit_features
from mmkd_core.settings import quoted

BLOCK = 256  # rows of which the nearest are found at once
NORMAL = 1.96  # standard errors on either side of a 95 % interval


class Lift(NamedTuple):
    """How many times as much an item shares its users with those nearest by content as with any; see `lift`."""

    value: float
    low: float
    high: float
    items: int

    def __str__(self) -> str:
        """The number and its 95 % interval."""
        if np.isnan(self.value):
            return "unknown, since no two items share a user"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@torch.no_grad()
def nearest(x: Float[Tensor, "item feat"], rows: Int[Tensor, " row"], neighbours: int) -> Int[Tensor, "row list"]:
    """The other items that are most like each of `rows` by the cosine of standardised features, the most like first.

    Fewer than `neighbours` where there are fewer others. Items without features, rows of zeros, come last.
    """
    present = (x != 0).any(dim=1)
    x = unit_features(standardise(x))
    found = []
    for some in rows.split(BLOCK):
        alike = x[some] @ x.T
        alike[:, ~present] = -2.0
        alike[torch.arange(len(some)), some] = -3.0
        found.append(alike.topk(min(neighbours, len(x) - 1)).indices)
    return torch.cat(found) if found else rows.new_zeros(0, 0)


def lift(data: Dataset, neighbours: int = 10, *, most: int = 5000, seed: int = 0) -> dict[str, Lift]:
    """Whether items that are alike by content are chosen by the same people: a number for each modality, 1 for no.

    The users whom two items share are measured by the cosine of their columns of training choices: users of both over
    the root of the product of the users of each, 0 for none and 1 for the same. The lift is the mean of that over items
    and their `neighbours` nearest others by content (cosines of standardised features), divided by its mean over the
    same items and all others. Only items count that have training choices and features; of more than `most` so many are
    drawn with `seed`, and their nearest are found among all. Validation and test are not looked at.

    The interval is a 95 % one for other items of the same kind, with the standard error of a ratio in which each item
    stands in many pairs (Aronow, Samii and Assenova 2015, eq. 4); users are taken as given. A modality with fewer than
    three such items is left out. Raises `ValueError` unless `neighbours` and `most` are at least 1.
    """
    if min(neighbours, most) < 1:
        raise ValueError(f"got neighbours={quoted(neighbours)} and most={quoted(most)}; expected at least 1 of each")
    users, items = data.train.numpy().T
    degree = np.bincount(items, minlength=data.num_items)
    shares = csr_array((1 / np.sqrt(degree[items]), (items, users)), shape=(data.num_items, data.num_users))
    found = {}
    for modality, x in sorted(data.features.items()):
        own = np.flatnonzero((x != 0).any(dim=1).numpy() & (degree > 0))
        if len(own) > 2:
            chosen = own if len(own) <= most else np.sort(np.random.default_rng(seed).choice(own, most, replace=False))
            found[modality] = _lift(shares[own], x[torch.from_numpy(own)], np.searchsorted(own, chosen), neighbours)
    return found


def _lift(shares: csr_array, x: Tensor, chosen: np.ndarray, neighbours: int) -> Lift:
    near = nearest(x, torch.from_numpy(chosen), neighbours).numpy()
    first, second = np.repeat(chosen, near.shape[1]), near.reshape(-1)
    shared = np.concatenate([
        shares[one].multiply(shares[other]).sum(axis=1)
        for one, other in zip(np.array_split(first, len(first) // 100_000 + 1),
                              np.array_split(second, len(second) // 100_000 + 1), strict=True)
    ])  # fmt: skip
    # Of all pairs the mean is known without making them: the sum of an item's products is one with the sum of rows.
    chance = (shares[chosen] @ shares.sum(axis=0) - 1) / (len(x) - 1)
    if not chance.mean() > 0:
        return Lift(np.nan, np.nan, np.nan, len(chosen))
    value = shared.mean() / chance.mean()
    off = shared - value * np.repeat(chance, near.shape[1])
    of_item = np.bincount(first, off, len(x)) + np.bincount(second, off, len(x))
    error = np.sqrt(max((of_item**2).sum() - (off**2).sum(), 0)) / len(off) / chance.mean()
    return Lift(float(value), float(value - NORMAL * error), float(value + NORMAL * error), len(chosen))
