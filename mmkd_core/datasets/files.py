"""Which files of a folder are data, and whether what stands at a path is a file at all."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmkd_core.errors import DataError
from mmkd_core.files import CARD, IDS
from mmkd_core.settings import quoted

_POINTER = b"version https://git-lfs.github.com/spec/"
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def visible(folder: Path, pattern: str) -> list[Path]:
    """What in `folder` matches, sorted, hidden files left out: macOS puts a `._x` beside each `x` of an archive.

    Where there is an import's card, that and its ids are left out as well: they are no data.
    """
    own = (CARD, IDS) if (folder / CARD).is_file() else ()
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith(".") and path.name not in own)


def pointer_problem(path: Path) -> str | None:
    """What is wrong where a Git LFS pointer stands in place of the file that it names; else None."""
    with path.open("rb") as file:
        if file.read(len(_POINTER)) != _POINTER:
            return None
    return "a Git LFS pointer and not the file itself; run `git lfs pull` in its repository, or fetch it again"


def check_file(path: Path, expected: str) -> None:
    """Raises `DataError`, which names `path`, for what is missing, no regular file, not readable or a Git LFS pointer.

    Nothing is read of a pipe or a device: that could wait for ever.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "no file")
            raise DataError(f"{path}: cannot be read (it is {kind}); {expected}")
        problem = pointer_problem(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {expected}") from error
    if problem:
        raise DataError(f"{path}: {problem}")


def read_bytes(path: Path, expected: str) -> bytes:
    """The file's bytes. Raises `DataError` as `check_file` does."""
    check_file(path, expected)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {expected}") from error


@contextlib.contextmanager
def opened(path: Path, what: str = "interactions") -> Iterator[Any]:
    """The file, open, of which `what` is expected; what pyarrow says of it becomes a `DataError`."""
    check_file(path, f"expected {what} in Parquet")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(f"{path}: reading Parquet needs pyarrow; pip install 'mmkd-book[parquet]'") from None
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file
    except pa.ArrowException as error:
        raise DataError(f"{path}: no whole Parquet file ({quoted(str(error))}); expected {what}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({quoted(str(error))}); expected {what} in Parquet") from error


@contextlib.contextmanager
def readable(name: str) -> Iterator[None]:
    """What the system says of files or memory becomes a `DataError` that names the data set."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{name}: cannot be read ({error.strerror or quoted(str(error))}); expected a data set"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "alloc" not in str(error):  # what torch raises where memory is short
            raise
        raise DataError(f"{name}: takes more memory than there is ({quoted(str(error))})") from error
