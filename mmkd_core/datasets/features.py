"""Item features: `.npy` files are read here alone, and words become numbers here alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from scipy.sparse import csr_array
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from torch import Tensor

from mmkd_core.data import DataError

SVD_WIDTH = 128
_EXPECTED = "expected a .npy array of numbers, shape (num_items, width)"


def _without_suffix(stem: str) -> str:
    return stem.removesuffix("_feat")


def feature_files(
    folder: Path, pattern: str = "*_feat.npy", modality_of: Callable[[str], str] = _without_suffix
) -> dict[str, Path]:
    """Modality -> file; `modality_of` names it by the file's stem. Raises `DataError` when two files make one."""
    files: dict[str, Path] = {}
    for path in sorted(folder.glob(pattern)):
        modality = modality_of(path.stem)
        if modality in files:
            raise DataError(f"{folder}: got {files[modality].name} and {path.name}; expected one file a modality")
        files[modality] = path
    return files


def read_features(files: dict[str, Path]) -> dict[str, Float32[Tensor, "_ feat"]]:
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


def tfidf_features(counts: csr_array) -> Float32[Tensor, "item feat"]:
    """Items x words counts as float32 features, TF-IDF with sublinear counts, of at most 128 columns.

    More words than that are reduced by a truncated SVD with a fixed seed; equal across machines only up to rounding.
    """
    transformer = TfidfTransformer(sublinear_tf=True)
    weighted = csr_array(transformer.fit_transform(counts))
    if len(transformer.idf_) <= SVD_WIDTH:
        return torch.from_numpy(weighted.toarray().astype(np.float32))
    reduced = TruncatedSVD(SVD_WIDTH, random_state=0).fit_transform(weighted)
    return torch.from_numpy(np.ascontiguousarray(reduced, dtype=np.float32))
