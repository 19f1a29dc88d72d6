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
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.layers import Features, linear, unit_features, unit_rows
from mmkd_core.models.base import IdModel, infonce, row_l2, rows_of
from mmkd_core.sparse import Graph


class CLCRec(IdModel):
    title, citation = "CLCRec", "wei2021clcrec"
    reads_content = True
    joint = True
    distinct = ("users", "pos", "neg")

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
        users, items, negatives = (batch.distinct(field) for field in self.distinct)
        named = torch.cat([items.ids, negatives.ids])
        sizes = [len(users.ids), len(items.ids), len(negatives.ids)]
        of_users, *ids = rows_of(self.nodes.weight, torch.cat([users.ids, self.num_users + named])).split(sizes)
        content = self.encode(named).split(sizes[1:])
        column, absent = items.place, ~negatives.real
        terms = {}
        if self.contrast < 1:
            chosen = self._choose(torch.cat([items.real, negatives.real])).split(sizes[1:])
            pos, neg = (torch.where(c[:, None], g, e) for c, g, e in zip(chosen, content, ids, strict=True))
            excluded = self.train_items.holds(users.ids, negatives.ids) | absent
            loss = self._infonce(of_users, users.place, rows_of(pos, column), neg, excluded)
            terms["user_item"] = (1 - self.contrast) * loss
        if self.contrast:
            anchors, pos, neg = unit_rows(ids[0]), unit_rows(content[0]), unit_rows(content[1])
            excluded = (items.ids[:, None] == negatives.ids) | absent
            terms["contrast"] = self.contrast * self._infonce(anchors, column, rows_of(pos, column), neg, excluded)
        return terms | row_l2(self.nodes.weight, self.num_users, batch, self.l2)

    def _infonce(self, anchors: Tensor, row: Tensor, pos: Tensor, neg: Tensor, excluded: Tensor) -> Tensor:
        """Mean of InfoNCE of the pairs (anchors[row], pos), all rows of neg being candidates where not `excluded`."""
        scores = (rows_of(anchors, row) * pos).sum(1) / self.temperature
        return infonce(scores, anchors / self.temperature @ neg.T, row, excluded)

    def _choose(self, real: Bool[Tensor, " item"]) -> Bool[Tensor, " item"]:
        """A random choice of exactly the share `replaced` of the real items, as a mask."""
        order = torch.rand(len(real), device=real.device).masked_fill(~real, 2).argsort()
        count = (self.replaced * real.sum()).round()
        return torch.zeros_like(real).scatter(0, order, torch.arange(len(real), device=real.device) < count)
