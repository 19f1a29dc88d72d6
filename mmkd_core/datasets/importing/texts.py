"""The bytes of a text as pyarrow reads them: unpacked, in UTF-8, and with one character between two fields."""

import codecs
import gzip
import io
from pathlib import Path
from typing import Any

from mmkd_core.errors import DataError
from mmkd_core.settings import quoted

TWO, ONE = b"::", b"\x1f"  # the separator of ml-1m, and what stands for it here: pyarrow's is of one character


def checked_separator(text: str) -> str:
    """The separator that a text stands for: "tab", one character, or "::". Raises `DataError` for any other."""
    separator = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if separator != TWO.decode() and (len(separator) != 1 or not separator.isascii() or separator in '"\r\n\x1f'):
        raise DataError(
            f"got separator={quoted(text)}; expected tab, one character such as ';' or '|' (in ASCII, no quote and no "
            "line end), or '::'; of a longer one, make it one of these first"
        )
    return separator


class _Text(io.RawIOBase):
    """The bytes of a text, unpacked, with `ONE` in place of `TWO` where fields are so `parted`.

    Raises `DataError` for what is no UTF-8, of which pyarrow tells on stderr.
    """

    def __init__(self, path: Path, parted: bool = False) -> None:
        self._path, self._at, self._parted, self._held = path, 0, parted, b""
        self._file = (gzip.open if path.name.lower().endswith(".gz") else open)(path, "rb")
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._parted:
            count = self._file.readinto(buffer)
            self._check(memoryview(buffer)[:count])
            return count
        while True:  # until something is left to give: a lone ":" is held back
            read = self._file.read(len(buffer) - 1)
            self._check(read)
            chunk = self._held + read
            odd = (len(chunk) - len(chunk.rstrip(b":"))) % 2 and bool(read)
            chunk, self._held = (chunk[:-1], b":") if odd else (chunk, b"")
            if chunk or not read:
                break
        chunk = chunk.replace(TWO, ONE)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _check(self, read: Any) -> None:
        count, pending = len(read), len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(read, final=not count)
        except UnicodeDecodeError as error:
            byte = self._at - pending + error.start
            raise DataError(f"{self._path}: no UTF-8 text (byte {byte}); expected a table") from None
        self._at += count

    def close(self) -> None:
        self._file.close()
        super().close()


def text_of(path: Path, parted: bool = False) -> io.BufferedReader:
    """The text at `path` as bytes, which are UTF-8 or a `DataError`."""
    return io.BufferedReader(_Text(path, parted), 2**20)
