"""Which layout a folder has, told by its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets import diffmm, mmrec


class Layout(NamedTuple):
    """`marks`: patterns of which any file tells the layout; `needs`: what a folder must hold, in words."""

    load: Callable[[Path, str], Dataset]
    marks: tuple[str, ...]
    needs: str


LAYOUTS: dict[str, Layout] = {
    "mmrec": Layout(mmrec.load_mmrec, ("*.inter",), "<any>.inter (columns userID, itemID, x_label) and any *.npy"),
    "diffmm": Layout(
        diffmm.load_diffmm, tuple(diffmm.FILES.values()), "trnMat.pkl, valMat.pkl, tstMat.pkl and any *_feat.npy"
    ),
}


def detect(folder: Path) -> list[str]:
    """The layouts of which `folder` holds at least one file that marks them."""
    return [name for name, layout in LAYOUTS.items() if any(any(folder.glob(mark)) for mark in layout.marks)]


def load_folder(folder: Path, name: str | None = None, layout: str | None = None) -> Dataset:
    """The data set in `folder`, whichever layout it has; `layout` chooses where two fit.

    Raises `DataError` when no layout fits (the message lists what each needs), when two do, and for what is wrong
    in the files.
    """
    needs = "; ".join(f"{key}: {value.needs}" for key, value in LAYOUTS.items())
    if layout is not None and layout not in LAYOUTS:
        raise DataError(f"unknown layout {layout!r}; one of {list(LAYOUTS)}")
    found = [layout] if layout is not None else detect(folder)
    if not found:
        raise DataError(f"{folder}: got {_listing(folder)}; expected one of these layouts: {needs}")
    if len(found) > 1:
        raise DataError(f"{folder}: fits {found}; expected one, so say which with layout=")
    return LAYOUTS[found[0]].load(folder, name or folder.resolve().name)


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return f"{names[:8]}{' and more' if len(names) > 8 else ''}" if names else "no files"
