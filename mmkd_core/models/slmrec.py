"""SLMRec: Tao et al., Self-Supervised Learning for Multimedia Recommendation, IEEE Transactions on Multimedia 2022.

    z^0 = P [U; I]        z^m = P [U; X^m W^m + b^m]      P = mean over l = 0..L of (D^-1/2 A D^-1/2)^l
    e_u = F_U [z_u^0 | z_u^1 | ... | z_u^M] + c_U         e_i = F_I [z_i^0 | z_i^1 | ... | z_i^M] + c_I
    InfoNCE(x -> y) = mean of -log exp(cos(x, y) / t) / sum over the candidates y' of exp(cos(x, y') / t)
    L = InfoNCE(e_u -> e_i) + ssl * FAC + l2 term
    FAC = sum over m = 1..M of InfoNCE(x^m -> g^m(z_i^m)),      x^0 = z_i^0,  x^m = h^m(x^(m-1))

X^m has rows of length 1. All modalities share the user table U. FAC ("fine and coarse") carries an item's ID channel
through the modalities' spaces one after another; h and g are linear, into d columns, and d / 2 in the last of several
spaces. Items are ranked by e_u . e_i: the norms, which the loss does not see, count.

P is linear and X^m is constant, so P [0; X^m] is computed once. A step propagates [U; I] alone: as the graph is
bipartite, what the users' rows send arrives at users after even layers and at items after odd ones.

Differs from the paper: 1. FAC is the one self-supervised task (of FD, FM and FAC; the authors' default). 2. A pair's
candidates are the batch's distinct items without the others that its user has there; FAC's are the batch's distinct
items. 3. L2 of the batch's layer-0 rows, where AdamW's decay would shrink all weights.
Differs from the public code: 1. So do its candidates: it counts an item as often as the batch holds it, the positive
included, as a negative. 2. FAC compares cosines; without that g's bias gets no gradient. 3. The chain has as many
links as there are modalities; two modalities leave two more linear layers there, one of them without a use. 4. The
tables that serve are the trained ones, not those of the last training step. 5. The chain passes through the modalities
in the order of their names: audio, image, text; there image, audio, text.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.graph import bipartite, layers_at, propagate
from mmkd_core.kernels import affine, own_scores
from mmkd_core.layers import Features, linear, unit_features, unit_rows
from mmkd_core.losses import log_sum_exp
from mmkd_core.models.base import IdModel, infonce, rows_of

NEVER = -1e9  # a logit whose exponential is 0


class SLMRec(IdModel):
    title, citation = "SLMRec", "tao2022slmrec"
    reads_content = True
    squares = 4
    joint = True
    distinct = ("users", "pos")

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 3,
        temperature: float = 0.2,
        ssl: float = 0.1,
        ssl_temperature: float = 0.2,
        l2: float = 1e-4,
    ) -> None:
        super().__init__(data, dim=dim, l2=l2)
        self.layers, self.temperature, self.ssl, self.ssl_temperature = layers, temperature, ssl, ssl_temperature
        self.graph = bipartite(data.train, data.num_users, data.num_items)
        features = Features(data, unit_features)
        last = len(features) - 1
        spaces = [dim if m < last or not last else max(dim // 2, 1) for m in range(len(features))]
        self.projections = nn.ParameterList(  # (dim, d_m + 1): the last column is b, whose feature is 1
            nn.Parameter(F.pad(linear(width, dim).weight.detach(), (0, 1))) for width in features.widths
        )
        self.fuse_users, self.fuse_items = (linear((len(features) + 1) * dim, dim) for _ in range(2))
        self.from_chain = nn.ModuleList(linear(a, b) for a, b in zip([dim, *spaces], spaces, strict=False))
        self.from_modality = nn.ModuleList(linear(dim, space) for space in spaces)
        for m, x in enumerate(features):
            content = F.pad(F.pad(x, (0, 1), value=1), (0, 0, data.num_users, 0))
            self.register_buffer(f"content_{m}", propagate(self.graph, content, layers), persistent=False)

    def _channels(self, nodes: Int[Tensor, " batch"] | None = None, users: int | None = None) -> list[Tensor]:
        """z^0, z^1, ..., z^M of the named nodes, of which the first `users` are users, or of all: (batch, dim) each."""
        if nodes is None:
            nodes = torch.arange(len(self.nodes.weight), device=self.nodes.weight.device)
        users = self.num_users if users is None else users
        layers = layers_at(self.graph, self.nodes.weight / (self.layers + 1), self.layers, nodes)
        of_users, of_items = layers.split([users, len(nodes) - users], dim=1)
        from_users = torch.cat([of_users[::2].sum(0), of_items[1::2].sum(0)])
        contents = [
            affine(rows_of(self.get_buffer(f"content_{m}"), nodes), weight, from_users)
            for m, weight in enumerate(self.projections)
        ]
        return [layers.sum(0), *contents]

    def embed(self) -> Embeddings:
        users, items = self.split(torch.cat(self._channels(), dim=1))
        return Embeddings(self.fuse_users(users), self.fuse_items(items))

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        users, items = batch.distinct("users"), batch.distinct("pos")
        sizes = [len(users.ids), len(items.ids)]
        channels = self._channels(torch.cat([users.ids, self.num_users + items.ids]), len(users.ids))
        of_users, of_items = torch.cat(channels, dim=1).split(sizes)
        x, y, unreal = self.fuse_users(of_users), self.fuse_items(of_items), ~items.real
        terms = {"infonce": self._infonce(x, y, users.place, items.place, unreal)}
        if self.ssl:
            terms["ssl"] = self.ssl * self._fine_and_coarse(of_items.chunk(len(channels), dim=1), unreal)
        if self.l2:
            nodes = torch.stack([batch.users, self.num_users + batch.pos])
            terms["l2"] = self.l2 * losses.l2(rows_of(self.nodes.weight, nodes))
        return terms

    def _fine_and_coarse(self, channels: Sequence[Tensor], unreal: Bool[Tensor, " item"]) -> Tensor:
        """FAC of the items whose z^0, ..., z^M are given; those that are not `unreal` are each other's candidates."""
        x, terms = channels[0], []
        itself = torch.arange(len(x), device=x.device).masked_fill_(unreal, -100)  # cross_entropy leaves out -100
        absent = unreal * NEVER
        for h, g, channel in zip(self.from_chain, self.from_modality, channels[1:], strict=True):
            x = h(x)
            chain, content = unit_rows(torch.stack([x, g(channel)])).unbind()
            logits = affine(chain / self.ssl_temperature, content, absent)
            terms.append(F.cross_entropy(logits, itself))
        return sum(terms[1:], terms[0])

    def _infonce(self, x: Tensor, y: Tensor, row: Tensor, column: Tensor, unreal: Tensor) -> Tensor:
        """InfoNCE of the pairs (x[row], y[column]); the candidates of a pair are the rows of y that are real."""
        x, y = unit_rows(torch.cat([x, y])).split([len(x), len(y)])
        x = x / self.temperature
        scores = own_scores(rows_of(x, row), rows_of(y, column)[:, None]).squeeze(1)
        excluded = unreal.repeat(len(x), 1)
        excluded[row, column] = True
        return infonce(scores, log_sum_exp(x, y, excluded), row)
