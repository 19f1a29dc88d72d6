"""EfficientNet-Lite0 as a function of its weights (Tan and Le 2019, arXiv:1905.11946; Lite: no squeeze, and ReLU6).

The file of weights, converted from TensorFlow's, is read as tensors and nothing else; the few lines here make a network
of them. So neither the code of a stranger nor another library is run.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

SIDE = 224
MEAN, SCALE = 127.0, 128.0  # of the Lite variants
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # of the 16 blocks
Weights = Mapping[str, Tensor]


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a .pth file. Raises `ValueError` for one that holds anything else, or another network."""
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of odd pickles, which then are refused
            weights = torch.load(path, map_location="cpu", weights_only=True)
            embedded(np.zeros((1, 32, 32, 3), np.uint8), weights)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); expected EfficientNet-Lite0's weights") from error
    except Exception as error:  # a damaged file fails in every way of zip and pickle, another network's by a name
        said = " ".join(str(error).split())[:80]
        raise ValueError(f"{path}: not the weights of EfficientNet-Lite0 as tensors ({said})") from error
    return weights


def embedded(pictures: UInt8[np.ndarray, "item y x 3"], weights: Weights) -> Float[Tensor, "item 1280"]:
    """What the network says of each picture before its last layer, which would sort them into ImageNet's classes."""
    device = weights["_conv_stem.weight"].device
    x = (torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() - MEAN) / SCALE
    x = F.relu6(_norm(_conv(x, weights["_conv_stem.weight"], 2), weights, "_bn0"))
    for number, stride in enumerate(STRIDES):
        x = _block(x, weights, f"_blocks.{number}.", stride)
    return F.relu6(_norm(_conv(x, weights["_conv_head.weight"]), weights, "_bn1")).mean((2, 3))


def _block(x: Tensor, weights: Weights, name: str, stride: int) -> Tensor:
    """Wide, each channel by itself, narrow again; beside a shortcut where the shape stays."""
    y = x
    if f"{name}_expand_conv.weight" in weights:
        y = F.relu6(_norm(_conv(y, weights[f"{name}_expand_conv.weight"]), weights, f"{name}_bn0"))
    y = _conv(y, weights[f"{name}_depthwise_conv.weight"], stride, groups=y.shape[1])
    y = F.relu6(_norm(y, weights, f"{name}_bn1"))
    y = _norm(_conv(y, weights[f"{name}_project_conv.weight"]), weights, f"{name}_bn2")
    return x + y if x.shape == y.shape else y


def _conv(x: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """With TensorFlow's padding: as much as the stride needs, the odd pixel right and below."""
    sides = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + weight.shape[-1] - size, 0)
        sides += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, sides), weight, stride=stride, groups=groups)


def _norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    mean, variance, weight, bias = (
        weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(x, mean, variance, weight, bias, eps=1e-3)
