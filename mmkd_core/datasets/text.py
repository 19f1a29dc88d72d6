"""Lines and integers of text files, with the line in every error."""

from __future__ import annotations

from pathlib import Path

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


def integer(text: str, path: Path, line: int) -> int:
    """`text` as an id. Raises `DataError` with file and line when it is no integer that 64 bits hold."""
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or abs(value) >= 2**63:
        raise DataError(f"{path}, line {line}: got {text!r}; expected an integer")
    return value
