"""Lines and numbers of text files, with the line in every error. What is no number to the letter is none."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from mmkd_core.data import DataError
from mmkd_core.datasets.files import read_bytes
from mmkd_core.settings import quoted

LARGEST = 2**63 - 1
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")


def read_text(path: Path, encoding: str = "utf-8-sig") -> str:
    """The file's text, lines ending in \\n whichever way they ended. Raises `DataError` naming the file."""
    try:
        text = read_bytes(path, "expected a text file").decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not {encoding} text (byte {error.start}); expected a text file") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path, encoding: str = "utf-8-sig") -> list[tuple[int, str]]:
    """(line number counted from 1, line) of every line that is not empty. Blanks alone are empty, tabs are fields."""
    lines = read_text(path, encoding).split("\n")
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip(" ")]


def read_columns(path: Path, lines: Sequence[tuple[int, str]], separator: str, names: Sequence[str]) -> list[list[str]]:
    """The fields of `lines`, one list per column. Raises `DataError` with file and line for more or fewer fields."""
    rows = []
    for number, line in lines:
        if (fields := line.count(separator) + 1) != len(names):
            raise DataError(f"{path}, line {number}: got {fields} fields; expected {len(names)}: {quoted(list(names))}")
        rows.append(line.split(separator))
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]


def is_integer(word: str) -> bool:
    """Whether `word` is an integer of 64 bits in its one spelling: ASCII digits after a minus sign or none.

    `int` takes more: 1_23 and 12_3 would be one user, and so would 0123 and the digits of every script. Ids of 19
    digits are what large services give.
    """
    try:
        return abs(number := int(word)) <= LARGEST and str(number) == word
    except ValueError:  # which is also what a number of thousands of digits raises
        return False


def is_decimal(word: str) -> bool:
    """Whether `word` is a decimal number in ASCII, such as 4, 3.5 or 1e-3; neither NaN nor infinity is."""
    return _DECIMAL.fullmatch(word) is not None


def integers(words: Sequence[str], path: Path, places: Sequence[int]) -> Int64[np.ndarray, " edge"]:
    """`words` as int64. Raises `DataError` with file and line (of `places`) for what `is_integer` refuses."""
    different = {*words}  # an id stands in many lines
    if not all(map(is_integer, different)):
        bad = next(row for row, word in enumerate(words) if not is_integer(word))
        raise DataError(
            f"{path}, line {places[bad]}: got {quoted(words[bad])}; expected an integer below 2^63, in the digits 0 "
            "to 9, without leading zeros"
        )
    numbers = {word: int(word) for word in different}
    return np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))


def decimals(words: Sequence[str], path: Path, places: Sequence[int]) -> Float64[np.ndarray, " edge"]:
    """`words` as float64. Raises `DataError` with file and line (of `places`) for what is no decimal number."""
    for word, place in zip(words, places, strict=True):
        if not is_decimal(word):
            raise DataError(f"{path}, line {place}: got {quoted(word)}; expected a number such as 4 or 3.5")
    return np.array([float(word) for word in words], dtype=np.float64)
