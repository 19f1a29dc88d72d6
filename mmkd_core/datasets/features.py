"""Item features in `.npy` files: the one place where they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmkd_core.data import DataError

_EXPECTED = "expected a .npy array of numbers, shape (num_items, width)"


def feature_files(folder: Path, pattern: str = "*_feat.npy") -> dict[str, Path]:
    """Modality -> file, in alphabetical order; the modality is the file's stem without `_feat`."""
    files: dict[str, Path] = {}
    for path in sorted(folder.glob(pattern)):
        modality = path.stem.removesuffix("_feat")
        if modality in files:
            raise DataError(f"{folder}: got {files[modality].name} and {path.name}; expected one file a modality")
        files[modality] = path
    return files


def read_features(files: dict[str, Path]) -> dict[str, Tensor]:
    """Each file's array as a float32 tensor of shape (rows, width). Raises `DataError` naming the file."""
    return {modality: torch.from_numpy(_read(path)) for modality, path in files.items()}


def _read(path: Path) -> np.ndarray:
    try:
        # Mapped first: the size that the header claims is held against the file before memory is taken for it.
        stored = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {_EXPECTED}") from None
    except (OSError, ValueError, EOFError, OverflowError) as error:
        size = path.stat().st_size
        raise DataError(
            f"{path}: {size} bytes that are no whole .npy array of numbers ({error}); {_EXPECTED}; fetch it again"
        ) from error
    if stored.dtype.kind not in "fiub" or stored.ndim != 2:
        raise DataError(f"{path}: got shape {stored.shape} of dtype {stored.dtype}; {_EXPECTED}")
    # float32 before anything else: TikTok's float16 overflows in sums. What float32 cannot hold becomes infinity,
    # which Dataset refuses with the row.
    with np.errstate(over="ignore"):
        return np.array(stored, dtype=np.float32, order="C")
