"""Sparse matrices as modules: a constant one, and a pattern whose values are computed."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmkd_core import kernels
from mmkd_core.kernels import (
    by_column,
    of_columns,
    pattern_product,
    pattern_product_at,
    pattern_scores,
    product,
    product_at,
    ranges,
    segment_softmax,
    starts,
)


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
        return self(x)

    def forward(
        self, x: Float[Tensor, "cols dim"], rows: Int[Tensor, " row"] | None = None
    ) -> Float[Tensor, "row dim"]:
        """The product with a dense matrix, or its rows `rows`, which may repeat.

        O(edges x dim), with `rows` on a CPU O(their edges x dim), memory of the result alone. A tracer
        follows a call only.
        """
        if x.shape[0] != self.shape[1]:
            raise ValueError(f"got {x.shape[0]} rows for a graph of shape {self.shape}; expected {self.shape[1]}")
        return product(x, *self.matrices) if rows is None else product_at(x, rows, *self.matrices)

    @property
    def matrices(self) -> tuple[Tensor, ...]:
        """The matrix and its transpose, as kernels take them."""
        transposed = (self.transposed_crow, self.transposed_col, self.transposed_values)
        return (self.crow, self.col, self.values, *transposed)

    def dense_rows(self, rows: Int[Tensor, " batch"]) -> Float[Tensor, "batch cols"]:
        """The named rows as a dense matrix."""
        row, position = ranges(self.crow[rows].long(), self.crow[rows + 1].long())
        dense = self.values.new_zeros(len(rows), self.shape[1])
        dense[row, self.col[position].long()] = self.values[position]
        return dense


class Pairs(nn.Module):
    """A set of pairs of a row and a column of a matrix of shape (rows, cols), which says what it holds."""

    cells: Tensor  # the pairs in ascending order, then a number larger than any
    crow: Tensor
    col: Tensor

    def __init__(self, rows: Int[Tensor, " edge"], cols: Int[Tensor, " edge"], shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        cells = (rows * shape[1] + cols).sort().values
        last = cells.new_full((1,), torch.iinfo(cells.dtype).max)
        crow = starts(cells // shape[1], shape[0])
        buffers = {"cells": torch.cat([cells, last]), "crow": crow, "col": (cells % shape[1]).to(torch.int32)}
        for name, x in buffers.items():
            self.register_buffer(name, x, persistent=False)

    def holds(self, rows: Int[Tensor, " batch"], cols: Int[Tensor, " list"]) -> Bool[Tensor, "batch list"]:
        """Whether each of the named rows is paired with each of the named columns."""
        return kernels.holds(self.cells, self.crow, self.col, rows, cols, self.shape[1])


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
        buffers = {"crow": starts(rows, shape[0]), "row": rows, "col": cols}
        buffers |= {"transposed_crow": starts(cols[by_col], shape[1]), "transposed_col": rows[by_col]}
        for name, x in (buffers | {"transposed_order": by_col}).items():
            self.register_buffer(name, x.to(torch.int32), persistent=False)

    @property
    def _places(self) -> tuple[Tensor, ...]:
        transposed = (self.transposed_crow, self.transposed_col, self.transposed_order)
        return (self.crow, self.row, self.col, *transposed)

    def product(
        self, values: Float[Tensor, " edge"], x: Float[Tensor, "cols dim"], rows: Int[Tensor, " row"] | None = None
    ) -> Float[Tensor, "row dim"]:
        """The matrix of these values times `x`, or the rows `rows` of that, which may repeat; as `Graph.forward`."""
        if rows is None:
            return pattern_product(values, x, *self._places)
        return pattern_product_at(values, x, rows, *self._places)

    def scores(self, left: Float[Tensor, "rows dim"], right: Float[Tensor, "cols dim"]) -> Float[Tensor, " edge"]:
        """The inner products left[row] . right[col] of the entries, and of no other pair."""
        return pattern_scores(left, right, *self._places)

    def softmax(self, values: Float[Tensor, " edge"]) -> Float[Tensor, " edge"]:
        """Softmax over the entries of each row."""
        return segment_softmax(values, self.crow, self.row)

    def of_columns(self, x: Float[Tensor, "cols feat"]) -> Float[Tensor, "edge feat"]:
        """The row of `x` that belongs to each entry's column."""
        return of_columns(x, self.col, self.transposed_crow, self.transposed_order)

    def by_column(self, values: Float[Tensor, " edge"]) -> Float[Tensor, " edge"]:
        """The values in the order of the transposed pattern's entries: by column, then by row."""
        return by_column(values, self.transposed_order)
