"""What a reader can move: pieces of HTML with a script of their own, which ask for no other file and no other host."""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import ceil
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from mmkd_core.datasets.demo_catalogue import DemoDataset

POSTERS_ACROSS = 13  # of the picture that holds all posters


def listwise(
    teacher: Sequence[float],
    student: Sequence[float],
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    temperature: float = 1.0,
) -> str:
    """Two lists of scores with sliders, and beside them p, b, q and the parts of the list loss as they change.

    Item 1 is the observed one. The script computes what `losses.list_kd` does; `data-value` of each output holds the
    number in full. Raises `ValueError` unless the lists are equally long and hold at least three scores.
    """
    if not len(teacher) == len(student) >= 3:
        raise ValueError(f"listwise: got {len(teacher)} and {len(student)} scores; expected as many, at least 3")
    start = {"teacher": [*teacher], "student": [*student], "alpha": alpha, "beta": beta, "tau": temperature}
    return _page("listwise.html", start=json.dumps(start))


def plane(
    data: DemoDataset, items: Sequence[int], views: Mapping[str, Mapping[str, Any]], says: Mapping[str, str], label: str
) -> str:
    """Points in the plane, one an item and modality: whoever points at one sees the item's poster and its other points.

    `views` are pictures to choose from, by name: the points of each modality, [all x, all y], in the order of `items`.
    `says` is the line under each, `label` what a screen reader calls it all. Raises `ValueError` when a view has other
    modalities than the first, or not a point for each item, or there is no line for it.
    """
    modalities = list(next(iter(views.values())))
    for name, points in views.items():
        shapes = [np.shape(values) for values in points.values()]
        if list(points) != modalities or set(shapes) != {(2, len(items))} or name not in says:
            raise ValueError(
                f"plane: view {name!r} has {dict(zip(points, shapes, strict=True))} and "
                f"{'a' if name in says else 'no'} line; expected a line, and {(2, len(items))} for each of {modalities}"
            )
    start = {
        "modalities": modalities,
        "views": [
            {"name": name, "says": says[name], "points": [np.round(v, 2).tolist() for v in points.values()]}
            for name, points in views.items()
        ],
        "items": [{"title": data.title(i), "genre": data.truth.genre_names[data.truth.genre[i]]} for i in items],
        "posters": _side_by_side(data, items),
        "across": POSTERS_ACROSS,
    }
    return _page("plane.html", start=json.dumps(start, separators=(",", ":")), label=label)


def _side_by_side(data: DemoDataset, items: Sequence[int]) -> str:
    """The posters of the items row by row in one picture, as the address of a WebP image."""
    posters = data.posters[list(items)]
    count, height, width, colours = posters.shape
    rows = ceil(count / POSTERS_ACROSS)
    sheet = np.zeros((rows * POSTERS_ACROSS, height, width, colours), dtype=np.uint8)
    sheet[:count] = posters
    sheet = sheet.reshape(rows, POSTERS_ACROSS, height, width, colours).swapaxes(1, 2)
    buffer = io.BytesIO()
    whole = sheet.reshape(rows * height, POSTERS_ACROSS * width, colours)
    plt.imsave(buffer, whole, format="webp", pil_kwargs={"quality": 60})
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _page(name: str, **parts: str) -> str:
    page = files("mmkd_core.evidence").joinpath(name).read_text(encoding="utf-8")
    for part, text in parts.items():
        page = page.replace(f"{{{{{part}}}}}", html.escape(text))
    return page
