"""What the lists of all users show of the catalogue: how much of it, how evenly, and how popular it is.

The terms are the field's. Coverage@K is the share of the catalogue that is in somebody's first K. The Gini index is 0
where all items are recommended equally often and near 1 where one takes all. Average recommendation popularity (ARP) is
the mean, over users, of the mean number of training interactions of what they are shown; the popularity lift is by
which share that is above the same of what they chose themselves (Abdollahpouri et al., 2020).
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int

from mmkd_core.data import Dataset
from mmkd_core.evaluation import Scorer, rank

PARTS = 10  # of the catalogue by popularity


class Lists(NamedTuple):
    """What the first K places of all users with a training history hold, by the terms at the head of this file.

    `shares[i]` is the share of these places that go to the i-th tenth of the catalogue, the most popular first.
    """

    coverage: float
    gini: float
    popularity: float
    lift: float
    shares: Float64[np.ndarray, " part"]


class History(NamedTuple):
    """The same of the training interactions: what the users chose themselves."""

    gini: float
    popularity: float
    shares: Float64[np.ndarray, " part"]


def gini(counts: Int[np.ndarray, " item"]) -> float:
    """The Gini index of counts: their mean absolute difference over twice their mean; 0 where all are 0."""
    ordered, places = np.sort(counts).astype(np.float64), np.arange(1, len(counts) + 1)
    total = ordered.sum()
    return float(((2 * places - len(counts) - 1) * ordered).sum() / (len(counts) * total)) if total else 0.0


def history_of(data: Dataset) -> History:
    """What users chose in training."""
    users, items = data.train.numpy().T
    counts = np.bincount(items, minlength=data.num_items)
    return History(gini(counts), _by_user(users, counts[items]), _shares(counts, counts))


def lists_of(tables: Scorer, data: Dataset, k: int) -> Lists:
    """What is shown in the first `k` places of every user who has a training history."""
    counts = np.bincount(data.train[:, 1].numpy(), minlength=data.num_items)
    users = data.train[:, 0].unique()
    items = rank(tables, users.to(tables.device), data, k).items.cpu()
    there = items >= 0
    owners = users[:, None].expand_as(items)[there].numpy()
    shown = items[there].numpy()
    given = np.bincount(shown, minlength=data.num_items)
    popularity, own = _by_user(owners, counts[shown]), history_of(data).popularity
    coverage = float((given > 0).mean())
    return Lists(coverage, gini(given), popularity, popularity / own - 1, _shares(given, counts))


def _by_user(users: Int[np.ndarray, " edge"], popularity: Int[np.ndarray, " edge"]) -> float:
    """The mean over users of the mean popularity of theirs."""
    sums, numbers = np.bincount(users, popularity), np.bincount(users)
    return float((sums[numbers > 0] / numbers[numbers > 0]).mean())


def _shares(given: Int[np.ndarray, " item"], counts: Int[np.ndarray, " item"]) -> Float64[np.ndarray, " part"]:
    order = np.argsort(-counts, kind="stable")
    parts = np.array([own.sum() for own in np.array_split(given[order], PARTS)], dtype=np.float64)
    return parts / max(parts.sum(), 1)


def spread_users(data: Dataset, number: int) -> list[int]:
    """So many users with a history and a test, spread evenly from those with the shortest to those with the longest."""
    lengths = torch.bincount(data.train[:, 0], minlength=data.num_users)
    tested = data.test[:, 0].unique()
    users = tested[lengths[tested] > 0]
    users = users[lengths[users].argsort(stable=True)]
    places = (torch.arange(min(number, len(users))) + 0.5) * len(users) / max(min(number, len(users)), 1)
    return users[places.long()].tolist()
