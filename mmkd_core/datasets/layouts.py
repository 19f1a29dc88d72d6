"""Which layout a folder has, told by its files."""

from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets import lightgcn, megcf, mmrec, parquet, promptmm, recbole
from mmkd_core.datasets.assemble import Content, assemble
from mmkd_core.datasets.files import visible
from mmkd_core.settings import quoted


class Layout(NamedTuple):
    """`needs`: for each file that must be there, the patterns of which one must match; `adds`: what may be there.

    Where there are ratings (`rated`), `load` also takes the least one that counts. A layout is told by any needed file,
    or by those of `told_by` alone, `unless` there is a file that makes it another's.
    """

    load: Callable[..., Content]
    needs: tuple[tuple[str, ...], ...]
    adds: str
    rated: bool = False
    told_by: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{', '.join(map(' or '.join, self.needs))} and any number of {self.adds}"


_RECBOLE = tuple(recbole.FILES.values())
_OF_MEGCF = (megcf.FILES["val"], "i2e_*.txt")  # its other files are called as LightGCN's

LAYOUTS = {
    "mmrec": Layout(mmrec.load_mmrec, (("*.inter",),), "*.npy", rated=True, unless=sum(_RECBOLE, ())),
    "promptmm": Layout(promptmm.load_promptmm, tuple(promptmm.PROMPTMM.values()), "*_feat.npy"),
    "diffmm": Layout(promptmm.load_diffmm, tuple(promptmm.DIFFMM.values()), "*_feat.npy"),
    "megcf": Layout(megcf.load_megcf, tuple((file,) for file in megcf.FILES.values()), "i2e_*.txt", told_by=_OF_MEGCF),
    "parquet": Layout(parquet.load_parquet, (("*.parquet",),), "*.npy", rated=True),
    "recbole": Layout(recbole.load_recbole, _RECBOLE, "*_feat.npy", rated=True),
    "lightgcn": Layout(lightgcn.load_lightgcn, (("train.txt",), ("test.txt",)), "*_feat.npy", unless=_OF_MEGCF),
}


def detect(folder: Path) -> list[str]:
    """The layouts that `folder` may have."""

    def any_of(patterns: Iterable[str]) -> bool:
        return any(visible(folder, pattern) for pattern in patterns)

    return [
        name
        for name, layout in LAYOUTS.items()
        if any_of(layout.told_by or chain(*layout.needs)) and not any_of(layout.unless)
    ]


def load_folder(
    folder: Path,
    name: str,
    *,
    layout: str | None = None,
    overlap: Literal["error", "drop"] = "error",
    compact: bool = False,
    min_rating: float | None = None,
) -> Dataset:
    """The data set in `folder`, whichever layout it has; `layout` chooses where two fit.

    `overlap` and `compact` are those of `assemble`. `min_rating` leaves out the lines whose rating is lower; ratings
    are in the layouts mmrec, parquet and recbole alone.

    Raises `DataError` when no layout fits (the message lists what each needs), when two do, when a file is missing,
    and for what is wrong in the files.
    """
    if layout is not None and layout not in LAYOUTS:
        raise DataError(f"unknown layout {quoted(layout)}; one of {list(LAYOUTS)}")
    fitting = [layout] if layout is not None else detect(folder)
    if not fitting:
        layouts = "; ".join(f"{key}: {value}" for key, value in LAYOUTS.items())
        names = [path.name for path in visible(folder, "*")]
        listing = f"{quoted(names[:8])}{' and more' if len(names) > 8 else ''}" if names else "no files"
        raise DataError(f"{folder}: got {listing}; expected the files of one layout ({layouts})")
    if len(fitting) > 1:
        raise DataError(f"{folder}: fits the layouts {fitting}; expected one, so choose with layout={fitting[0]!r}")
    chosen = LAYOUTS[fitting[0]]
    for patterns in chosen.needs:
        if not any(visible(folder, pattern) for pattern in patterns):
            raise DataError(f"{folder}: no file {' or '.join(patterns)}; layout {fitting[0]} needs {chosen}")
    if min_rating is not None and not chosen.rated:
        raise DataError(f"{folder}: got min_rating={min_rating}; the layout {fitting[0]} has no ratings, mmrec has")
    content = chosen.load(folder) if min_rating is None else chosen.load(folder, min_rating)
    return assemble(name, content, overlap=overlap, compact=compact)
