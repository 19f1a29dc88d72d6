"""Products with sparse matrices, constant ones and those whose values have gradients; softmax over a row's entries."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.library import custom_op

from mmkd_core.kernels.rows import in_float32, inner_products, sum_rows


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
    return sum_rows(crow, col, values, x)


@product.register_fake
def _(x: Tensor, crow: Tensor, *others: Tensor) -> Tensor:
    return x.new_empty(len(crow) - 1, x.shape[1])


def _product_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    matrix, transposed = ctx.saved_tensors[:3], ctx.saved_tensors[3:]
    return product(grad, *transposed, *matrix), None, None, None, None, None, None


product.register_autograd(
    _product_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs[1:])
)


@custom_op("mmkd::pattern_product", mutates_args=())
def pattern_product(
    values: Tensor, x: Tensor, crow: Tensor, row: Tensor, col: Tensor, tcrow: Tensor, tcol: Tensor, torder: Tensor
) -> Tensor:
    return sum_rows(crow, col, values, x)


@pattern_product.register_fake
def _(values: Tensor, x: Tensor, crow: Tensor, *others: Tensor) -> Tensor:
    return x.new_empty(len(crow) - 1, x.shape[1])


@custom_op("mmkd::pattern_transposed", mutates_args=())
def _pattern_transposed(values: Tensor, x: Tensor, tcrow: Tensor, tcol: Tensor, torder: Tensor) -> Tensor:
    return sum_rows(tcrow, tcol, values.index_select(0, torder), x)


@_pattern_transposed.register_fake
def _(values: Tensor, x: Tensor, tcrow: Tensor, tcol: Tensor, torder: Tensor) -> Tensor:
    return x.new_empty(len(tcrow) - 1, x.shape[1])


@custom_op("mmkd::pattern_scores", mutates_args=())
def pattern_scores(
    left: Tensor, right: Tensor, crow: Tensor, row: Tensor, col: Tensor, tcrow: Tensor, tcol: Tensor, torder: Tensor
) -> Tensor:
    return inner_products(crow, row, col, left, right)


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


@custom_op("mmkd::of_columns", mutates_args=())
def of_columns(x: Tensor, col: Tensor, tcrow: Tensor, torder: Tensor) -> Tensor:
    return x.index_select(0, col)


@of_columns.register_fake
def _(x: Tensor, col: Tensor, tcrow: Tensor, torder: Tensor) -> Tensor:
    return x.new_empty(len(col), x.shape[1])


@custom_op("mmkd::of_columns_backward", mutates_args=())
def _of_columns_backward(grad: Tensor, tcrow: Tensor, torder: Tensor) -> Tensor:
    return sum_rows(tcrow, torder, None, grad)


@_of_columns_backward.register_fake
def _(grad: Tensor, tcrow: Tensor, torder: Tensor) -> Tensor:
    return grad.new_empty(len(tcrow) - 1, grad.shape[1])


of_columns.register_autograd(
    lambda ctx, grad: (_of_columns_backward(grad, *ctx.saved_tensors), None, None, None),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs[2:]),
)


@custom_op("mmkd::by_column", mutates_args=())
def by_column(values: Tensor, torder: Tensor) -> Tensor:
    return values.index_select(0, torder)


@by_column.register_fake
def _(values: Tensor, torder: Tensor) -> Tensor:
    return torch.empty_like(values)


@custom_op("mmkd::by_row", mutates_args=())
def _by_row(values: Tensor, torder: Tensor) -> Tensor:
    return torch.empty_like(values).index_copy_(0, torder.long(), values)


@_by_row.register_fake
def _(values: Tensor, torder: Tensor) -> Tensor:
    return torch.empty_like(values)


by_column.register_autograd(
    lambda ctx, grad: (_by_row(grad.contiguous(), *ctx.saved_tensors), None),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[1]),
)


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


in_float32([product, pattern_product, pattern_scores, _segment_softmax])
