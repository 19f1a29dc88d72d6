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
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.layers import Features, linear, unit_features, unit_rows
from mmkd_core.losses import log_sum_exp
from mmkd_core.models.base import IdModel, infonce, rows_of
from mmkd_core.sparse import Pairs


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
        self.train_items = Pairs(users, items, (data.num_users, data.num_items))
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
        named, real = torch.cat([items.ids, negatives.ids]), torch.cat([items.real, negatives.real])
        sizes = [len(items.ids), len(negatives.ids)]
        rows = rows_of(self.nodes.weight, torch.cat([users.ids, self.num_users + named]))
        of_users, ids = rows.split([len(users.ids), len(named)])
        content, absent = self.encode(named), ~negatives.real
        terms = {}
        if self.contrast < 1:
            pos, neg = torch.where(self._choose(real)[:, None], content, ids).split(sizes)
            anchors = self._cooled(of_users)
            scores = (rows_of(anchors, users.place) * rows_of(pos, items.place)).sum(1)
            others = log_sum_exp(anchors, neg, self.train_items.holds(users.ids, negatives.ids) | absent)
            terms["user_item"] = infonce(scores, others, users.place, 1 - self.contrast)
        if self.contrast:
            anchors, pos, neg = unit_rows(torch.cat([ids.split(sizes)[0], content])).split([sizes[0], *sizes])
            anchors = self._cooled(anchors)
            others = log_sum_exp(anchors, neg, (items.ids[:, None] == negatives.ids) | absent)
            lead = others - (anchors * pos).sum(1)  # of an item, the same in all its pairs
            values = F.softplus(rows_of(lead[:, None], items.place))
            terms["contrast"] = values.sum() * (self.contrast / len(values))
        if self.l2:  # as `row_l2`, of rows that are here already
            places = [users.place, len(users.ids) + items.place, len(rows) - sizes[1] + negatives.place[:, 0]]
            norms = rows_of(rows.square().sum(1, keepdim=True), torch.cat(places))
            terms["l2"] = self.l2 * 0.5 / len(batch.users) * norms.sum()
        return terms

    def _cooled(self, anchors: Tensor) -> Tensor:
        return anchors if self.temperature == 1 else anchors / self.temperature

    def _choose(self, real: Bool[Tensor, " item"]) -> Bool[Tensor, " item"]:
        """A random choice of exactly the share `replaced` of the real items, as a mask."""
        order = torch.rand(len(real), device=real.device).add_(real, alpha=-1).argsort()  # the real ones first
        count = (self.replaced * real.sum()).round()
        return torch.empty_like(real).scatter_(0, order, torch.arange(len(real), device=real.device) < count)
