"""Lines and integers of text files, with the line in every error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from mmkd_core.data import DataError


def read_text(path: Path, encoding: str = "utf-8-sig") -> str:
    """The file's text. Raises `DataError` naming the file when it is missing or not text in `encoding`."""
    try:
        return path.read_text(encoding=encoding)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a text file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not {encoding} text (byte {error.start}); expected a text file") from error


def read_lines(path: Path, encoding: str = "utf-8-sig") -> list[tuple[int, str]]:
    """(line number counted from 1, line) of every line that is not blank."""
    lines = read_text(path, encoding).split("\n")
    return [(number, line.rstrip("\r")) for number, line in enumerate(lines, 1) if line.strip()]


def read_columns(path: Path, lines: Sequence[tuple[int, str]], separator: str, names: Sequence[str]) -> list[list[str]]:
    """The fields of `lines`, one list a column. Raises `DataError` with file and line for another number of fields."""
    rows = []
    for number, line in lines:
        fields = line.split(separator)
        if len(fields) != len(names):
            raise DataError(f"{path}, line {number}: got {len(fields)} fields; expected {len(names)}: {list(names)}")
        rows.append(fields)
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]


def integers(words: Sequence[str], path: Path, places: Sequence[int]) -> Int64[np.ndarray, " edge"]:
    """`words` as int64. Raises `DataError` with file and line (of `places`) for what is no integer of 64 bits."""
    try:
        return np.array([int(word) for word in words], dtype=np.int64)
    except (ValueError, OverflowError):
        row = next(row for row, word in enumerate(words) if not _is_integer(word))
        raise DataError(f"{path}, line {places[row]}: got {words[row]!r}; expected an integer") from None


def _is_integer(word: str) -> bool:
    try:
        return abs(int(word)) < 2**63
    except ValueError:
        return False
