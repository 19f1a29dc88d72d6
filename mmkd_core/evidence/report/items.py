"""What an item is called and looks like on the page: by the caller's ids, titles and pictures, where there are any."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from mmkd_core.data import Dataset
from mmkd_core.datasets.demo_catalogue import DemoDataset
from mmkd_core.datasets.extracting.pictures import SUFFIXES, picture
from mmkd_core.datasets.ids import Ids
from mmkd_core.shown import find_pictures, of_items, read_titles

SIDE = 120  # pixels of a picture on the page, at most


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


def items_of(data: Dataset, ids: Ids | None, titles: Path | None, pictures: Path | None) -> Items:
    """The items of `data`. Raises `DataError` for titles or pictures that cannot be read or are of none of them."""
    items = Items(data, ids)
    own = dict.fromkeys(items.id(item) for item in range(data.num_items))
    if titles is not None:
        items.titles = of_items("title", titles, read_titles(titles), own)
    if pictures is not None:
        items.pictures = find_pictures(pictures, own, SUFFIXES)
    return items


def _address(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "webp", quality=70)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
