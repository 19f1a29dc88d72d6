"""MMKD's teacher and prompt: the paper's Sec. 3.1, Eq. 1, 3 and 4.

    p      = Linear(mean over m of PCA_d(X^m))                                            prompt, Eq. 3
    f^m    = dropout((X^m + prompt_rate p p^T X^m / I) W^m + b^m)                         reduction, Eq. 4
    F_u^m  = D_u^-1 A f^m          F_i^m = D_i^-1 A^T F_u^m                               content through the graph
    E^T    = mean over l of E^(l) + content_weight * sum over m of F^m / ||F^m||          fusion
    L      = BPR(E^T) + l2 term [+ modality_bpr * mean over m of BPR(F^m)]

Differs from the paper: 1. Eq. 1 names a GNN without giving it; the mean over neighbours is ours. 2. The fusion is the
released code's: without it neither W nor the prompt would get a gradient from BPR(E^T). 3. The prompt's term is divided
by the number of items, so that prompt_rate means the same on every catalogue.
Differs from the released code: 1. All modalities are used. 2. No softmax over the channels of the last layer. 3. The
prompt is not added to the ID tables, so there is one prompt layer (items), not two. 4. The prompt's term is not
row-normalised. 5. The PCA scores are scaled to unit variance before the mean, so that no modality drowns another. 6. It
also trains BPR of the prompts of users and items as if they were embeddings, with a weight of up to 1e10, and L2 of all
content F. 7. Its L2 takes rows of E^T; ours those of layer 0, and AdamW's decay is 0, not 1e-3. 8. Its graph operators
are D^-1/2 A and D^-1/2 A^T, and the items of a layer see the users of the same layer.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.graph import bipartite, neighbour_mean, propagate, propagate_at
from mmkd_core.kernels import affine, listed_scores
from mmkd_core.layers import Linear, Reduction, standardise, unit_rows
from mmkd_core.models.base import IdModel, nodes_of, rows_of, scores_of


def fuse(
    collaborative: Float[Tensor, "*rows dim"], content: Float[Tensor, "*rows feat"], weight: float
) -> Float[Tensor, "*rows dim"]:
    """Rows of E^T from LightGCN's part and the content of all modalities side by side."""
    if not weight:
        return collaborative
    by_modality = content.unflatten(-1, (-1, collaborative.shape[-1]))
    return collaborative.add(unit_rows(by_modality).sum(-2), alpha=weight)


class Knowledge(NamedTuple):
    """What the teacher hands on: LightGCN's part of E^T and the content F^m, all modalities side by side.

    The fusion waits until rows are asked for, because a training step needs the rows of its batch alone. Where the
    content's weight is 0, `users` and `items` are E^T as they are.
    """

    users: Float[Tensor, "user dim"]
    items: Float[Tensor, "item dim"]
    user_content: Float[Tensor, "user feat"]  # feat = modalities x dim
    item_content: Float[Tensor, "item feat"]
    content_weight: float

    def embeddings(self) -> Embeddings:
        """E^T of all users and items."""
        pairs = (self.users, self.user_content), (self.items, self.item_content)
        return Embeddings(*(fuse(*pair, self.content_weight) for pair in pairs))

    def fused(self) -> "Knowledge":
        """The same with E^T in place of LightGCN's part, for who will ask for it often."""
        return Knowledge(*self.embeddings(), self.user_content, self.item_content, 0.0)

    def logits(self, batch: Batch) -> Float[Tensor, "batch list"]:
        """Scores by E^T of the positive (column 0) and the negatives."""
        users, lists = batch.users[:, None], batch.lists
        of_users, of_items = rows_of(self.users, users), rows_of(self.items, lists)
        if self.content_weight:
            content = torch.cat([rows_of(self.user_content, users), rows_of(self.item_content, lists)], dim=1)
            return scores_of(fuse(torch.cat([of_users, of_items], dim=1), content, self.content_weight))
        return (of_items @ of_users.mT).squeeze(-1)

    def content_logits(self, batch: Batch) -> Float[Tensor, "batch list modality"]:
        """Scores by each modality's content alone, F_u^m . F_i^m, of the positive (column 0) and the negatives."""
        parts = self.user_content.shape[1] // self.users.shape[1]
        return listed_scores(self.user_content, self.item_content, batch.users, batch.lists, parts)

    def content_of_items(self) -> Float[Tensor, "item modality dim"]:
        """F_i^m of all items."""
        return self.item_content.unflatten(1, (-1, self.items.shape[1]))


