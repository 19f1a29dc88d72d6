"""Keeps the demo's features between calls: extracting them takes seconds, reading them milliseconds.

A file in the user's cache folder, or in the folder that MMKD_DEMO_CACHE names, is found by the hash of all that decides
what it holds: the code and words that make it, the libraries that are called, and the arguments. It begins with the sum
of the rest, so that what was damaged is made again; nothing in it is unpickled. Where nothing can be written nothing is
kept.
"""

import hashlib
import io
import os
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pooch
import scipy

from mmkd_core.files import write_whole

Arrays = dict[str, np.ndarray]
DIGEST = 32  # bytes of a sha256


def kept(arguments: dict[str, float], make: Callable[[], Arrays]) -> Arrays:
    """What `make` gives for `arguments`: from the cache, or made now and put there."""
    folder = Path(os.environ.get("MMKD_DEMO_CACHE") or pooch.os_cache("mmkd"))
    try:
        path = folder / f"demo-{_key(arguments)}.bin"
        arrays = _read(path)
    except OSError:  # neither the code nor the cache need be readable files
        return make()
    if arrays is None:
        arrays = make()
        with suppress(OSError):
            _write(path, arrays)
    return arrays


def _key(arguments: dict[str, float]) -> str:
    versions = [np.__version__, scipy.__version__, version("scikit-learn")]
    digest = hashlib.sha256(repr((arguments, versions)).encode())
    here = Path(__file__).parent
    for source in [*sorted(here.glob("demo*")), here / "extracting" / "simple.py"]:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> Arrays | None:
    """The arrays of a file; None when there is none or when it is not what was written."""
    if not path.is_file():
        return None
    whole = path.read_bytes()
    if hashlib.sha256(whole[DIGEST:]).digest() != whole[:DIGEST]:
        return None
    with np.load(io.BytesIO(whole[DIGEST:]), allow_pickle=False) as arrays:
        return dict(arrays)


def _write(path: Path, arrays: Arrays) -> None:
    """Writes the file whole or not at all: a reader, or a second writer, never meets half of it."""
    held = io.BytesIO()
    np.savez(held, **arrays)  # pyright: ignore[reportArgumentType]
    whole = hashlib.sha256(held.getvalue()).digest() + held.getvalue()
    write_whole(path, lambda temporary: temporary.write_bytes(whole))
