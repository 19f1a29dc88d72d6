"""Versions of an export: whole folders beside each other, and one small file that says which of them serves.

On disk, in the folder that `export` wrote:

    card.json, tables.npz, ...    the trained export, which stays as it is
    versions/3/                   an export in itself, with all that the logs up to then have added
    current                       a text, "versions/3", or "." for the trained export

A version is written under a temporary name and renamed; then `current` is replaced, in one step; then versions that are
neither the new one nor the one before it go. So a reader finds a whole version at any moment, also after a kill: what
was half-written has a temporary name, and a version that came to stand without becoming the current one, and one that a
kill kept from going, are removed by the next that does become it.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmkd_core.exported import CURRENT, VERSIONS, current, read_card
from mmkd_core.files import write_folder, write_whole

HISTORY = "refreshed"  # in a card: what was added, the oldest first


def serving(export: Path) -> int:
    """The number of the version that serves; 0 for the trained export. Raises `ValueError` as `current` does."""
    version = current(export)
    return 0 if version == export else int(version.name)


def numbered(export: Path, number: int) -> Path:
    """The folder of a version, whether it is there or not."""
    return export / VERSIONS / str(number) if number else export


def newest(export: Path) -> int:
    """The largest number of a version that lies in an export, 0 where there is none."""
    there = (export / VERSIONS).glob("[1-9]*")
    return max((int(path.name) for path in there if path.name.isdecimal()), default=0)


def add_version(export: Path, number: int, fill: Callable[[Path], Any]) -> None:
    """Lets `fill` make version `number` in an empty folder, and that serve; of the others the one before is kept."""
    before = serving(export)
    write_folder(numbered(export, number), fill)
    _switch(export, number)
    for path in (export / VERSIONS).iterdir():
        if path.name.isdecimal() and int(path.name) not in (before, number):
            shutil.rmtree(path, ignore_errors=True)


def roll_back(export: Path | str) -> int:
    """Lets the version before the current one serve again; returns its number, 0 for the trained export.

    Raises `ValueError` for a folder that is no export, one that serves as it was trained, and where the version before
    is kept no more.
    """
    export = Path(export).expanduser()
    read_card(export)
    with alone(export):
        number = serving(export)
        if not number:
            raise ValueError(f"{export}: serves as it was trained; expected an export that was refreshed")
        before = read_card(numbered(export, number))[HISTORY][-1]["of"]
        if not numbered(export, before).is_dir():
            raise ValueError(
                f"{export}: version {number} was made of version {before}, which is kept no more, since one refresh "
                "alone can be taken back; expected one after which nothing was rolled back"
            )
        read_card(numbered(export, before))
        _switch(export, before)
    return before


def _switch(export: Path, number: int) -> None:
    text = f"{VERSIONS}/{number}\n" if number else ".\n"
    write_whole(export / CURRENT, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@contextlib.contextmanager
def alone(export: Path) -> Iterator[None]:
    """Keeps others from adding a version meanwhile, until the process ends, however it does (on POSIX).

    Raises `ValueError` where another is at it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    held = os.open(export, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f"{export}: another refresh is at work there; expected none, wait for its end") from None
    else:
        yield
    finally:
        os.close(held)
