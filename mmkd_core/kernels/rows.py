"""Rows of compressed matrices: where they begin, what lies in them, and weighted sums over them."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor


def on_cpu(x: Tensor) -> bool:
    """Whether a kernel works as is best on a CPU: in pieces that stay in its cache, and on what a batch needs alone.

    On a GPU launches cost more than numbers, and no shape may depend on the data.
    """
    return x.device.type == "cpu"


def ranges(start: Int[Tensor, " batch"], stop: Int[Tensor, " batch"]) -> tuple[Tensor, Tensor]:
    """The positions start[b] .. stop[b] - 1 of all b, one after another, and beside them the b that each belongs to.

    Returns (b, position), two vectors as long as all ranges together, of the dtype of the bounds.
    """
    counts = stop - start
    before = counts.cumsum(0, dtype=counts.dtype) - counts
    row = torch.repeat_interleave(torch.arange(len(start), dtype=counts.dtype, device=start.device), counts)
    offset = torch.arange(len(row), dtype=counts.dtype, device=start.device)
    return row, offset + (start - before).index_select(0, row)


def starts(ordered: Tensor, size: int) -> Tensor:
    """Where each of `size` ids begins in a sorted vector of them, and its length at the end."""
    return torch.searchsorted(ordered, torch.arange(size + 1, dtype=ordered.dtype, device=ordered.device))


def sum_rows(crow: Tensor, col: Tensor, values: Tensor | None, x: Tensor) -> Tensor:
    """Row r is the sum of values[e] * x[col[e]], or of x[col[e]], over its entries e = crow[r] .. crow[r + 1] - 1."""
    weights = None if values is None else values.to(x.dtype)
    x = x.detach().contiguous()  # with a gradient, torch would prepare for one of its own
    return F.embedding_bag(col, x, crow, mode="sum", per_sample_weights=weights, include_last_offset=True)


def inner_products(crow: Tensor, row: Tensor, col: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """left[row] . right[col] of each entry of a compressed matrix."""
    if on_cpu(left) and torch.backends.mkl.is_available():  # four times as fast as what follows
        zeros = left.new_zeros(len(col))
        entries = torch.sparse_csr_tensor(crow, col, zeros, (len(left), len(right)), check_invariants=False)
        return torch.sparse.sampled_addmm(entries, left.detach(), right.detach().T, beta=0.0).values()
    # the gradient of a weighted bag with respect to its weights is exactly this; half the time of gathering rows
    weights = torch.ops.aten._embedding_bag_per_sample_weights_backward
    return weights(left.contiguous(), right.contiguous(), col, crow, row, mode=0)


with warnings.catch_warnings():  # torch says once that compressed matrices are new
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(
        torch.zeros(1, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0), (0, 0)
    )


def in_float32(operators: Sequence[Any]) -> None:
    """Has operators compute in float32 under autocast."""
    for operator in operators:
        for device in ("cpu", "cuda"):
            operator.register_autocast(device, torch.float32)
