"""Layers that more than one model uses, and the feature reduction of Eq. 4."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmkd_core.data import DataError, Dataset
from mmkd_core.kernels import affine


def embedding(rows: int, dim: int) -> nn.Embedding:
    """A trainable table (rows, dim), Xavier-uniform as in the paper's Sec. 4.1.3."""
    table = nn.Embedding(rows, dim)
    nn.init.xavier_uniform_(table.weight)
    return table


class Linear(nn.Linear):
    """torch's linear layer, sooner on a CPU."""

    def forward(self, input: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows dim"]:
        return affine(input, self.weight, self.bias)


def linear(width: int, dim: int) -> Linear:
    """A linear layer whose weight starts Xavier-uniform and whose bias starts at zero."""
    layer = Linear(width, dim)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def unit_rows(x: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
    """Each row divided by its norm; a row of zeros stays zero and its gradient stays finite."""
    return _UnitRows.apply(x)  # pyright: ignore[reportReturnType]


class _UnitRows(torch.autograd.Function):
    """With the gradient in closed form, in half the kernels of autograd's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        norm = x.norm(dim=-1, keepdim=True)
        norm.masked_fill_(norm == 0, 1)
        unit = x / norm
        ctx.save_for_backward(unit, norm)
        return unit

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        unit, norm = ctx.saved_tensors
        along = (grad_outputs[0] * unit).sum(-1, keepdim=True)
        return torch.addcmul(grad_outputs[0], unit, along, value=-1).div_(norm)


def unit_features(x: Float[Tensor, "item feat"]) -> Float[Tensor, "item feat"]:
    """`unit_rows` of raw features, whose scale nobody knows: squares neither vanish nor overflow.

    Each row is first multiplied by a power of two, which changes no digit of the result.
    """
    exponent = torch.frexp(x.abs().amax(1, keepdim=True)).exponent
    return unit_rows(torch.ldexp(x.double(), -exponent).to(x.dtype))


def standardise(x: Float[Tensor, "item feat"]) -> Float[Tensor, "item feat"]:
    """Columns of mean 0 and variance 1 over the items that have the modality; a constant column becomes 0.

    A row of zeros means that the item lacks the modality: it stays zero, which is the mean. The unit of the features
    plays no part. Constant is a column whose values differ from their mean by no more than float32 rounds its largest
    by, or by less than a millionth of the largest of nine columns in ten: networks leave such noise where a unit is
    dead (three of the 384 columns of LFM-2K's sentences are below 1e-7).
    """
    present = (x != 0).any(dim=1, keepdim=True)
    count = present.sum().clamp_min(1)
    mean = x.double().sum(0) / count
    centred = torch.where(present, x - mean, 0)
    deviation = (centred.square().sum(0) / count).sqrt()
    largest = x.double().abs().amax(0)
    usual = largest.kthvalue(1 + (len(largest) - 1) // 10).values  # a tenth of the columns may be smaller
    varies = centred.abs().amax(0) > (torch.finfo(torch.float32).eps * largest).clamp_min(1e-6 * usual)
    return torch.where(varies, centred / torch.where(varies, deviation, 1), 0).float()


class Features(nn.Module):
    """The items' raw features as constants: one matrix (item, d_m) per modality, in the order of the modalities' names.

    `transform` is applied once, here. They are buffers: not trained, and not part of a `state_dict`. A row of zeros is
    a missing modality. Raises `DataError` when the data set has no modality.
    """

    def __init__(self, data: Dataset, transform: Callable[[Tensor], Tensor] = standardise) -> None:
        super().__init__()
        if not data.features:
            raise DataError(
                f"{data.name}: no modality; this model needs item features, for example image_feat.npy in the folder"
            )
        self.modalities = tuple(sorted(data.features))
        self.widths = tuple(data.features[modality].shape[1] for modality in self.modalities)
        for index, modality in enumerate(self.modalities):
            self.register_buffer(f"matrix_{index}", transform(data.features[modality]), persistent=False)

    def __len__(self) -> int:
        return len(self.modalities)

    def __iter__(self) -> Iterator[Float[Tensor, "item _"]]:
        return (self.get_buffer(f"matrix_{index}") for index in range(len(self)))


class Reduction(nn.Module):
    """Feature reduction of all modalities (Eq. 4): f^m = dropout((X^m + rate P P^T X^m / I) W^m + b^m).

    X^m is standardised. The prompt P (item, dim) enters after the projection, (X + l P P^T X) W = XW + l P (P^T (XW)),
    which costs 4 I d^2 in place of 4 I d d_m and never builds an item-by-item matrix. The 1/I keeps its scale free of
    the catalogue's size. Modalities lie side by side.
    """

    def __init__(self, data: Dataset, dim: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.features = Features(data)
        self.weights = nn.ParameterList(
            nn.init.xavier_uniform_(nn.Parameter(torch.empty(width, dim))) for width in self.features.widths
        )
        self.bias = nn.Parameter(torch.zeros(len(self.features) * dim))

    def project(self) -> Float[Tensor, "item feat"]:
        """XW of all modalities side by side, (item, modalities x dim)."""
        parts = [affine(x, weight.T) for x, weight in zip(self.features, self.weights, strict=True)]
        return torch.cat(parts, dim=1)

    def forward(self, prompt: Float[Tensor, "item dim"] | None, rate: float) -> Float[Tensor, "item feat"]:
        """f of all modalities side by side, (item, modalities x dim); without a prompt plain linear reduction."""
        x = self.project()
        if prompt is not None:
            x = torch.addmm(x, prompt, prompt.T @ x, alpha=rate / len(x))
        return F.dropout(x + self.bias, self.dropout, self.training)
