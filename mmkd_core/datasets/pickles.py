"""Pickled scipy matrices, read without running anything that the file names.

A pickle is a small program: it names classes and functions and has them called. The reader here counts its opcodes
first, then looks every name up in one table, and what stands in that table are readers of our own, not numpy's or
scipy's functions. Two arrays and a shape come out, and they are checked before any compiled code follows their
indices.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from mmkd_core.data import DataError
from mmkd_core.datasets.files import read_bytes
from mmkd_core.datasets.opcodes import check_opcodes
from mmkd_core.settings import quoted

# Only numbers: a dtype of objects would hold whatever else the pickle made.
_DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_FORMATS = ("coo", "csr", "csc")
_EXPECTED = "expected a pickled scipy.sparse COO, CSR or CSC matrix of numbers"


def _array(raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    if isinstance(raw, str):
        raw = raw.encode("latin1")  # pickles of Python 2 hold bytes as text
    if not isinstance(raw, bytes | bytearray):  # of an integer, bytes would make so many zeros
        raise DataError(f"got an array whose numbers are a {type(raw).__name__}; {_EXPECTED}")
    if not _whole(shape):
        raise DataError(f"got an array of shape {quoted(shape)}; expected a tuple of integers")
    return np.frombuffer(bytes(raw), dtype=dtype.name).reshape(shape, order="F" if order == "F" else "C")


def _whole(shape: Any) -> bool:
    """Whether it is a tuple of integers: neither floats, which would be cut, nor truth values."""
    return isinstance(shape, tuple) and all(type(size) is int for size in shape)


def _readers() -> dict[tuple[str, str], Any]:
    """What each admitted name stands for; made anew for every file, so that no pickle can alter another's."""

    class Matrix:
        """State of a scipy matrix, as plain attributes. `layout` is set by the subclasses."""

        layout = ""

    class Array:
        """numpy.ndarray before and after its state is set."""

        value: np.ndarray

        def __setstate__(self, state: tuple) -> None:
            _, shape, dtype, fortran, raw = state
            self.value = _array(raw, dtype, shape, "F" if fortran else "C")

    class Dtype:
        """numpy.dtype: a letter and a size, to which the state adds the byte order."""

        def __init__(self, spec: str, *_: object) -> None:
            if not isinstance(spec, str) or spec not in _DTYPES:
                raise DataError(f"got an array of dtype {quoted(spec)}; {_EXPECTED}")
            self.name = spec

        def __setstate__(self, state: tuple) -> None:
            self.name = (state[1] if state[1] in ("<", ">") else "|") + self.name

    def reconstruct(kind: type, *_: object) -> object:
        return object.__new__(kind)

    def frombuffer(raw: Any, dtype: Dtype, shape: tuple, order: str) -> Array:
        made = Array()
        made.value = _array(raw, dtype, shape, order)
        return made

    def scalar(dtype: Dtype, raw: Any) -> Any:
        return _array(raw, dtype, (1,), "C")[0].item()

    def encode(text: str, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise DataError(f"got bytes in the encoding {quoted(encoding)}; expected latin1, as pickle writes them")
        return text.encode(encoding)

    # Modules of numpy 1 and 2, the second of each in numpy 1.16.0; of scipy before and after 1.8.
    arrays = [
        f"{core}.{name}" for core in ("numpy.core", "numpy._core") for name in ("multiarray", "_multiarray_umath")
    ]
    matrices = {f"{layout}_{kind}": layout for layout in _FORMATS for kind in ("matrix", "array")}
    made = {name: type(name, (Matrix,), {"layout": layout}) for name, layout in matrices.items()}
    return {
        ("numpy", "ndarray"): Array,
        ("numpy", "dtype"): Dtype,
        ("_codecs", "encode"): encode,  # how protocols 0 to 2 write bytes
        **{(module, "_reconstructor"): reconstruct for module in ("copyreg", "copy_reg")},  # protocols 0 and 1
        **{(module, "object"): object for module in ("builtins", "__builtin__")},
        **{(module, "_reconstruct"): reconstruct for module in arrays},
        **{(module, "scalar"): scalar for module in arrays},
        **{(f"{core}.numeric", "_frombuffer"): frombuffer for core in ("numpy.core", "numpy._core")},
        **{(f"scipy.sparse.{old}{matrices[name]}", name): kind for name, kind in made.items() for old in ("", "_")},
    }


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._readers = _readers()

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in self._readers:
            raise DataError(f"refused: it names {quoted(f'{module_name}.{global_name}')[1:-1]}; {_EXPECTED}")
        return self._readers[module_name, global_name]


def load_matrix(path: Path) -> sp.coo_array:
    """The pickled users x items matrix in `path`, as a float64 COO array without stored zeros or duplicates.

    Raises `DataError` naming `path` when it is missing, is no pickle, names anything but numpy arrays and scipy
    matrices (nothing it names is run), or when its indices, shape or values contradict each other.
    """
    data = read_bytes(path, _EXPECTED)
    try:
        check_opcodes(data)
        matrix = _Unpickler(data).load()
        if not hasattr(matrix, "layout"):
            raise DataError(f"got a pickled {type(matrix).__name__}; {_EXPECTED}")
        return _matrix(matrix.layout, vars(matrix))
    except DataError as error:
        expected = "" if "expected" in str(error) else f"; {_EXPECTED}"
        raise DataError(f"{path}: {error}{expected}") from None
    # A damaged pickle can fail in any way that its opcodes can; all of them mean the same to the caller.
    except Exception as error:
        raise DataError(
            f"{path}: not a whole pickle ({type(error).__name__}: {quoted(str(error))[1:-1]}); {_EXPECTED}"
        ) from error


def _matrix(layout: str, state: dict[str, Any]) -> sp.coo_array:
    shape = state["_shape"]
    if not _whole(shape) or len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] >= 2**63:
        raise DataError(f"got shape {quoted(shape)}; expected (num_users, num_items)")
    if layout == "coo":
        rows, cols = state["coords"] if "coords" in state else (state["row"], state["col"])
        rows, cols = _indices(rows), _indices(cols)
    else:
        minor = _indices(state["indices"])
        major = _expand(_indices(state["indptr"]), shape[0 if layout == "csr" else 1], len(minor))
        rows, cols = (major, minor) if layout == "csr" else (minor, major)
    values = state["data"].value
    if values.ndim != 1 or not len(rows) == len(cols) == len(values):
        raise DataError(f"got {len(rows)} rows, {len(cols)} columns, values {values.shape}; expected as many of each")
    for what, ids, size in (("user", rows, shape[0]), ("item", cols, shape[1])):
        bad = np.flatnonzero((ids < 0) | (ids >= size))
        if len(bad):
            raise DataError(f"entry {bad[0]}: {what} id {ids[bad[0]]} is out of range; expected 0 to {size - 1}")
    values = values.astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        raise DataError(f"entry {bad[0]}: value {values[bad[0]]}; expected a count of interactions, 0 or more")
    matrix = sp.coo_array((values, (rows, cols)), shape=shape)
    with np.errstate(over="ignore"):
        matrix.sum_duplicates()
    bad = np.flatnonzero(~np.isfinite(matrix.data))
    if len(bad):
        user, item = (int(axis[bad[0]]) for axis in matrix.coords)
        raise DataError(f"user {user}, item {item}: values that add up to infinity; expected a count of interactions")
    matrix.eliminate_zeros()
    return matrix


def _indices(stored: Any) -> np.ndarray:
    ids = stored.value
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise DataError(f"got indices of shape {ids.shape} and dtype {ids.dtype}; expected a row of integers")
    return ids.astype(np.int64)


def _expand(indptr: np.ndarray, size: int, stored: int) -> np.ndarray:
    lengths = np.diff(indptr)
    outside = (indptr < 0) | (indptr > stored)  # else a difference may wrap round and look right
    if len(indptr) != size + 1 or indptr[0] != 0 or indptr[-1] != stored or outside.any() or (lengths < 0).any():
        raise DataError(f"index pointer contradicts {size} rows and {stored} entries; expected 0 rising to {stored}")
    return np.repeat(np.arange(size), lengths)
