"""Chosen rows of products with sparse matrices: a step needs the last layer of a graph model at its batch alone.

On a CPU the forward pass touches the entries of these rows and no others, and the backward pass reads no more than
their gradients. On a GPU, where no shape may depend on the data, they are the whole product and its rows. The rows may
be named in any order, more than once.
"""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from mmkd_core.kernels import rows as row_kernels
from mmkd_core.kernels.rows import in_float32, inner_products, ranges, sum_rows


def _whole(grad: Tensor, rows: Tensor, size: int) -> Tensor:
    """A table of `size` rows whose row r is the sum of the rows of `grad` that belong to r."""
    return torch.ops.aten.embedding_dense_backward(grad.contiguous(), rows, size, -1, False)


class _Entries:
    """The entries of some rows, named once each and in ascending order: where they are, and where each row's begin."""

    def __init__(self, crow: Tensor, col: Tensor, rows: Tensor) -> None:
        start, stop = crow.index_select(0, rows), crow.index_select(0, rows + 1)
        self.owner, self.place = ranges(start, stop)
        self.crow = torch.cat([start.new_zeros(1), (stop - start).cumsum(0, dtype=start.dtype)])
        self.col = col.index_select(0, self.place)

    def sums(self, values: Tensor, x: Tensor) -> Tensor:
        """These rows of the product with `x`."""
        return sum_rows(self.crow, self.col, values.index_select(0, self.place), x)

    def weights(self, grad: Tensor, x: Tensor) -> Tensor:
        """The gradients of these entries' values: the inner products of rows of `grad` and of `x`."""
        return inner_products(self.crow, self.owner, self.col, grad, x)


def _transposed_sums(tcrow: Tensor, tcol: Tensor, tvalues: Tensor, rows: Tensor, grad: Tensor, size: int) -> Tensor:
    """The product of a transposed matrix, of `size` columns, with what is `grad` in `rows` and else zero.

    All other rows are one row of zeros, which lies beside `grad`: a table so small stays in a core's cache, and going
    through all entries there is faster than finding and sorting those that count.
    """
    number = rows.new_full((size,), len(rows), dtype=tcol.dtype)
    number.index_copy_(0, rows, torch.arange(len(rows), dtype=tcol.dtype, device=rows.device))
    table = torch.cat([grad, grad.new_zeros(1, grad.shape[1])])
    return sum_rows(tcrow, number.index_select(0, tcol), tvalues, table)


def _add_rows(table: Tensor, rows: Tensor, x: Tensor) -> None:
    """Adds x to the rows, each named once, in place."""
    table.index_copy_(0, rows, table.index_select(0, rows).add_(x))


@custom_op("mmkd::layers_at", mutates_args=())
def layers_at(
    x: Tensor,
    rows: Tensor,
    layers: int,
    crow: Tensor,
    col: Tensor,
    values: Tensor,
    tcrow: Tensor,
    tcol: Tensor,
    tvalues: Tensor,
) -> Tensor:
    on_cpu = row_kernels.on_cpu(x)
    distinct, which = rows.unique(return_inverse=True) if on_cpu else (rows, None)
    found = [x.index_select(0, distinct)]
    for layer in range(1, layers + 1):
        if layer == layers and on_cpu:
            found.append(_Entries(crow, col, distinct).sums(values, x))
        else:
            x = sum_rows(crow, col, values, x)
            found.append(x.index_select(0, distinct))
    stacked = torch.stack(found)
    return stacked if which is None else stacked.index_select(1, which)


@layers_at.register_fake
def _(x: Tensor, rows: Tensor, layers: int, *others: Tensor) -> Tensor:
    return x.new_empty(layers + 1, len(rows), x.shape[1])


@custom_op("mmkd::layers_at_backward", mutates_args=())
def _layers_at_backward(
    grad: Tensor,
    rows: Tensor,
    crow: Tensor,
    col: Tensor,
    values: Tensor,
    tcrow: Tensor,
    tcol: Tensor,
    tvalues: Tensor,
) -> Tensor:
    layers, size, width = len(grad) - 1, len(tcrow) - 1, grad.shape[2]
    side_by_side = grad.transpose(0, 1).reshape(len(rows), -1)
    if not row_kernels.on_cpu(grad):
        *others, total = _whole(side_by_side, rows, size).split(width, dim=1)
        for of_layer in reversed(others):
            total = sum_rows(tcrow, tcol, tvalues, total).add_(of_layer)
        return total.contiguous()
    distinct, which = rows.unique(return_inverse=True)
    *others, last = _whole(side_by_side, which, len(distinct)).split(width, dim=1)
    if not layers:
        return grad.new_zeros(size, width).index_copy_(0, distinct, last)
    total = _transposed_sums(tcrow, tcol, tvalues, distinct, last, len(crow) - 1)
    for layer in range(layers - 1, 0, -1):
        _add_rows(total, distinct, others[layer])
        total = sum_rows(tcrow, tcol, tvalues, total)
    _add_rows(total, distinct, others[0])
    return total