class Prompt(nn.Module):
    """Soft prompt of Eq. 3, one row per item: a linear layer over the mean of the modalities' PCA scores.

    A modality narrower than `dim` fills its first columns alone. The scores are constants.
    """

    def __init__(self, data: Dataset, dim: int) -> None:
        super().__init__()
        scores = torch.stack([_semantic_scores(x, dim) for _, x in sorted(data.features.items())])
        self.register_buffer("semantics", scores.mean(0), persistent=False)
        self.linear = Linear(dim, dim)

    def forward(self) -> Float[Tensor, "item dim"]:
        return self.linear(self.get_buffer("semantics"))

    def inputs(self) -> Float[Tensor, "item inputs"] | None:
        """What the prompt is a linear image of: the scores and a column of ones. None where that is trained."""
        return F.pad(self.get_buffer("semantics"), (0, 1), value=1)

    def image(self) -> Float[Tensor, "inputs dim"]:
        """The matrix that makes the prompt of its `inputs`."""
        return torch.cat([self.linear.weight.T, self.linear.bias[None]])


def _semantic_scores(x: Tensor, dim: int) -> Tensor:
    """PCA scores of unit variance, (item, dim); zeros where the data have no further direction."""
    from sklearn.decomposition import PCA  # slow to import, and most models need none

    x = standardise(x)
    if not x.any():  # no item has the modality, or all have the same
        return x.new_zeros(len(x), dim)
    pca = PCA(min(dim, *x.shape), random_state=0)
    scores = pca.fit_transform(x.double().numpy())
    deviation = np.sqrt(pca.explained_variance_)
    varies = deviation > 1e-6 * deviation.max()
    padded = x.new_zeros(len(x), dim)
    padded[:, : len(deviation)] = torch.from_numpy(np.where(varies, scores / np.where(varies, deviation, 1), 0))
    return padded


class FrozenContent(nn.Module):
    """F^m of a teacher of which the prompt alone still changes, without a product with a graph or with features.

    With the prompt p = SV, S its `inputs`, f = XW + b + SQ where Q = prompt_rate / I V V^T (S^T XW) is a small matrix;
    and the graph is linear: it has passed XW + b and S already.
    """

    def __init__(self, teacher: "Teacher", inputs: Float[Tensor, "item inputs"]) -> None:
        super().__init__()
        projected = teacher.reduction.project()
        self.register_buffer("gram", teacher.prompt_rate / len(inputs) * (inputs.T @ projected), persistent=False)
        for name, x in (("plain", projected + teacher.reduction.bias), ("inputs", inputs)):
            of_users = teacher.item_to_user(x)
            self.register_buffer(f"{name}_users", of_users, persistent=False)
            self.register_buffer(f"{name}_items", teacher.user_to_item(of_users), persistent=False)

    def forward(self, prompt: Prompt | None, users: Int[Tensor, " user"] | None) -> Embeddings:
        """F_u of the named users, or of all, and F_i of all items."""
        names = [f"{name}_{side}" for name in ("plain", "inputs") for side in ("users", "items")]
        plain_users, plain_items, inputs_users, inputs_items = (self.get_buffer(name) for name in names)
        if users is not None:
            plain_users, inputs_users = rows_of(plain_users, users), rows_of(inputs_users, users)
        if prompt is None:
            return Embeddings(plain_users, plain_items)
        image = prompt.image()
        mixed = image @ (image.T @ self.get_buffer("gram"))
        return Embeddings(affine(inputs_users, mixed.T, plain_users), affine(inputs_items, mixed.T, plain_items))


