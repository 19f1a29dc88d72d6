"""Training triples: one vectorised draw for a whole epoch, on the device where training runs."""

from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from mmkd_core.data import Batch


class Sampler:
    """Draws each training pair once per epoch, in random order, with uniform negatives outside the user's train set.

    A user who has every item in the training set has no negative; such a user's pairs are left out.
    With `pairs`, some of `train`, an epoch visits those alone; negatives stay outside the whole of `train`.
    Raises `ValueError` if nothing is left to draw.
    """

    def __init__(
        self,
        train: Int[Tensor, "edge 2"],
        num_items: int,
        negatives: int = 1,
        pairs: Int[Tensor, "_ 2"] | None = None,
    ) -> None:
        keys = train[:, 0] * num_items + train[:, 1]
        self.keys = keys.sort().values
        degree = torch.bincount(train[:, 0])
        pairs = train if pairs is None else pairs
        self.edges = pairs[degree[pairs[:, 0]] < num_items]
        if len(self.edges) == 0:
            raise ValueError(
                f"{len(pairs)} pairs to visit; expected one at least whose user lacks an item. If there are pairs, "
                "every user has every item in the training set: there is no negative item to draw"
            )
        self.num_items = num_items
        self.negatives = negatives

    def _is_positive(self, users: Tensor, items: Tensor) -> Tensor:
        keys = users * self.num_items + items
        place = torch.searchsorted(self.keys, keys).clamp_max(len(self.keys) - 1)
        return self.keys[place] == keys

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """One pass over the training pairs as batches of at most `batch_size`; `neg` has `negatives` columns."""
        device = self.edges.device
        order = torch.randperm(len(self.edges), generator=generator, device=device)
        users, pos = self.edges[order].unbind(1)
        owners = users.repeat_interleave(self.negatives)
        neg = torch.randint(self.num_items, owners.shape, generator=generator, device=device)
        clash = self._is_positive(owners, neg).nonzero().squeeze(1)
        while len(clash):
            fresh = torch.randint(self.num_items, clash.shape, generator=generator, device=device)
            neg[clash] = fresh
            clash = clash[self._is_positive(owners[clash], fresh)]
        neg = neg.view(-1, self.negatives)
        for start in range(0, len(users), batch_size):
            part = slice(start, start + batch_size)
            yield Batch(users[part], pos[part], neg[part])
