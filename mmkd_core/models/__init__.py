"""All models under one protocol. A model's keyword arguments are its settings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmkd_core.data import Dataset
from mmkd_core.models.base import Recommender
from mmkd_core.models.bpr_mf import BPRMF
from mmkd_core.models.lightgcn import LightGCN
from mmkd_core.models.mmkd import MMKD, check_choice
from mmkd_core.models.simple import ItemKNN, Popularity
from mmkd_core.models.teacher import Teacher

MODELS: dict[str, type[Recommender]] = {
    "popularity": Popularity,
    "itemknn": ItemKNN,
    "bpr-mf": BPRMF,
    "lightgcn": LightGCN,
    "teacher": Teacher,
    "mmkd": MMKD,
}


def settings_of(name: str) -> dict[str, Any]:
    """A model's settings and their defaults. Raises `ValueError` for an unknown model."""
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; one of {sorted(MODELS)}")
    parameters = inspect.signature(MODELS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "teacher"}


def checked(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a model, its defaults changed by `settings`; 1 becomes 1.0 where the default is a fraction.

    Raises `ValueError` for an unknown model or setting or a value out of range.
    """
    known = settings_of(name)
    chosen = dict(known)
    for setting, value in settings.items():
        if setting not in known:
            raise ValueError(f"unknown setting {setting!r} of {name}; one of {sorted(known)}")
        _check_value(name, setting, value, known[setting])
        chosen[setting] = float(value) if isinstance(known[setting], float) else value
    return chosen


def build(name: str, data: Dataset, settings: Mapping[str, Any], *, teacher: Teacher | None = None) -> Recommender:
    """The model `name` with `settings`; raises `ValueError` as `checked` does."""
    chosen = checked(name, settings)
    extra = {"teacher": teacher} if teacher is not None else {}
    return MODELS[name](data, **chosen, **extra)


def _check_value(name: str, setting: str, value: Any, default: Any) -> None:
    where = f"{setting}={value!r} of {name}"
    kind = int if default is None else type(default)  # None, a model's own choice, stands for a whole number
    if (value, default) != (None, None) and not isinstance(value, float | int if kind is float else kind):
        raise ValueError(f"{where}; expected {kind.__name__}, for example {default!r}")
    check_choice(setting, value)
    least = 1 if setting in ("dim", "negatives", "neighbours", "gamma") else 0
    if isinstance(value, float | int) and not value >= least:
        raise ValueError(f"{where}; expected at least {least}")
    if setting == "temperature" and not value > 0:
        raise ValueError(f"{where}; expected more than 0")
    if setting == "dropout" and not value < 1:
        raise ValueError(f"{where}; expected less than 1")
