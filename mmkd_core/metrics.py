"""Recall@K and NDCG@K of ranked lists, one value per user."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def recall(hits: Bool[Tensor, "user list"], positives: Int[Tensor, " user"], k: int) -> Float[Tensor, " user"]:
    """Share of a user's positives among the first `k` of the list; float64. `positives` counts them, at least one."""
    return hits[:, :k].sum(1).to(torch.float64) / positives


def ndcg(hits: Bool[Tensor, "user list"], positives: Int[Tensor, " user"], k: int) -> Float[Tensor, " user"]:
    """Discounted gain of the first `k` over that of an ideal list with min(k, positives) hits in front; float64.

    The ideal depends on the number of positives, not on the hits found, so NDCG@20 is the same whatever the
    longest list is (in the released code it is not).
    """
    discount = 1 / torch.arange(2, k + 2, dtype=torch.float64, device=hits.device).log2()
    gain = hits[:, :k].to(torch.float64) @ discount[: hits.shape[1]]
    ideal = discount.cumsum(0)[positives.clamp_max(k) - 1]
    return gain / ideal
