"""What `export` writes, read back with NumPy alone: the two tables, what each user has seen, and the card.

`refresh` adds versions to a folder: `versions/2` is an export in itself, and the file `current` says which one serves.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int64

from mmkd_core.files import CARD, IDS, read_json, sha256_of, write_json
from mmkd_core.settings import quoted

if TYPE_CHECKING:
    from mmkd_core.datasets.ids import Ids

FORMAT = 1
ARRAYS, TENSORS, ONNX = "tables.npz", "tables.safetensors", "recommend.onnx"
CURRENT, VERSIONS = "current", "versions"


class Export(NamedTuple):
    """User u's score of item i is `users[u] @ items[i]`; u has seen `seen_items[seen_indptr[u] : seen_indptr[u + 1]]`.

    The tables are float32 or float16, `seen_indptr` int64 and `seen_items` int32. `card` says where they come from.
    """

    users: Float[np.ndarray, "user dim"]
    items: Float[np.ndarray, "item dim"]
    seen_indptr: Int64[np.ndarray, " user_and_1"]
    seen_items: Int[np.ndarray, " edge"]
    card: dict[str, Any]


def current(folder: str | Path) -> Path:
    """The folder whose files serve: of an export that was refreshed its newest version, else the export itself.

    It stays whole while the next version is made. Raises `ValueError` where the file `current` names no version.
    """
    folder = Path(folder)
    try:
        text = (folder / CURRENT).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return folder
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{folder / CURRENT}: cannot be read ({error}); expected a text such as {VERSIONS}/1"
        ) from None
    if text != "." and not re.fullmatch(rf"{VERSIONS}/[1-9][0-9]{{0,8}}", text):
        raise ValueError(
            f"{folder / CURRENT}: got {quoted(text)}; expected {VERSIONS}/1 or another version that is there, or a dot "
            "for the export as it was trained"
        )
    return folder / text


def in_precision(table: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, int | None]:
    """The table in `dtype`, and its first row that holds NaN, infinity or more than `dtype` can, if there is one."""
    with np.errstate(over="ignore"):  # told by the row
        array = np.ascontiguousarray(table.astype(dtype))
    wrong = np.flatnonzero(~np.isfinite(array).all(axis=1))
    return array, int(wrong[0]) if len(wrong) else None


def write_files(
    folder: Path, arrays: Mapping[str, np.ndarray], ids: Ids | None, k: int | None, card: Mapping[str, Any]
) -> dict[str, Any]:
    """Fills an empty folder with the files of an export; returns the card, to which what there is in them is added.

    `arrays` are those of `Export` by name, `ids` the caller's if there are any, `k` the length of the lists of
    recommend.onnx if there is to be one.
    """
    from safetensors.numpy import save_file

    np.savez(folder / ARRAYS, **arrays)  # pyright: ignore[reportArgumentType]
    save_file({**arrays}, folder / TENSORS)
    if ids is not None:
        from mmkd_core.datasets.ids import write_ids

        write_ids(folder / IDS, ids)
    if k is not None:
        from mmkd_core.onnx_graph import write_onnx

        write_onnx(folder / ONNX, arrays["items"], k)
    told = {name: {"shape": list(array.shape), "dtype": str(array.dtype)} for name, array in arrays.items()}
    files = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
    made = {"format": FORMAT, "arrays": told} | {**card} | {"arrays": told, "onnx": k and {"k": k}, "files": files}
    write_json(folder / CARD, made)
    return made


def read_export(folder: str | Path) -> Export:
    """What serves of a folder that `export` wrote, its newest version if it was refreshed, checked against the sums.

    Raises `ValueError` naming the file that is missing, damaged or none of an export.
    """
    return read_files(current(folder))


def read_files(folder: Path) -> Export:
    """The files of an export that lie in `folder` itself, whichever version of it serves. Raises as `read_export`."""
    card = read_card(folder)
    for name, expected in card["files"].items():
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name}: missing, and {CARD} lists it; export the record again")
        if (got := sha256_of(folder / name)) != expected:
            raise ValueError(
                f"{folder / name}: damaged: got sha256 {got}; expected {expected}; export the record again"
            )
    path = folder / ARRAYS
    try:
        with np.load(path, allow_pickle=False) as arrays:
            export = Export(*(arrays[name] for name in Export._fields[:-1]), card=card)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not the tables of an export ({error}); export the record again") from None
    _check_shapes(path, export)
    return export


def read_card(folder: Path) -> dict[str, Any]:
    """The card in a folder alone. Raises `ValueError` for a folder that holds none, or that of something else."""
    return read_json(folder / CARD, _card, "card of an export", "mmkd export")


def _card(values: Any) -> dict[str, Any]:
    if not isinstance(values, Mapping) or values["format"] != FORMAT:
        raise ValueError(f"got {quoted(values)}; expected format {FORMAT}")
    if not isinstance(files := values["files"], Mapping) or not {ARRAYS} <= set(files) <= {ARRAYS, TENSORS, IDS, ONNX}:
        raise ValueError(f"got the files {quoted(files)}; expected {ARRAYS} and the others of an export")
    if not isinstance(name := values["data"]["name"], str):
        raise TypeError(f"got the data {quoted(name)}, expected a name")
    return dict(values)


def _check_shapes(path: Path, export: Export) -> None:
    users, items, indptr, seen, _ = export
    kinds = [array.dtype.kind for array in export[:-1]]
    if kinds != ["f", "f", "i", "i"] or [array.ndim for array in export[:-1]] != [2, 2, 1, 1]:
        raise ValueError(f"{path}: got kinds {kinds}; expected two matrices of floats and two vectors of whole numbers")
    if users.shape[1] != items.shape[1]:
        raise ValueError(f"{path}: got shapes {users.shape} and {items.shape}; expected tables of one width")
    bounds = (
        len(indptr) == len(users) + 1 and indptr[0] == 0 and indptr[-1] == len(seen) and (np.diff(indptr) >= 0).all()
    )
    if not bounds or (len(seen) and not (seen.min() >= 0 and seen.max() < len(items))):
        raise ValueError(f"{path}: seen_indptr and seen_items do not fit the tables; expected item numbers by user")
