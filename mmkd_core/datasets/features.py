"""Item features: `.npy` files are read here alone, and words become numbers here alone."""

import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from scipy.sparse import csr_array
from torch import Tensor

from mmkd_core.data import DataError
from mmkd_core.datasets.assemble import Splits, counted
from mmkd_core.datasets.files import check_file, visible
from mmkd_core.settings import quoted

SVD_WIDTH = 128
FEATURES = "*_feat.npy"
# Files in which others keep matrices: what is seen of them and not read is said.
_MATRICES = (".npy", ".npz", ".pt", ".pth", ".pkl", ".pickle", ".h5", ".hdf5", ".mat", ".safetensors", ".parquet")
_EXPECTED = "expected a .npy array of numbers, shape (num_items, width)"


def feature_files(folder: Path, pattern: str, modality_of: Callable[[str], str]) -> dict[str, Path]:
    """Modality -> file; `modality_of` names it by the file's stem. Raises `DataError` when two files make one."""
    files: dict[str, Path] = {}
    for path in visible(folder, pattern):
        modality = modality_of(path.stem)
        if modality in files:
            raise DataError(f"{folder}: got {files[modality].name} and {path.name}; expected one file a modality")
        files[modality] = path
    return files


def npy_features(
    folder: Path, splits: Splits, pattern: str = FEATURES
) -> tuple[dict[str, Float32[Tensor, "_ feat"]], dict[str, Path], list[str]]:
    """Those of the folder's `.npy` files that are item features, their files, and a sentence on what is not read.

    A file called `*_feat.npy` is meant to be features; a `DataError` names it if it is none. Any other is one if it is
    a matrix of numbers with one row per item, and no graph of the items: square with zeros on the diagonal. Rows may be
    more than 1 + the largest id among the interactions; there may be new items. Tensors are float32, (rows, width).
    """
    files = feature_files(folder, pattern, lambda stem: stem.removesuffix("_feat"))
    arrays = {modality: open_npy(path) for modality, path in files.items()}
    named = [modality for modality, path in files.items() if path.match(FEATURES)]
    problems = {modality: problem_of(array, modality in named) for modality, array in arrays.items()}
    for modality in named:
        if problems[modality]:
            raise DataError(f"{files[modality]}: {problems[modality]}")
    possible = {modality: len(arrays[modality]) for modality in arrays if not problems[modality]}
    rows = {possible[modality] for modality in named}
    users, items = counted(splits)
    if not named:
        rows = {size for size in possible.values() if size == items or (size > items and size != users)}
        rows = {items} if items in rows else rows
    for modality, size in possible.items():
        if size not in rows:
            expected = f"expected one an item, {' or '.join(map(str, sorted(rows or {items})))}"
            problems[modality] = f"got {size} rows, {'one a user; ' if size == users else ''}{expected}"
    notes = [f"{files[modality]}: not read ({problem})" for modality, problem in problems.items() if problem]
    files = {modality: path for modality, path in files.items() if not problems[modality]}
    # float32 before anything else: TikTok's float16 overflows in sums. What float32 cannot hold becomes infinity,
    # which Dataset refuses with the row.
    with np.errstate(over="ignore"):
        read = {modality: np.array(arrays[modality], dtype=np.float32, order="C") for modality in files}
    features = {modality: torch.from_numpy(x) for modality, x in read.items()}
    return features, files, notes + unread(folder, splits, pattern, bool(files))


def problem_of(array: np.ndarray, named: bool) -> str | None:
    """Why an array is no features, if it is none."""
    if array.dtype.hasobject:
        said = "Python objects, which are not read, and no whole .npy array of numbers"
        return f"{'' if named else 'got '}{said}; {_EXPECTED}"
    if array.dtype.kind not in "fiub" or array.ndim != 2:
        return f"got shape {quoted(array.shape)} of dtype {quoted(str(array.dtype))[1:-1]}; {_EXPECTED}"
    if not named and array.shape[0] == array.shape[1] and not np.diagonal(array).any():
        return f"got a graph, {len(array)} × {len(array)} with zeros on the diagonal; {_EXPECTED}"
    return None


def open_npy(path: Path) -> np.ndarray:
    """The array in `path`, on disk; without anything in it where it holds Python objects, which are not read."""
    check_file(path, _EXPECTED)
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a damaged header says when it is parsed
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0), (3, 0)):
                raise ValueError(f"the version of the format is {version}")
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = reader(file)
            if dtype.hasobject:
                return np.empty(0, dtype=dtype)
            # Sizes are held against the file before memory is taken for them.
            if min(shape, default=0) < 0:
                raise ValueError(f"a negative length, {min(shape)}")
            needed, held = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
            if needed != held:
                raise ValueError(f"the header says {needed} bytes of numbers and {held} follow it")
            if not needed:
                return np.empty(shape, dtype=dtype)
            return np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran else "C")
    # The header is a Python literal, and what is none fails in every way that Python's own parser can.
    except Exception as error:
        size = path.stat().st_size
        raise DataError(
            f"{path}: {size} bytes that are no whole .npy array of numbers ({quoted(str(error))[1:-1]}); {_EXPECTED}; "
            "fetch it again"
        ) from error


def unread(folder: Path, splits: Splits, pattern: str, any_features: bool) -> list[str]:
    """A sentence on the files that may hold features and are not read: those of no split and not called `pattern`.

    Without any features every file may be meant, and so may be those of the folder above, of which `5-core/` and the
    like often are a part.
    """
    names_read = {pairs.file.name for pairs in splits.values()}
    others = [path for path in visible(folder, "*") if not path.match(pattern) and path.name not in names_read]
    others = [path for path in others if not any_features or path.suffix.lower() in _MATRICES]
    if not any_features or re.fullmatch(r"\d+-core", folder.name):
        above = visible(folder.resolve().parent, "*feat*")
        others += [path for path in above if path.suffix.lower() in _MATRICES]
    if not others:
        return []
    names = [path.name if path.parent == folder else str(path) for path in others]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    none = "" if any_features else "no features; "
    return [f"{folder}: {none}seen and not read: {', '.join(names[:8])}{more}; features are read from {pattern} here"]


def tfidf_features(counts: csr_array, width: int | None = SVD_WIDTH) -> Float32[Tensor, "item feat"]:
    """Items x words counts as float32 features, TF-IDF with sublinear counts, of at most `width` columns; None: of all.

    More words than that are reduced by a truncated SVD with a fixed seed; equal across machines only up to rounding.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfTransformer

    transformer = TfidfTransformer(sublinear_tf=True)
    weighted = csr_array(transformer.fit_transform(counts))
    if width is None or len(transformer.idf_) <= width:
        return torch.from_numpy(weighted.astype(np.float32).toarray())
    reduced = TruncatedSVD(width, random_state=0).fit_transform(weighted)
    return torch.from_numpy(np.ascontiguousarray(reduced, dtype=np.float32))
