"""Titles and pictures of items, from files that are the caller's own: found once, at start-up, by the items' ids."""

import warnings
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from mmkd_core.shown import find_pictures, of_items, read_titles

KINDS = {  # of pictures that browsers draw
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
LARGEST = 5 * 2**20  # bytes of a picture


class Shown(NamedTuple):
    """What is shown of items beside their ids: titles, and the files of pictures with their kind, by the id's text."""

    titles: dict[str, str]
    pictures: dict[str, tuple[Path, str]]


def shown_of(items: Collection[str], titles: str | Path | None, pictures: str | Path | None) -> Shown:
    """What a table of titles and a folder of pictures have of these items; says in a warning how many that are.

    Raises `DataError` for a file or folder that cannot be read, and for one that has nothing of any item.
    """
    shown = Shown({}, {})
    if titles is not None:
        shown.titles.update(of_items("title", Path(titles), read_titles(Path(titles)), items))
    if pictures is not None:
        found = find_pictures(Path(pictures), items, KINDS).items()
        shown.pictures.update((item, (file, KINDS[file.suffix.lower()])) for item, file in found if _small(file))
    for what, source, own in (("title", titles, shown.titles), ("picture", pictures, shown.pictures)):
        if source is not None and len(own) < len(items):
            warnings.warn(f"{source}: {len(own):,} of {len(items):,} items have a {what}", stacklevel=2)
    return shown


def _small(file: Path) -> bool:
    return file.stat().st_size <= LARGEST
