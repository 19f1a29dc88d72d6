"""Inner products at chosen places of two tables, and whether a set of pairs holds some."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.library import custom_op

from mmkd_core.kernels import rows as row_kernels
from mmkd_core.kernels.rows import in_float32, ranges, starts, sum_rows


def listed_scores(
    users: Float[Tensor, "user feat"],
    items: Float[Tensor, "item feat"],
    rows: Int[Tensor, " batch"],
    lists: Int[Tensor, "batch list"],
    parts: int = 1,
) -> Float[Tensor, "batch list parts"]:
    """Inner products users[rows[b]] . items[lists[b, l]], taken separately over `parts` equal slices of the columns.

    A product of two dense tables at chosen places: the rows of all lists are never held at once, and both gradients are
    weighted sums of rows, which is three times faster than autograd through the gathered rows.
    """
    return _listed_scores(users, items, rows, lists, parts)


CHUNK = 256  # rows of lists at once: what they gather stays in a core's cache


@custom_op("mmkd::listed_scores", mutates_args=())
def _listed_scores(users: Tensor, items: Tensor, rows: Tensor, lists: Tensor, parts: int) -> Tensor:
    chunk = CHUNK if row_kernels.on_cpu(users) else max(len(rows), 1)
    scores = users.new_empty(*lists.shape, parts)
    for start in range(0, len(rows), chunk):
        part = slice(start, start + chunk)
        product = F.embedding(lists[part], items).mul_(F.embedding(rows[part], users)[:, None])
        torch.sum(product.unflatten(-1, (parts, -1)), -1, out=scores[part])
    return scores


@_listed_scores.register_fake
def _(users: Tensor, items: Tensor, rows: Tensor, lists: Tensor, parts: int) -> Tensor:
    return users.new_empty(*lists.shape, parts)


@custom_op("mmkd::listed_users", mutates_args=())
def _listed_users(grad: Tensor, users: Tensor, items: Tensor, rows: Tensor, lists: Tensor) -> Tensor:
    """The gradient of listed scores with respect to the users."""
    cells, weights, parts = _cells(grad, lists)
    crow = torch.arange(0, len(cells) + 1, lists.shape[1], device=lists.device)
    sums = sum_rows(crow, cells, weights, items.reshape(len(items) * parts, -1)).view(len(lists), -1)
    ordered, order = rows.sort(stable=True)  # a fixed order of the sums
    return sum_rows(starts(ordered, len(users)), order, None, sums)


@_listed_users.register_fake
def _(grad: Tensor, users: Tensor, items: Tensor, rows: Tensor, lists: Tensor) -> Tensor:
    return torch.empty_like(users, memory_format=torch.contiguous_format)


@custom_op("mmkd::listed_items", mutates_args=())
def _listed_items(grad: Tensor, users: Tensor, items: Tensor, rows: Tensor, lists: Tensor) -> Tensor:
    """The gradient of listed scores with respect to the items."""
    cells, weights, parts = _cells(grad, lists)
    sources = F.embedding(rows, users).view(len(rows) * parts, -1)
    ordered, order = cells.sort(stable=True)
    owners = order // lists.shape[1]
    return sum_rows(starts(ordered, len(items) * parts), owners, weights[order], sources).view(items.shape)


@_listed_items.register_fake
def _(grad: Tensor, users: Tensor, items: Tensor, rows: Tensor, lists: Tensor) -> Tensor:
    return torch.empty_like(items, memory_format=torch.contiguous_format)


def _cells(grad: Tensor, lists: Tensor) -> tuple[Tensor, Tensor, int]:
    """Rows of the items' (item x parts, width) view, list by list of each (batch, part); their weights; the parts."""
    parts = grad.shape[2]
    if parts == 1:
        return lists.reshape(-1), grad.reshape(-1), 1
    cells = lists[:, None] * parts + torch.arange(parts, device=lists.device)[:, None]
    return cells.reshape(-1), grad.transpose(1, 2).reshape(-1), parts


def _listed_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    users = _listed_users(grad, *ctx.saved_tensors) if ctx.needs_input_grad[0] else None
    return users, _listed_items(grad, *ctx.saved_tensors) if ctx.needs_input_grad[1] else None, None, None, None


_listed_scores.register_autograd(
    _listed_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs[:4])
)


@custom_op("mmkd::own_scores", mutates_args=())
def own_scores(users: Tensor, items: Tensor) -> Tensor:
    return torch.bmm(items, users[:, :, None]).squeeze(2)


@own_scores.register_fake
def _(users: Tensor, items: Tensor) -> Tensor:
    return items.new_empty(items.shape[:2])


@custom_op("mmkd::own_scores_backward", mutates_args=())
def _own_scores_backward(grad: Tensor, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    return torch.bmm(grad[:, None], items).squeeze(1), torch.bmm(grad[:, :, None], users[:, None])


@_own_scores_backward.register_fake
def _(grad: Tensor, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    return users.new_empty(users.shape), items.new_empty(items.shape)


own_scores.register_autograd(
    lambda ctx, grad: _own_scores_backward(grad, *ctx.saved_tensors),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
)


@custom_op("mmkd::holds", mutates_args=())
def holds(cells: Tensor, crow: Tensor, col: Tensor, rows: Tensor, cols: Tensor, width: int) -> Tensor:
    if row_kernels.on_cpu(crow):
        return _holds_by_marking(crow, col, rows, cols, width)
    return _holds_by_searching(cells, rows, cols, width)


@holds.register_fake
def _(cells: Tensor, crow: Tensor, col: Tensor, rows: Tensor, cols: Tensor, width: int) -> Tensor:
    return torch.empty(len(rows), len(cols), dtype=torch.bool, device=crow.device)


def _holds_by_marking(crow: Tensor, col: Tensor, rows: Tensor, cols: Tensor, width: int) -> Tensor:
    """Marks the rows' entries, of which the data have any number; a column named again is a copy of its first."""
    order = torch.arange(len(cols), device=cols.device)
    first = torch.full((width,), len(cols), device=cols.device).scatter_reduce(0, cols, order, "amin")
    row, position = ranges(crow[rows].long(), crow[rows + 1].long())
    column = first[col[position].long()]
    named = column < len(cols)
    marked = torch.zeros(len(rows), len(cols), dtype=torch.bool, device=cols.device)
    marked[row[named], column[named]] = True
    again = (first[cols] < order).nonzero().squeeze(1)
    marked[:, again] = marked[:, first[cols[again]]]
    return marked


def _holds_by_searching(cells: Tensor, rows: Tensor, cols: Tensor, width: int) -> Tensor:
    """Looks each pair up among all entries, whose last is larger than any: no shape depends on the data."""
    pairs = rows[:, None] * width + cols
    return cells[torch.searchsorted(cells, pairs)] == pairs


in_float32([_listed_scores, own_scores])