class Teacher(IdModel):
    title, citation = "MMKD's teacher", "wei2024promptmm"
    reads_content = True
    prompt_kind: type[Prompt] = Prompt
    squares = 1

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        content_weight: float = 0.1,
        prompt_rate: float = 1.0,
        dropout: float = 0.2,
        l2: float = 1e-4,
        modality_bpr: float = 0.0,
    ) -> None:
        super().__init__(data, dim=dim, l2=l2)
        self.layers, self.content_weight, self.modality_bpr = layers, content_weight, modality_bpr
        self.prompt_rate = prompt_rate
        self.reduction = Reduction(data, dim, dropout)
        self.prompt = self.prompt_kind(data, dim) if prompt_rate else None
        users, items = data.train.T
        self.graph = bipartite(data.train, data.num_users, data.num_items)
        self.item_to_user = neighbour_mean(users, items, (data.num_users, data.num_items))
        self.user_to_item = neighbour_mean(items, users, (data.num_items, data.num_users))
        self.register_buffer("collaborative", None, persistent=False)
        self.content: FrozenContent | None = None

    def know(self, rows: Int[Tensor, " user"] | None = None, *, with_prompt: bool = True) -> Knowledge:
        """E^T and F^m, of the users `rows` alone where they are given.

        `with_prompt=False` computes them as if the prompt were not there.
        """
        prompt = self.prompt if with_prompt else None
        users, items = self.split(self.collaborate())
        users = users if rows is None else rows_of(users, rows)
        if self.content is not None:
            of_users, of_items = self.content(prompt, rows)
            return Knowledge(users, items, of_users, of_items, self.content_weight)
        user_content = self._user_content(prompt)
        item_content = self.user_to_item(user_content)
        user_content = user_content if rows is None else rows_of(user_content, rows)
        return Knowledge(users, items, user_content, item_content, self.content_weight)

    def _user_content(self, prompt: Prompt | None) -> Float[Tensor, "user feat"]:
        return self.item_to_user(self.reduction(None if prompt is None else prompt(), self.prompt_rate))

    def collaborate(self) -> Float[Tensor, "node dim"]:
        """LightGCN's part of E^T; the stored one if it was frozen."""
        if self.collaborative is not None:
            return self.collaborative
        return propagate(self.graph, self.nodes.weight, self.layers)

    def embed(self) -> Embeddings:
        return self.know().embeddings()

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        nodes = nodes_of(batch, self.num_users)
        collaborative, ids = propagate_at(self.graph, self.nodes.weight, self.layers, nodes)
        user_content, items = self._user_content(self.prompt), nodes[:, 1:] - self.num_users
        of_items = self.user_to_item(user_content, items.flatten()).unflatten(0, items.shape)
        content = torch.cat([rows_of(user_content, nodes[:, :1]), of_items], dim=1)
        scores = scores_of(fuse(collaborative, content, self.content_weight))
        terms = {"bpr": losses.list_bpr(scores)}
        if self.l2:
            terms["l2"] = self.l2 * losses.l2(ids[:, :3].transpose(0, 1))
        if self.modality_bpr:
            by_modality = content.unflatten(2, (-1, ids.shape[2]))
            scores = (by_modality[:, 1:] * by_modality[:, :1]).sum(-1)  # (batch, list, modality)
            terms["modality_bpr"] = self.modality_bpr * losses.bpr_of_margins(scores[:, :1] - scores[:, 1:])
        return terms

    @torch.no_grad()
    def freeze(self) -> None:
        """Keeps all but the prompt from training, and stores what no longer changes."""
        self.requires_grad_(False)
        self.collaborative = None
        self.collaborative = self.collaborate()
        inputs = None if self.prompt is None else self.prompt.inputs()
        self.content = None if inputs is None else FrozenContent(self, inputs)
