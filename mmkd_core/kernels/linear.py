"""Products of dense matrices: on a CPU by oneDNN where that is about twice as fast as torch's own."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.library import custom_op

from mmkd_core.kernels import rows

ONEDNN = torch.backends.cpu.get_cpu_capability() == "AVX512" and hasattr(torch.ops.mkldnn, "_linear_pointwise")
LARGE = 1 << 20  # multiplications from which on an operator of our own is worth its call


def affine(x: Float[Tensor, "*rows width"], weight: Float[Tensor, "dim width"], bias: Tensor | None = None) -> Tensor:
    """x W^T + b, as `F.linear`: (*rows, dim). The bias is (dim,), or for a matrix `x` also (row, dim)."""
    matrix = bias if bias is not None and bias.dim() > 1 else None
    if not _worth(x, weight):
        return F.linear(x, weight, bias) if matrix is None else torch.addmm(matrix, x, weight.T)
    product = _affine(x.flatten(0, -2).contiguous(), weight, bias if matrix is None else None)
    return product.unflatten(0, x.shape[:-1]) if matrix is None else product + matrix


def affine_each(
    x: Float[Tensor, "stack row width"], weight: Float[Tensor, "stack dim width"], bias: Tensor | None = None
) -> Float[Tensor, "stack row dim"]:
    """`affine` of each matrix of a stack, with a weight and a bias of its own: (stack, dim) or (stack, row, dim)."""
    if rows.on_cpu(x):
        biases = [None] * len(x) if bias is None else bias
        return torch.stack([affine(*each) for each in zip(x, weight, biases, strict=True)])
    if bias is None:
        return torch.bmm(x, weight.mT)
    return torch.baddbmm(bias if bias.dim() == 3 else bias[:, None], x, weight.mT)


def dense(
    a: Float[Tensor, "row width"], b: Float[Tensor, "width dim"], *, traced: bool = True
) -> Float[Tensor, "row dim"]:
    """The product of two dense matrices; for use inside of operators, since it has no gradient of its own.

    What is never compiled, `traced=False`, calls no operator: torch takes a second of CPU before the first one.
    """
    if not _worth(a, b):
        return a @ b
    return _dense(a, b) if traced else _product(a, b)


def _worth(a: Tensor, b: Tensor) -> bool:
    if not (ONEDNN and rows.on_cpu(a) and a.dim() > 1 and a.dtype == b.dtype == torch.float32):
        return False
    return a.numel() * (b.numel() // max(a.shape[-1], 1)) >= LARGE and not torch.is_autocast_enabled("cpu")


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(_ordered(x), _ordered(weight), bias, "none", [], "")


def _ordered(x: Tensor) -> Tensor:
    """The same without gaps between its rows, or its columns: oneDNN takes a thousand times as long where there are."""
    return x.detach() if x.is_contiguous() or x.T.is_contiguous() else x.detach().contiguous()


@custom_op("mmkd::affine", mutates_args=())
def _affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _onednn(x, weight, None if bias is None else bias.detach())


@_affine.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(len(x), len(weight))


def _product(a: Tensor, b: Tensor) -> Tensor:
    if a.is_contiguous() or a.numel() <= b.numel():
        return _onednn(a, b.T)
    return _onednn(b.T, a).T.contiguous()  # what comes first is copied unless it is in order: the smaller


_dense = custom_op("mmkd::dense", _product, mutates_args=())


@_dense.register_fake
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(len(a), b.shape[1])


def _affine_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    of_x = dense(grad, weight) if ctx.needs_input_grad[0] else None
    of_weight = dense(grad.T, x) if ctx.needs_input_grad[1] else None
    return of_x, of_weight, grad.sum(0) if ctx.needs_input_grad[2] else None


_affine.register_autograd(
    _affine_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs[:2])
)
