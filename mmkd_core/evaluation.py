"""All-ranking evaluation and top-K lists, in blocks of users, without a user-by-item mask in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmkd_core.data import Dataset
from mmkd_core.graph import ranges
from mmkd_core.metrics import ndcg, recall

BLOCK = 256  # users ranked at once: 256 x 20,000 scores are 20 MB


@runtime_checkable
class Scorer(Protocol):
    """Anything that scores all items for some users: `Embeddings`, or ItemKNN's sparse neighbourhood."""

    @property
    def device(self) -> torch.device: ...

    def scores(self, users: Int[Tensor, " batch"]) -> Float[Tensor, "batch item"]: ...


class Ranking(NamedTuple):
    """The best items of some users, best first; an id of -1 fills a list that has fewer candidates."""

    items: Int[Tensor, "user list"]
    scores: Float[Tensor, "user list"]


def rank(
    scorer: Scorer,
    users: Int[Tensor, " user"],
    seen: Int[Tensor, "edge 2"],
    k: int,
    num_items: int,
) -> Ranking:
    """Top-`k` items for each of `users`, the items of `seen` (rows of (user, item)) left out.

    Raises `ValueError` when `k` is not between 1 and `num_items`.
    """
    if not 1 <= k <= num_items:
        raise ValueError(f"k={k} for a catalogue of {num_items} items; expected 1 to {num_items}")
    seen = seen.to(users.device)
    seen = seen[seen[:, 0].argsort(stable=True)]
    owners = seen[:, 0].contiguous()
    blocks = []
    for block in users.split(BLOCK):
        scores = scorer.scores(block)
        row, position = ranges(torch.searchsorted(owners, block), torch.searchsorted(owners, block, right=True))
        scores[row, seen[position, 1]] = -torch.inf
        blocks.append(scores.topk(k, dim=1))
    values = torch.cat([block.values for block in blocks])
    items = torch.cat([block.indices for block in blocks])
    return Ranking(items.masked_fill(values == -torch.inf, -1), values)


@torch.no_grad()
def evaluate(
    embeddings: Scorer,
    data: Dataset,
    split: str = "test",
    ks: Sequence[int] = (20, 50),
    *,
    mask_validation: bool = False,
) -> dict[str, Float[Tensor, " user"]]:
    """Recall@K and NDCG@K of every user with at least one item in `split`, in ascending user id.

    All items are ranked but the user's training items; with `mask_validation=True` the validation items are left out
    too when `split` is "test" (published protocols differ). Returns {"recall@20": tensor, "ndcg@20": ..., ...},
    float64, one value a user, on the CPU. Raises `ValueError` for an unknown split, an empty one, or a K outside 1
    to the number of items.
    """
    if split not in ("val", "test"):
        raise ValueError(f"unknown split {split!r}; one of ['val', 'test']")
    edges = getattr(data, split)
    if len(edges) == 0:
        raise ValueError(f"{data.name}: no interaction in split {split!r}, so nothing can be measured")
    if not ks:
        raise ValueError("ks is empty; expected cut-offs such as (20, 50)")
    if min(ks) < 1:
        raise ValueError(f"k={min(ks)} for a catalogue of {data.num_items} items; expected 1 to {data.num_items}")
    device = embeddings.device
    edges = edges.to(device)
    users, positives = edges[:, 0].unique(return_counts=True)
    seen = torch.cat([data.train, data.val]) if mask_validation and split == "test" else data.train
    ranking = rank(embeddings, users, seen, max(ks), data.num_items)
    keys = edges[:, 0] * data.num_items + edges[:, 1]  # sorted, as the data set's edges are
    ranked = users[:, None] * data.num_items + ranking.items
    found = torch.searchsorted(keys, ranked).clamp_max(len(keys) - 1)
    hits = (keys[found] == ranked) & (ranking.items >= 0)
    metrics = {}
    for k in ks:
        metrics[f"recall@{k}"] = recall(hits, positives, k).cpu()
        metrics[f"ndcg@{k}"] = ndcg(hits, positives, k).cpu()
    return metrics
