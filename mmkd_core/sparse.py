"""Kernels of sparse matrices: products, inner products at chosen places, and softmax over the entries of a row."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class Graph(nn.Module):
    """A constant sparse matrix of shape (rows, cols); `graph @ x` is dense, differentiable in `x` alone.

    Both the matrix and its transpose are kept as compressed rows, so that forward and backward are the same
    gather-and-sum over rows. That product runs through `embedding_bag`: on a CPU it is about ten times faster than
    torch's own CSR product at these sizes (CONTRIBUTING, design notes).
    The tensors are buffers: they move with a model's `.to(device)` and stay out of its `state_dict`.
    """

    crow: Tensor
    col: Tensor
    values: Tensor
    transposed_crow: Tensor
    transposed_col: Tensor
    transposed_values: Tensor

    def __init__(
        self, rows: Int[Tensor, " edge"], cols: Int[Tensor, " edge"], values: Tensor, shape: tuple[int, int]
    ) -> None:
        super().__init__()
        self.shape = shape
        for prefix, (first, second), size in (("", (rows, cols), shape[0]), ("transposed_", (cols, rows), shape[1])):
            order = torch.argsort(first, stable=True)
            counts = torch.bincount(first, minlength=size)
            crow = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
            self.register_buffer(f"{prefix}crow", crow.to(torch.int32), persistent=False)
            self.register_buffer(f"{prefix}col", second[order].to(torch.int32), persistent=False)
            self.register_buffer(f"{prefix}values", values[order].to(torch.float32), persistent=False)

    def __matmul__(self, x: Float[Tensor, "cols dim"]) -> Float[Tensor, "rows dim"]:
        """The product with a dense matrix; O(edges x dim), memory of the result alone."""
        if x.shape[0] != self.shape[1]:
            raise ValueError(f"got {x.shape[0]} rows for a graph of shape {self.shape}; expected {self.shape[1]}")
        return _Product.apply(x, self)  # pyright: ignore[reportReturnType]

    def dense_rows(self, rows: Int[Tensor, " batch"]) -> Float[Tensor, "batch cols"]:
        """The named rows as a dense matrix."""
        row, position = ranges(self.crow[rows].long(), self.crow[rows + 1].long())
        dense = self.values.new_zeros(len(rows), self.shape[1])
        dense[row, self.col[position].long()] = self.values[position]
        return dense


def ranges(start: Int[Tensor, " batch"], stop: Int[Tensor, " batch"]) -> tuple[Tensor, Tensor]:
    """The positions start[b] .. stop[b] - 1 of all b, one after another, and beside them the b that each belongs to.

    Returns (b, position), two int64 vectors as long as all ranges together.
    """
    counts = stop - start
    row = torch.repeat_interleave(torch.arange(len(start), device=start.device), counts)
    offset = torch.arange(len(row), device=start.device) - (counts.cumsum(0) - counts)[row]
    return row, start[row] + offset


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, graph: Graph) -> Tensor:
        ctx.graph = graph
        return _sum_rows(graph.crow, graph.col, graph.values, x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        graph = ctx.graph
        return _sum_rows(graph.transposed_crow, graph.transposed_col, graph.transposed_values, grad_outputs[0]), None


def _sum_rows(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    return F.embedding_bag(
        col, x.contiguous(), crow, mode="sum", per_sample_weights=values.to(x.dtype), include_last_offset=True
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
    return _ListedScores.apply(users, items, rows, lists, parts)  # pyright: ignore[reportReturnType]


class _ListedScores(torch.autograd.Function):
    CHUNK = 256  # rows at once: what they gather stays in a core's cache

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, rows: Tensor, lists: Tensor, parts: int) -> Tensor:
        ctx.save_for_backward(users, items, rows, lists)
        ctx.parts = parts
        chunk = _ListedScores.CHUNK if users.device.type == "cpu" else len(rows)
        scores = users.new_empty(*lists.shape, parts)
        for start in range(0, len(rows), chunk):
            part = slice(start, start + chunk)
            product = F.embedding(lists[part], items).mul_(F.embedding(rows[part], users)[:, None])
            torch.sum(product.unflatten(-1, (parts, -1)), -1, out=scores[part])
        return scores

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        users, items, rows, lists = ctx.saved_tensors
        parts, (batch, length) = ctx.parts, lists.shape
        width = users.shape[1] // parts
        # one row a (user, part): its list is `length` rows of the items' (item x parts, width) view
        cells = (lists[:, None] * parts + torch.arange(parts, device=lists.device)[:, None]).reshape(-1)
        weights = grad_outputs[0].transpose(1, 2).reshape(-1)
        owners = torch.arange(batch * parts, device=lists.device).repeat_interleave(length)
        user_grad = item_grad = None
        if ctx.needs_input_grad[0]:
            crow = torch.arange(0, len(cells) + 1, length, device=lists.device)
            sums = _sum_rows(crow, cells, weights, items.reshape(-1, width)).view(batch, -1)
            once = weights.new_ones(batch)
            user_grad = _sum_at(rows, torch.arange(batch, device=rows.device), once, sums, len(users))
        if ctx.needs_input_grad[1]:
            sources = F.embedding(rows, users).view(-1, width)
            item_grad = _sum_at(cells, owners, weights, sources, len(items) * parts).view(items.shape)
        return user_grad, item_grad, None, None, None


def _sum_at(targets: Tensor, col: Tensor, values: Tensor, x: Tensor, size: int) -> Tensor:
    """`size` rows, the one of each target holding the sum of values * x[col] over its entries, in a fixed order."""
    ordered, order = targets.sort(stable=True)
    return _sum_rows(_starts(ordered, size), col[order], values[order], x)


class Pattern(nn.Module):
    """Where a sparse matrix of shape (rows, cols) has entries; their values come and go, and get gradients as well.

    Values are vectors in the order of `row` and `col`, which is by row. These are buffers, as those of `Graph`.
    """

    crow: Tensor
    row: Tensor
    col: Tensor
    transposed_crow: Tensor
    transposed_col: Tensor
    transposed_order: Tensor  # the entries by column

    def __init__(self, rows: Int[Tensor, " edge"], cols: Int[Tensor, " edge"], shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        order = rows.argsort(stable=True)
        rows, cols = rows[order], cols[order]
        by_col = cols.argsort(stable=True)
        buffers = {"crow": _starts(rows, shape[0]), "row": rows, "col": cols}
        buffers |= {"transposed_crow": _starts(cols[by_col], shape[1]), "transposed_col": rows[by_col]}
        for name, x in (buffers | {"transposed_order": by_col}).items():
            self.register_buffer(name, x.to(torch.int32), persistent=False)

    def product(self, values: Float[Tensor, " edge"], x: Float[Tensor, "cols dim"]) -> Float[Tensor, "rows dim"]:
        """The matrix of these values times `x`."""
        return _PatternProduct.apply(values, x, self)  # pyright: ignore[reportReturnType]

    def scores(self, left: Float[Tensor, "rows dim"], right: Float[Tensor, "cols dim"]) -> Float[Tensor, " edge"]:
        """The inner products left[row] . right[col] of the entries, and of no other pair."""
        return _PatternScores.apply(left, right, self)  # pyright: ignore[reportReturnType]

    def softmax(self, values: Float[Tensor, " edge"]) -> Float[Tensor, " edge"]:
        """Softmax over the entries of each row."""
        return segment_softmax(values, self.crow, self.row)

    def _product(self, values: Tensor, x: Tensor) -> Tensor:
        return _sum_rows(self.crow, self.col, values, x)

    def _transposed_product(self, values: Tensor, x: Tensor) -> Tensor:
        return _sum_rows(self.transposed_crow, self.transposed_col, values.index_select(0, self.transposed_order), x)

    def _scores(self, left: Tensor, right: Tensor) -> Tensor:
        # the gradient of a weighted bag with respect to its weights is exactly this; half the time of gathering rows
        return torch.ops.aten._embedding_bag_per_sample_weights_backward(
            left.contiguous(), right.contiguous(), self.col, self.crow, self.row, mode=0
        )


class _PatternProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, x: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(values, x)
        ctx.pattern = pattern
        return pattern._product(values, x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (values, x), (grad,), pattern = ctx.saved_tensors, grad_outputs, ctx.pattern
        values_grad = pattern._scores(grad, x) if ctx.needs_input_grad[0] else None
        return values_grad, pattern._transposed_product(values, grad) if ctx.needs_input_grad[1] else None, None


class _PatternScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(left, right)
        ctx.pattern = pattern
        return pattern._scores(left, right)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (left, right), (grad,), pattern = ctx.saved_tensors, grad_outputs, ctx.pattern
        left_grad = pattern._product(grad, right) if ctx.needs_input_grad[0] else None
        return left_grad, pattern._transposed_product(grad, left) if ctx.needs_input_grad[1] else None, None


def segment_softmax(
    values: Float[Tensor, " edge"], crow: Int[Tensor, " bound"], row: Int[Tensor, " edge"]
) -> Float[Tensor, " edge"]:
    """Softmax within each segment of a vector: segment r is values[crow[r] : crow[r + 1]], and `row` names it there."""
    return _SegmentSoftmax.apply(values, crow, row)  # pyright: ignore[reportReturnType]


class _SegmentSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, crow: Tensor, row: Tensor) -> Tensor:
        top = torch.segment_reduce(values, "max", offsets=crow)  # -inf for an empty segment, which nobody reads
        weights = (values - top.index_select(0, row)).exp()
        weights = weights / torch.segment_reduce(weights, "sum", offsets=crow).index_select(0, row)
        ctx.save_for_backward(weights, crow, row)
        return weights

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        weights, crow, row = ctx.saved_tensors
        weighted = weights * grad_outputs[0]
        sums = torch.segment_reduce(weighted, "sum", offsets=crow)
        return weighted - weights * sums.index_select(0, row), None, None


def _starts(ordered: Tensor, size: int) -> Tensor:
    """Where each of `size` ids begins in a sorted vector of them, and its length at the end."""
    return torch.searchsorted(ordered, torch.arange(size + 1, device=ordered.device))