@_layers_at_backward.register_fake
def _(grad: Tensor, rows: Tensor, crow: Tensor, col: Tensor, values: Tensor, tcrow: Tensor, *others: Tensor) -> Tensor:
    return grad.new_empty(len(tcrow) - 1, grad.shape[2])


layers_at.register_autograd(
    lambda ctx, grad: (_layers_at_backward(grad, *ctx.saved_tensors), *[None] * 8),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[1], *inputs[3:]),
)


@custom_op("mmkd::product_at", mutates_args=())
def product_at(
    x: Tensor, rows: Tensor, crow: Tensor, col: Tensor, values: Tensor, tcrow: Tensor, tcol: Tensor, tvalues: Tensor
) -> Tensor:
    return _product_at(x, rows, crow, col, values)


def _product_at(x: Tensor, rows: Tensor, crow: Tensor, col: Tensor, values: Tensor) -> Tensor:
    if not row_kernels.on_cpu(x):
        return sum_rows(crow, col, values, x).index_select(0, rows)
    distinct, which = rows.unique(return_inverse=True)
    return _Entries(crow, col, distinct).sums(values, x).index_select(0, which)


@product_at.register_fake
def _(x: Tensor, rows: Tensor, *others: Tensor) -> Tensor:
    return x.new_empty(len(rows), x.shape[1])


@custom_op("mmkd::product_at_backward", mutates_args=())
def _product_at_backward(
    grad: Tensor, rows: Tensor, crow: Tensor, col: Tensor, values: Tensor, tcrow: Tensor, tcol: Tensor, tvalues: Tensor
) -> Tensor:
    if not row_kernels.on_cpu(grad):
        return sum_rows(tcrow, tcol, tvalues, _whole(grad, rows, len(crow) - 1))
    distinct, which = rows.unique(return_inverse=True)
    sums = _whole(grad, which, len(distinct))
    return _transposed_sums(tcrow, tcol, tvalues, distinct, sums, len(crow) - 1)


@_product_at_backward.register_fake
def _(grad: Tensor, rows: Tensor, crow: Tensor, col: Tensor, values: Tensor, tcrow: Tensor, *others: Tensor) -> Tensor:
    return grad.new_empty(len(tcrow) - 1, grad.shape[1])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return _product_at_backward(grad, *ctx.saved_tensors), *[None] * 7


product_at.register_autograd(_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs[1:]))


@custom_op("mmkd::pattern_product_at", mutates_args=())
def pattern_product_at(
    values: Tensor,
    x: Tensor,
    rows: Tensor,
    crow: Tensor,
    row: Tensor,
    col: Tensor,
    tcrow: Tensor,
    tcol: Tensor,
    torder: Tensor,
) -> Tensor:
    return _product_at(x, rows, crow, col, values)


@pattern_product_at.register_fake
def _(values: Tensor, x: Tensor, rows: Tensor, *others: Tensor) -> Tensor:
    return x.new_empty(len(rows), x.shape[1])


@custom_op("mmkd::pattern_product_at_backward", mutates_args=())
def _pattern_product_at_backward(
    grad: Tensor,
    values: Tensor,
    x: Tensor,
    rows: Tensor,
    crow: Tensor,
    row: Tensor,
    col: Tensor,
    tcrow: Tensor,
    tcol: Tensor,
    torder: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients with respect to the values and to `x`."""
    if not row_kernels.on_cpu(grad):
        whole = _whole(grad, rows, len(crow) - 1)
        return inner_products(crow, row, col, whole, x), sum_rows(tcrow, tcol, values.index_select(0, torder), whole)
    distinct, which = rows.unique(return_inverse=True)
    entries, sums = _Entries(crow, col, distinct), _whole(grad, which, len(distinct))
    weights = grad.new_zeros(len(col)).index_copy_(0, entries.place.long(), entries.weights(sums, x))
    return weights, _transposed_sums(tcrow, tcol, values.index_select(0, torder), distinct, sums, len(crow) - 1)


@_pattern_product_at_backward.register_fake
def _(grad: Tensor, values: Tensor, x: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(values), x.new_empty(x.shape)


def _pattern_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return *_pattern_product_at_backward(grad, *ctx.saved_tensors), *[None] * 7


pattern_product_at.register_autograd(
    _pattern_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs)
)

in_float32([layers_at, product_at, pattern_product_at])
