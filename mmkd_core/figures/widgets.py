"""What a reader can move: pieces of HTML with a script of their own, which ask for no other file and no other host."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib.resources import files


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
    page = files("mmkd_core.figures").joinpath("listwise.html").read_text(encoding="utf-8")
    return page.replace("{{start}}", html.escape(json.dumps(start)))
