"""Kernels: products with sparse matrices, inner products at chosen places, softmax over the entries of a row.

Each is a `torch.library` operator on plain tensors, with the shape of its result and its gradient registered: a model
that calls them can be compiled whole, exported, and captured as a CUDA graph. Under autocast they compute in float32.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.library import custom_op


def ranges(start: Int[Tensor, " batch"], stop: Int[Tensor, " batch"]) -> tuple[Tensor, Tensor]:
    """The positions start[b] .. stop[b] - 1 of all b, one after another, and beside them the b that each belongs to.

    Returns (b, position), two int64 vectors as long as all ranges together.
    """
    counts = stop - start
    row = torch.repeat_interleave(torch.arange(len(start), device=start.device), counts)
    offset = torch.arange(len(row), device=start.device) - (counts.cumsum(0) - counts)[row]
    return row, start[row] + offset


def _sum_rows(crow: Tensor, col: Tensor, values: Tensor | None, x: Tensor) -> Tensor:
    """Row r is the sum of values[e] * x[col[e]], or of x[col[e]], over its entries e = crow[r] .. crow[r + 1] - 1."""
    weights = None if values is None else values.to(x.dtype)
    return F.embedding_bag(col, x.contiguous(), crow, mode="sum", per_sample_weights=weights, include_last_offset=True)


@custom_op("mmkd::product", mutates_args=())
def product(
    x: Tensor,
    crow: Tensor,
    col: Tensor,
    values: Tensor,
    transposed_crow: Tensor,
    transposed_col: Tensor,
    transposed_values: Tensor,
) -> Tensor:
    return _sum_rows(crow, col, values, x)


@product.register_fake
def _(x: Tensor, crow: Tensor, *others: Tensor) -> Tensor:
    return x.new_empty(len(crow) - 1, x.shape[1])


def _product_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    matrix, transposed = ctx.saved_tensors[:3], ctx.saved_tensors[3:]
    return product(grad, *transposed, *matrix), None, None, None, None, None, None


product.register_autograd(
    _product_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs[1:])
)


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
    chunk = CHUNK if users.device.type == "cpu" else max(len(rows), 1)
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
    sums = _sum_rows(crow, cells, weights, items.reshape(len(items) * parts, -1)).view(len(lists), -1)
    ordered, order = rows.sort(stable=True)  # a fixed order of the sums
    return _sum_rows(starts(ordered, len(users)), order, None, sums)


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
    return _sum_rows(starts(ordered, len(items) * parts), owners, weights[order], sources).view(items.shape)


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


@custom_op("mmkd::holds", mutates_args=())
def holds(crow: Tensor, col: Tensor, rows: Tensor, cols: Tensor, width: int) -> Tensor:
    return (_holds_by_marking if crow.device.type == "cpu" else _holds_by_searching)(crow, col, rows, cols, width)


@holds.register_fake
def _(crow: Tensor, col: Tensor, rows: Tensor, cols: Tensor, width: int) -> Tensor:
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


def _holds_by_searching(crow: Tensor, col: Tensor, rows: Tensor, cols: Tensor, width: int) -> Tensor:
    """Looks each pair up among all entries: no shape depends on the data."""
    owner = torch.searchsorted(crow, torch.arange(len(col), device=col.device), right=True) - 1
    keys = (owner * width + col).sort().values
    pairs = rows[:, None] * width + cols
    return keys[torch.searchsorted(keys, pairs).clamp_max(len(keys) - 1)] == pairs


@custom_op("mmkd::pattern_product", mutates_args=())
def pattern_product(
    values: Tensor, x: Tensor, crow: Tensor, row: Tensor, col: Tensor, tcrow: Tensor, tcol: Tensor, torder: Tensor
) -> Tensor:
    return _sum_rows(crow, col, values, x)


@pattern_product.register_fake
def _(values: Tensor, x: Tensor, crow: Tensor, *others: Tensor) -> Tensor:
    return x.new_empty(len(crow) - 1, x.shape[1])


@custom_op("mmkd::pattern_transposed", mutates_args=())
def _pattern_transposed(values: Tensor, x: Tensor, tcrow: Tensor, tcol: Tensor, torder: Tensor) -> Tensor:
    return _sum_rows(tcrow, tcol, values.index_select(0, torder), x)


@_pattern_transposed.register_fake
def _(values: Tensor, x: Tensor, tcrow: Tensor, tcol: Tensor, torder: Tensor) -> Tensor:
    return x.new_empty(len(tcrow) - 1, x.shape[1])


@custom_op("mmkd::pattern_scores", mutates_args=())
def pattern_scores(
    left: Tensor, right: Tensor, crow: Tensor, row: Tensor, col: Tensor, tcrow: Tensor, tcol: Tensor, torder: Tensor
) -> Tensor:
    # the gradient of a weighted bag with respect to its weights is exactly this; half the time of gathering rows
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(
        left.contiguous(), right.contiguous(), col, crow, row, mode=0
    )


@pattern_scores.register_fake
def _(left: Tensor, right: Tensor, crow: Tensor, row: Tensor, *others: Tensor) -> Tensor:
    return left.new_empty(len(row))


def _pattern_product_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    values, x, *places = ctx.saved_tensors
    of_values = pattern_scores(grad, x, *places) if ctx.needs_input_grad[0] else None
    of_x = _pattern_transposed(values, grad, *places[3:]) if ctx.needs_input_grad[1] else None
    return of_values, of_x, *[None] * 6


def _pattern_scores_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    left, right, *places = ctx.saved_tensors
    of_left = pattern_product(grad, right, *places) if ctx.needs_input_grad[0] else None
    of_right = _pattern_transposed(grad, left, *places[3:]) if ctx.needs_input_grad[1] else None
    return of_left, of_right, *[None] * 6


def _save_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


pattern_product.register_autograd(_pattern_product_backward, setup_context=_save_inputs)
pattern_scores.register_autograd(_pattern_scores_backward, setup_context=_save_inputs)


def segment_softmax(
    values: Float[Tensor, " edge"], crow: Int[Tensor, " bound"], row: Int[Tensor, " edge"]
) -> Float[Tensor, " edge"]:
    """Softmax within each segment of a vector: segment r is values[crow[r] : crow[r + 1]], and `row` names it there."""
    return _segment_softmax(values, crow, row)


@custom_op("mmkd::segment_softmax", mutates_args=())
def _segment_softmax(values: Tensor, crow: Tensor, row: Tensor) -> Tensor:
    top = torch.segment_reduce(values, "max", offsets=crow)  # -inf for an empty segment, which nobody reads
    weights = (values - top.index_select(0, row)).exp_()
    return weights.div_(torch.segment_reduce(weights, "sum", offsets=crow).index_select(0, row))


@custom_op("mmkd::segment_softmax_backward", mutates_args=())
def _segment_softmax_gradient(grad: Tensor, weights: Tensor, crow: Tensor, row: Tensor) -> Tensor:
    weighted = weights * grad
    sums = torch.segment_reduce(weighted, "sum", offsets=crow).index_select(0, row)
    return weighted.sub_(sums.mul_(weights))


@_segment_softmax.register_fake
def _(values: Tensor, crow: Tensor, row: Tensor) -> Tensor:
    return torch.empty_like(values)


@_segment_softmax_gradient.register_fake
def _(grad: Tensor, weights: Tensor, crow: Tensor, row: Tensor) -> Tensor:
    return torch.empty_like(weights)


def _segment_softmax_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    return _segment_softmax_gradient(grad, *ctx.saved_tensors), None, None


_segment_softmax.register_autograd(
    _segment_softmax_backward,
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(output, *inputs[1:]),
)


def starts(ordered: Tensor, size: int) -> Tensor:
    """Where each of `size` ids begins in a sorted vector of them, and its length at the end."""
    return torch.searchsorted(ordered, torch.arange(size + 1, device=ordered.device))


for _operator in (product, _listed_scores, pattern_product, pattern_scores, _segment_softmax):
    for _device in ("cpu", "cuda"):
        _operator.register_autocast(_device, torch.float32)
