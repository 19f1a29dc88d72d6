"""All models under one protocol. A model's keyword arguments are its settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from mmkd_core.data import Dataset
from mmkd_core.models.base import Recommender
from mmkd_core.models.bm3 import BM3
from mmkd_core.models.bpr_mf import BPRMF
from mmkd_core.models.clcrec import CLCRec
from mmkd_core.models.grcn import GRCN
from mmkd_core.models.lattice import LATTICE
from mmkd_core.models.lightgcn import LightGCN
from mmkd_core.models.mmgcn import MMGCN
from mmkd_core.models.mmkd import MMKD, check_choice
from mmkd_core.models.ngcf import NGCF
from mmkd_core.models.simple import ItemKNN, Popularity
from mmkd_core.models.slmrec import SLMRec
from mmkd_core.models.teacher import Teacher
from mmkd_core.models.variants import VARIANTS
from mmkd_core.models.vbpr import VBPR

MODELS: dict[str, type[Recommender]] = {
    "popularity": Popularity,
    "itemknn": ItemKNN,
    "bpr-mf": BPRMF,
    "ngcf": NGCF,
    "lightgcn": LightGCN,
    "vbpr": VBPR,
    "mmgcn": MMGCN,
    "grcn": GRCN,
    "lattice": LATTICE,
    "clcrec": CLCRec,
    "slmrec": SLMRec,
    "bm3": BM3,
    "teacher": Teacher,
    "mmkd": MMKD,
}


# What a number may be where "at least 0" does not say it.
LIMITS: dict[str, tuple[str, Callable[[float], bool]]] = {
    **dict.fromkeys(("dim", "latent", "negatives", "neighbours", "gamma"), ("at least 1", lambda number: number >= 1)),
    **dict.fromkeys(("temperature", "ssl_temperature"), ("more than 0", lambda number: number > 0)),
    "dropout": ("at least 0 and less than 1", lambda number: 0 <= number < 1),
    **dict.fromkeys(("raw_weight", "contrast", "replaced"), ("from 0 to 1", lambda number: 0 <= number <= 1)),
}


def settings_of(name: str) -> dict[str, Any]:
    """A model's settings and their defaults. Raises `ValueError` for an unknown model."""
    parameters = inspect.signature(_kind(name)).parameters.values()
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
    return _kind(name)(data, **chosen, **extra)


def base_of(name: str) -> str:
    """The model that a variant changes; a model's own name otherwise. Raises `ValueError` for an unknown one."""
    _kind(name)
    return name.partition("+")[0]


def _kind(name: str) -> type[Recommender]:
    if name in MODELS:
        return MODELS[name]
    if name in VARIANTS:
        return VARIANTS[name]
    raise ValueError(f"unknown model {name!r}; one of {sorted(MODELS)} or a variant, {sorted(VARIANTS)}")


def _check_value(name: str, setting: str, value: Any, default: Any) -> None:
    where = f"{setting}={value!r} of {name}"
    kind = int if default is None else type(default)  # None, a model's own choice, stands for a whole number
    if (value, default) != (None, None) and not isinstance(value, float | int if kind is float else kind):
        raise ValueError(f"{where}; expected {kind.__name__}, for example {default!r}")
    check_choice(setting, value)
    expected, within = LIMITS.get(setting, ("at least 0", lambda number: number >= 0))
    if isinstance(value, float | int) and not within(value):
        raise ValueError(f"{where}; expected {expected}")
