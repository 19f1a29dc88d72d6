"""CLCRec: Wei et al., Contrastive Learning for Cold-Start Recommendation, ACM MM 2021.

    g(i) = W_2 LeakyReLU(W_1 [x_i^1 | ... | x_i^M] + b_1) + b_2
    InfoNCE(s_+, s_1, ..., s_N) = -log exp(s_+ / t) / (exp(s_+ / t) + sum over n of exp(s_n / t))
    R-E = mean over the pairs (u, i) of InfoNCE of cos(e_i, g(j)),    j = i and the negatives
    U-I = mean over the pairs (u, i) of InfoNCE of e_u . z_j,         z_j = g(j) for the share `replaced` of j, else e_j
    L = contrast R-E + (1 - contrast) U-I + l2 term
    s(u, i) = e_u . e_i, or e_u . g(i) when i has no training interaction

x_i^m has length 1 (zeros where an item lacks the modality).

Differs from the paper: 1. The negatives are shared: all pairs of a batch have the batch's distinct negatives, in U-I
without those that the pair's user has in train, in R-E without the item itself. So an item is replaced, or not, for all
pairs of a batch at once. 2. L2 of the batch's rows alone, not of the encoder.
Differs from the public code: 1. Exactly the stated share is replaced; it draws with replacement, so 39 % at 0.5. 2. Its
negatives leave out what users have in validation and test. 3. It penalises norms, not their squares, and those of all
rows of a batch; here only the first negative's count. 4. It declares five more layers that nothing uses. 5. Items
without a training interaction are among the negatives here; there they are never drawn.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.layers import Features, linear, unit_features, unit_rows
from mmkd_core.models.base import IdModel, infonce, row_l2, rows_of
from mmkd_core.sparse import Graph, ranges


class CLCRec(IdModel):
    title, citation = "CLCRec", "wei2021clcrec"
    reads_content = True

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        latent: int = 256,
        temperature: float = 1.0,
        contrast: float = 0.5,
        replaced: float = 0.5,
        l2: float = 1e-4,
    ) -> None:
        super().__init__(data, dim=dim, l2=l2)
        self.temperature, self.contrast, self.replaced = temperature, contrast, replaced
        users, items = data.train.T
        self.train_items = Graph(users, items, torch.ones(len(users)), (data.num_users, data.num_items))
        features = Features(data, unit_features)
        self.register_buffer("content", torch.cat([*features], dim=1), persistent=False)
        cold = torch.bincount(items, minlength=data.num_items) == 0
        self.register_buffer("cold", cold.nonzero()[:, 0], persistent=False)
        self.encoder = nn.Sequential(linear(sum(features.widths), latent), nn.LeakyReLU(), linear(latent, dim))

    def encode(self, items: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        """g of the named items."""
        return self.encoder(rows_of(self.get_buffer("content"), items))

    def embed(self) -> Embeddings:
        users, items = self.split(self.nodes.weight)
        return Embeddings(users, items.index_copy(0, self.get_buffer("cold"), self.encode(self.get_buffer("cold"))))

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        (users, row), (items, column) = (ids.unique(return_inverse=True) for ids in (batch.users, batch.pos))
        negatives = batch.neg.unique()
        nodes = torch.cat([users, self.num_users + items, self.num_users + negatives])
        sizes = [len(users), len(items), len(negatives)]
        of_users, *ids = rows_of(self.nodes.weight, nodes).split(sizes)
        content = self.encode(nodes[len(users) :] - self.num_users).split(sizes[1:])
        terms = {}
        if self.contrast < 1:
            chosen = self._choose(len(nodes) - len(users)).split(sizes[1:])
            pos, neg = (torch.where(c[:, None], g, e) for c, g, e in zip(chosen, content, ids, strict=True))
            excluded = self._in_train(users, negatives)
            terms["user_item"] = (1 - self.contrast) * self._infonce(of_users, row, rows_of(pos, column), neg, excluded)
        if self.contrast:
            anchors, pos, neg = unit_rows(ids[0]), unit_rows(content[0]), unit_rows(content[1])
            excluded = items[:, None] == negatives
            terms["contrast"] = self.contrast * self._infonce(anchors, column, rows_of(pos, column), neg, excluded)
        return terms | row_l2(self.nodes.weight, self.num_users, batch, self.l2)

    def _infonce(self, anchors: Tensor, row: Tensor, pos: Tensor, neg: Tensor, excluded: Tensor) -> Tensor:
        """Mean of InfoNCE of the pairs (anchors[row], pos), all rows of neg being candidates where not `excluded`."""
        scores = (rows_of(anchors, row) * pos).sum(1) / self.temperature
        return infonce(scores, anchors / self.temperature @ neg.T, row, excluded)

    def _choose(self, size: int) -> Tensor:
        """A random choice of exactly the share `replaced` of `size`, as a mask."""
        chosen = torch.zeros(size, dtype=torch.bool, device=self.nodes.weight.device)
        chosen[torch.randperm(size, device=chosen.device)[: round(self.replaced * size)]] = True
        return chosen

    def _in_train(self, users: Tensor, items: Tensor) -> Tensor:
        """Which of the items (distinct) each of the users has in train, (users, items)."""
        place = torch.full((self.num_items,), len(items), device=items.device)
        place[items] = torch.arange(len(items), device=items.device)
        crow, col = self.train_items.crow, self.train_items.col
        row, position = ranges(crow[users].long(), crow[users + 1].long())
        excluded = torch.zeros(len(users), len(items) + 1, dtype=torch.bool, device=items.device)
        excluded[row, place[col[position].long()]] = True  # the last column takes what is not among the items
        return excluded[:, :-1]
