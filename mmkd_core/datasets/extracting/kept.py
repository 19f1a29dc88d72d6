"""Rows of features that were computed before: what makes a run that was killed go on, and a rerun do only what is new.

A file of SQLite for each extractor, with its version and weights; in it a row is found by the sha256 of what it was
made from. SQLite commits or does not, so a killed program leaves a file that can be read.
"""

import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pooch
from jaxtyping import Float32

SUM = 4  # bytes of the sum before each row: SQLite does not notice a changed byte


def cache_folder(folder: Path | str | None) -> Path:
    """The folder of all rows: the given one, that which MMKD_FEATURES_CACHE names, or the user's cache."""
    named = folder or os.environ.get("MMKD_FEATURES_CACHE")
    return Path(named).expanduser() if named else Path(pooch.os_cache("mmkd")) / "features"


class Kept:
    """The rows in the file at `path`, by the digest of what they were made from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # locked, or no place to write
                    raise
                path.unlink()  # damaged: what it held is computed again
                self._open()

    def _open(self) -> None:
        self.rows = sqlite3.connect(self.path, timeout=60)
        self.rows.execute("CREATE TABLE IF NOT EXISTS rows (digest BLOB PRIMARY KEY, row BLOB) WITHOUT ROWID")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            said = getattr(error, "strerror", None) or error
            raise OSError(
                f"{self.path}: rows cannot be kept there ({said}); expected a folder with room and the right to write: "
                "name another one (`--cache FOLDER`)"
            ) from error

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *_: object) -> None:
        self.rows.close()

    def get(self, digest: bytes) -> Float32[np.ndarray, " feat"] | None:
        """The row, None where it is not there or not what was put there."""
        with self._explained():
            found = self.rows.execute("SELECT row FROM rows WHERE digest = ?", (digest,)).fetchone()
        if found is None or zlib.crc32(found[0][SUM:]).to_bytes(SUM, "big") != found[0][:SUM]:
            return None
        return np.frombuffer(found[0][SUM:], dtype=np.float32)

    def put(self, rows: Iterable[tuple[bytes, Float32[np.ndarray, " feat"]]]) -> None:
        """Writes all of them or, where the program is killed, none."""
        told = [(digest, np.ascontiguousarray(row, dtype=np.float32).tobytes()) for digest, row in rows]
        with self._explained(), self.rows:
            summed = [(digest, zlib.crc32(row).to_bytes(SUM, "big") + row) for digest, row in told]
            self.rows.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", summed)
