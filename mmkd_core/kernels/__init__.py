"""Kernels: products with sparse and dense matrices, inner products at chosen places, softmax over the entries of a row.

Each is a `torch.library` operator on plain tensors, with the shape of its result and its gradient registered: a model
that calls them can be compiled whole, exported, and captured as a CUDA graph. Under autocast they compute in float32.
"""

from mmkd_core.kernels.at_rows import layers_at, pattern_product_at, product_at
from mmkd_core.kernels.linear import affine, affine_each, dense
from mmkd_core.kernels.pairs import holds, listed_scores, own_scores
from mmkd_core.kernels.products import by_column, of_columns, pattern_product, pattern_scores, product, segment_softmax
from mmkd_core.kernels.rows import ranges, starts

__all__ = [
    "affine",
    "affine_each",
    "by_column",
    "dense",
    "holds",
    "layers_at",
    "listed_scores",
    "of_columns",
    "own_scores",
    "pattern_product",
    "pattern_product_at",
    "pattern_scores",
    "product",
    "product_at",
    "ranges",
    "segment_softmax",
    "starts",
]
