"""What an item is called and looks like on the page: by the caller's ids, titles and pictures, where there are any."""

import base64
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets.demo_catalogue import DemoDataset
from mmkd_core.datasets.extracting.pictures import picture
from mmkd_core.datasets.files import visible
from mmkd_core.datasets.ids import Ids
from mmkd_core.datasets.text import read_text
from mmkd_core.settings import quoted

SIDE = 120  # pixels of a picture on the page, at most
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
COLUMNS = ("item", "title")


@dataclass
class Items:
    """Names and pictures of the items of `data`; `broken` are files of pictures that could not be read."""

    data: Dataset
    ids: Ids | None
    titles: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def id(self, item: int) -> str:
        """What the caller calls it: an id, else the number that it has in the files."""
        if self.ids is not None:
            return str(self.ids.items[item])
        return str(item if self.data.item_ids is None else int(self.data.item_ids[item]))

    def user(self, user: int) -> str:
        """The same of a user."""
        if self.ids is not None:
            return str(self.ids.users[user])
        return str(user if self.data.user_ids is None else int(self.data.user_ids[user]))

    def title(self, item: int) -> str:
        """Its title, else its id."""
        if isinstance(self.data, DemoDataset) and not self.titles:
            return self.data.title(item)
        return self.titles.get(own := self.id(item), own)

    def picture(self, item: int) -> str | None:
        """The address of its picture, which holds the picture itself; None where there is none that can be read."""
        if isinstance(self.data, DemoDataset) and not self.pictures:
            return _address(Image.fromarray(np.asarray(self.data.posters[item])))
        path = self.pictures.get(self.id(item))
        if path is None or path.name in self.broken:
            return None
        try:
            return _address(picture(path.read_bytes(), 2 * SIDE))
        # A damaged picture can fail in any way that its format can; all of them mean the same here.
        except Exception:
            self.broken.append(path.name)
            return None


def read_titles(path: Path) -> dict[str, str]:
    """The title of each id in a table with the columns item and title, CSV or, by its suffix, TSV.

    Raises `DataError` naming the file for other columns, an id that stands twice, and no row at all.
    """
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    try:
        rows = list(csv.reader(io.StringIO(read_text(path)), delimiter=separator, quoting=quoting))
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as its suffix says ({error}); expected a table") from None
    header = rows[0] if rows else []
    if any(header.count(column) != 1 for column in COLUMNS):
        raise DataError(f"{path}: got the columns {quoted(header)}; expected {list(COLUMNS)} among any others")
    places = [header.index(column) for column in COLUMNS]
    titles: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(f"{path}, row {number}: got {len(row)} fields; expected {len(header)}, as in its header")
        item, title = (row[place] for place in places)
        if item in titles:
            raise DataError(f"{path}, row {number}: the id {quoted(item)} stands twice; expected it once")
        titles[item] = title.strip() or item
    if not titles:
        raise DataError(f"{path}: got no row; expected the titles of some items")
    return titles


def find_pictures(folder: Path) -> dict[str, Path]:
    """The picture of each id in a folder of files that are called so: `<id>.jpg`, `.png`, `.webp` and the like.

    Raises `DataError` where there is none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one of pictures, called <id>.jpg or the like")
    found = {path.stem: path for path in visible(folder, "*") if path.suffix.lower() in SUFFIXES and path.is_file()}
    if not found:
        raise DataError(f"{folder}: got no pictures; expected files called <id>{SUFFIXES[0]}, or {SUFFIXES[1:]}")
    return found


def items_of(data: Dataset, ids: Ids | None, titles: Path | None, pictures: Path | None) -> Items:
    """The items of `data`. Raises `DataError` for titles or pictures that are of none of them, and as above."""
    items = Items(
        data, ids, {} if titles is None else read_titles(titles), {} if pictures is None else find_pictures(pictures)
    )
    own = {items.id(item) for item in range(data.num_items)}
    for named, source in ((items.titles, titles), (items.pictures, pictures)):
        if named and own.isdisjoint(named):
            raise DataError(
                f"{source}: none of its ids, {quoted(list(named)[:3])} and so on, is an item of {data.name}; expected "
                f"ids such as {quoted(sorted(own)[:3])}"
            )
    return items


def _address(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "webp", quality=70)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
