"""Training triples: one vectorised draw for a whole epoch, on the device where training runs."""

from collections.abc import Iterator, Sequence
from math import ceil

import torch
from jaxtyping import Int
from torch import Tensor

from mmkd_core.data import Batch, Distinct


class Sampler:
    """Draws each training pair once per epoch, in random order, with uniform negatives outside the user's train set.

    A user who has every item in the training set has no negative; such a user's pairs are left out.
    With `pairs`, some of `train`, an epoch visits those alone; negatives stay outside the whole of `train`.
    `distinct` names the fields of a batch whose distinct ids are drawn with it; `candidates` is how many
    distinct uniform items, shared by its rows, come with a batch (all items, where there are fewer).
    Raises `ValueError` if nothing is left to draw.
    """

    def __init__(
        self,
        train: Int[Tensor, "edge 2"],
        num_items: int,
        negatives: int = 1,
        pairs: Int[Tensor, "_ 2"] | None = None,
        distinct: Sequence[str] = (),
        candidates: int = 0,
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
        self.distinct = distinct
        self.candidates = min(candidates, num_items)
        self.sizes = dict.fromkeys(distinct, 0)  # of the largest batch so far: they seldom change after one epoch

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
        neg = neg.view(len(users), self.negatives)
        whole = Batch(users, pos, neg)
        drawn = {field: self._distinct(field, getattr(whole, field), batch_size) for field in self.distinct}
        for batch, start in enumerate(range(0, len(users), batch_size)):
            part = slice(start, start + batch_size)
            found = {
                field: Distinct(ids[batch], place[part], real[batch]) for field, (ids, place, real) in drawn.items()
            }
            yield Batch(users[part], pos[part], neg[part], found, self._candidates(generator))

    def _candidates(self, generator: torch.Generator) -> Tensor | None:
        """Distinct uniform items for one batch; None where no model asks for them, and then nothing is drawn."""
        if not self.candidates:
            return None
        shuffled = torch.randperm(self.num_items, generator=generator, device=self.edges.device)
        return shuffled[: self.candidates].clone()  # not a view, which would keep the whole catalogue

    def _distinct(self, field: str, ids: Tensor, batch_size: int) -> Distinct:
        """The distinct ids of each batch of an epoch, a row per batch, all found by one sort."""
        batches = ceil(len(ids) / batch_size)
        batch = torch.arange(len(ids), device=ids.device) // batch_size
        size = max(self.num_items, int(self.edges[:, 0].max()) + 1)
        keys, place = ((batch.view(-1, *[1] * (ids.dim() - 1)) * size) + ids).unique(return_inverse=True)
        owner = keys // size
        start = torch.searchsorted(owner, torch.arange(batches + 1, device=ids.device))
        rounded = 64 * ceil(int(start.diff().max()) / 64)
        self.sizes[field] = max(self.sizes[field], rounded)
        shape = (batches, self.sizes[field])
        padded, real = ids.new_zeros(shape), torch.zeros(shape, dtype=torch.bool, device=ids.device)
        where = (owner, torch.arange(len(keys), device=ids.device) - start[owner])
        padded[where], real[where] = keys % size, True
        return Distinct(padded, where[1][place], real)
