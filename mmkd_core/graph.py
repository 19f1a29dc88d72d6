"""What papers name of a graph of users and items: its operators, the nearest items, LightGCN's propagation."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmkd_core import kernels
from mmkd_core.data import Dataset
from mmkd_core.layers import standardise, unit_features
from mmkd_core.sparse import Graph


def bipartite(edges: Int[Tensor, "edge 2"], num_users: int, num_items: int) -> Graph:
    """LightGCN's operator: D^-1/2 [[0, A], [A^T, 0]] D^-1/2 over the stack of users and items, users first.

    `edges` holds (user, item) rows. A node without edges has an empty row, so it comes out as zeros.
    """
    users, items = edges[:, 0], edges[:, 1]
    values = edge_weights(users, items)
    nodes = num_users + num_items
    return Graph(*both_directions(users, items, num_users), torch.cat([values, values]), (nodes, nodes))


def edge_weights(users: Int[Tensor, " edge"], items: Int[Tensor, " edge"]) -> Float[Tensor, " edge"]:
    """1 / sqrt(degree of the user x degree of the item) of each edge; float64."""
    degrees = torch.bincount(users)[users] * torch.bincount(items)[items]
    return degrees.to(torch.float64).rsqrt()


def both_directions(
    users: Int[Tensor, " edge"], items: Int[Tensor, " edge"], num_users: int
) -> tuple[Int[Tensor, " both"], Int[Tensor, " both"]]:
    """Rows and columns, over the stack of users and items, of each edge from user to item, then from item to user."""
    items = items + num_users
    return torch.cat([users, items]), torch.cat([items, users])


def neighbour_mean(rows: Int[Tensor, " edge"], cols: Int[Tensor, " edge"], shape: tuple[int, int]) -> Graph:
    """D^-1 A of shape (rows, cols): each row becomes the mean over its neighbours; zeros where there is none."""
    degree = torch.bincount(rows, minlength=shape[0])
    return Graph(rows, cols, degree[rows].to(torch.float64).reciprocal(), shape)


class Neighbours(NamedTuple):
    """The most similar items of each item, most similar first, and how similar they are."""

    items: Int[Tensor, "item list"]
    cosines: Float[Tensor, "item list"]


@torch.no_grad()
def item_knn(x: Float[Tensor, "item feat"], neighbours: int, block: int = 256) -> Neighbours:
    """The `neighbours` largest cosines of each row of `x` (all, where there are fewer rows), its own included.

    In blocks of rows, so that memory is O(block x items). A row of zeros has cosine 0 with everything. Which of several
    equally similar items is kept is left open.
    """
    x = unit_features(x)
    top = [(rows @ x.T).topk(min(neighbours, len(x)), dim=1) for rows in x.split(block)]
    return Neighbours(torch.cat([part.indices for part in top]), torch.cat([part.values for part in top]))


def content_graph(data: Dataset, neighbours: int) -> Graph:
    """Each item's row becomes the mean of its nearest items by content: a graph of shape (items, items).

    By each modality these are the `neighbours` other items of the largest cosine of standardised features, of those
    above zero. The mean is taken over them, then over the modalities that give the item any; a row is empty where none
    does, and all are where the data have no modality.
    """
    own = torch.arange(data.num_items)
    near = [_others(item_knn(standardise(x), neighbours + 1), neighbours) for _, x in sorted(data.features.items())]
    degrees = torch.stack([kept.sum(1) for _, kept in near] or [torch.zeros_like(own)])  # (modality, item)
    shares = (degrees * (degrees > 0).sum(0)).double().reciprocal()
    rows = [own[:, None].expand_as(kept)[kept] for _, kept in near]
    values = [share[row] for share, row in zip(shares, rows, strict=False)]
    cols = [items[kept] for items, kept in near]
    rows, cols, values = (torch.cat([own[:0], *parts]) for parts in (rows, cols, values))
    shape = (data.num_items, data.num_items)
    merged = torch.sparse_coo_tensor(torch.stack([rows, cols]), values, shape).coalesce()  # near by more than one
    rows, cols = merged.indices()
    return Graph(rows, cols, merged.values(), shape)


def _others(near: Neighbours, neighbours: int) -> tuple[Tensor, Tensor]:
    """Nearest items, and which of them are kept: the first `neighbours` but for the item itself, above zero."""
    other = near.items != torch.arange(len(near.items))[:, None]
    return near.items, other & (near.cosines > 0) & (other.cumsum(1) <= neighbours)


def propagate(graph: Graph, x: Float[Tensor, "node dim"], layers: int) -> Float[Tensor, "node dim"]:
    """Mean over the layers 0..`layers` of repeated products, LightGCN's Eq. 8 with equal weights."""
    total = x
    for _ in range(layers):
        x = graph(x)
        total = total + x
    return total / (layers + 1) if layers else total


class AtRows(NamedTuple):
    """Rows of tables that serve and the same rows of a model's own table, layer 0."""

    served: Float[Tensor, "*rows dim"]
    ids: Float[Tensor, "*rows dim"]


def layers_at(
    graph: Graph, x: Float[Tensor, "node dim"], layers: int, rows: Int[Tensor, " *rows"]
) -> Float[Tensor, "layer *rows dim"]:
    """Chosen rows of `x` and of each of its repeated products, of layers 0..`layers`; rows may repeat.

    On a CPU the last layer, forward and backward, costs what the edges of these rows do.
    """
    return kernels.layers_at(x, rows.flatten(), layers, *graph.matrices).unflatten(1, rows.shape)


def propagate_at(graph: Graph, x: Float[Tensor, "node dim"], layers: int, rows: Int[Tensor, " *rows"]) -> AtRows:
    """Chosen rows of `propagate(graph, x, layers)` and of `x`, as `layers_at` finds them."""
    found = layers_at(graph, x, layers, rows)
    return AtRows(found.sum(0) / (layers + 1), found[0])
