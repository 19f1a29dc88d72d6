"""A contact sheet: some items beside those nearest to them by each modality, as one HTML file to look at.

It finds in a second what no number shows: features in another order than the items, the same placeholder everywhere.
"""

import base64
import io
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

import numpy as np
import torch

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets.extracting import Extracted
from mmkd_core.datasets.extracting.pictures import picture
from mmkd_core.files import write_whole
from mmkd_core.taste import Lift, nearest

ITEMS, NEIGHBOURS = 12, 6
PIXELS = 160  # a side of a picture
SHORT, LONG = 70, 240  # characters of a text
STYLE = Path(__file__).with_name("sheet.css")


def write_sheet(path: Path | str, data: Dataset, extracted: Extracted, lifts: Mapping[str, Lift]) -> None:
    """Writes the sheet of `data`, whose features `extracted` tells of, whole or not at all; nothing in it is fetched.

    Items are drawn from a fixed seed, of those that have all modalities where there are any. Raises `OSError` where it
    cannot be written.
    """
    sheet = _Sheet(data, extracted)
    modalities = sorted(extracted.made)
    rows = {name: nearest(data.features[name], torch.from_numpy(sheet.chosen), NEIGHBOURS) for name in modalities}
    parts = [sheet.head(lifts)]
    for place, item in enumerate(sheet.chosen.tolist()):
        shown = [sheet.row(item, name, near[place].tolist()) for name, near in rows.items()]
        parts.append(f"<section>{sheet.own(item)}<div class=rows>{''.join(shown)}</div></section>")
    title = f"{escape(data.name)}: alike by content"
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
    head += f"<meta name=viewport content='width=device-width'><style>{STYLE.read_text(encoding='utf-8')}</style>"
    whole = f"{head}<main><h1>{title}</h1>{''.join(parts)}</main></html>\n"
    write_whole(Path(path), lambda temporary: temporary.write_text(whole, encoding="utf-8", errors="replace"))


class _Sheet:
    """What the parts of a sheet are made of."""

    def __init__(self, data: Dataset, extracted: Extracted) -> None:
        self.data, self.items, self.media = data, extracted.items, extracted.media
        present = torch.stack([(data.features[name] != 0).any(dim=1) for name in extracted.made])
        able = np.flatnonzero((present.all(dim=0) if present.all(dim=0).any() else present.any(dim=0)).numpy())
        self.present = dict(zip(extracted.made, present, strict=True))
        self.chosen = np.sort(np.random.default_rng(0).choice(able, min(ITEMS, len(able)), replace=False))
        self.thumbnail = cache(self._thumbnail)

    def head(self, lifts: Mapping[str, Lift]) -> str:
        data = self.data
        rows = "".join(
            f"<tr><th scope=row>{escape(name)}<td>{lifts[name]}<td>{int(own.sum()):,}" if name in lifts else ""
            for name, own in sorted(self.present.items())
        )
        return (
            f"<p>{len(self.chosen)} of {data.num_items:,} items, drawn at random, each with the {NEIGHBOURS} that are "
            "most like it by each modality. Are they alike to you?</p><table>"
            f"<tr><th scope=col>modality<th scope=col>lift (95 %)<th scope=col>items{rows}</table>"
            "<p class=note>The lift says how many times as much an item shares its users with the 10 most like it as "
            "with any item. 1 says that the content knows nothing of taste.</p>"
        )

    def own(self, item: int) -> str:
        return f"<article class=own>{self._picture(item)}{self._words(item, LONG)}</article>"

    def row(self, item: int, modality: str, near: list[int]) -> str:
        own = self.present[modality]
        tiles = "".join(self._tile(item, other) for other in near if own[other])
        none = "" if own[item] else "<p class=none>this item has none</p>"
        label = f"<h2>by {escape(modality)}</h2>"
        return f"<div class=row>{label}{none or f'<div class=tiles>{tiles}</div>'}</div>"

    def _tile(self, item: int, other: int) -> str:
        both = len(self._users(item) & self._users(other))
        users = f"<small>{both or 'no'} shared user{'' if both < 2 else 's'}</small>"
        return f"<article>{self._picture(other)}{self._words(other, SHORT)}{users}</article>"

    @cache  # noqa: B019 (a sheet lives as long as its file is made)
    def _users(self, item: int) -> frozenset[int]:
        return frozenset(self.data.train[self.data.train[:, 1] == item, 0].tolist())

    def _words(self, item: int, most: int) -> str:
        text = self._text(item)
        cut = text if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]} …"
        return f"<b>{escape(self.items.named(item))}</b>{f'<p>{escape(cut)}</p>' if cut else ''}"

    def _text(self, item: int) -> str:
        texts = self.media.get("text")
        return "" if texts is None else " ".join(str(texts.of.get(item, "")).split())

    def _picture(self, item: int) -> str:
        if "image" not in self.media:
            return ""
        source = self.thumbnail(item)
        alt = escape(self._text(item)[:LONG] or self.items.named(item), quote=True)
        return f'<img src="{source}" alt="{alt}">' if source else "<div class=blank>no picture</div>"

    def _thumbnail(self, item: int) -> str:
        """A small JPEG as an address of data; "" where there is no picture, or none that can be read."""
        media = self.media["image"]
        if item not in media.of:
            return ""
        try:
            image = picture(media.content(item), PIXELS)
        except Exception:  # told of by the extractor already
            return ""
        image.thumbnail((PIXELS, PIXELS))
        held = io.BytesIO()
        image.save(held, "JPEG", quality=82)
        return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}"


def check_sheet(path: Path | str) -> None:
    """Raises `DataError` for a name that is none of a page."""
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise DataError(f"got the sheet {path}; expected the name of a page, such as sheet.html")
