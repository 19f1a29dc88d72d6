"""All models under one protocol. A model's keyword arguments are its settings."""

from collections.abc import Mapping
from typing import Any

from mmkd_core import memory, settings
from mmkd_core.data import Dataset
from mmkd_core.models.base import Recommender
from mmkd_core.models.bm3 import BM3
from mmkd_core.models.bpr_mf import BPRMF
from mmkd_core.models.clcrec import CLCRec
from mmkd_core.models.ensemble import Ensemble
from mmkd_core.models.grcn import GRCN
from mmkd_core.models.lattice import LATTICE
from mmkd_core.models.lightgcn import LightGCN
from mmkd_core.models.list_mmkd import ListMMKD
from mmkd_core.models.mmgcn import MMGCN
from mmkd_core.models.mmkd import MMKD
from mmkd_core.models.ngcf import NGCF
from mmkd_core.models.simple import ItemKNN, Popularity
from mmkd_core.models.slmrec import SLMRec
from mmkd_core.models.softmax import SoftmaxFactors, SoftmaxTeacher
from mmkd_core.models.softmax_vbpr import SoftmaxVBPR
from mmkd_core.models.teacher import Teacher
from mmkd_core.models.variants import VARIANTS_OF_MMKD
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
    "softmax-teacher": SoftmaxTeacher,
    "softmax-factors": SoftmaxFactors,
    "ensemble": Ensemble,
    "mmkd-lists": ListMMKD,
}
VARIANTS: dict[str, type[Recommender]] = VARIANTS_OF_MMKD | {"vbpr+softmax": SoftmaxVBPR}
TEACHERS = ("teacher", "second")  # the parameters of a model, and the fields of its experiment, that hold a teacher


def defaults_of(name: str) -> dict[str, Any]:
    """A model's settings and their defaults. Raises `ValueError` for an unknown model."""
    return {setting: described.default for setting, described in settings_of(name).items()}


def settings_of(name: str) -> dict[str, settings.Setting]:
    """A model's settings and what each may be. Raises `ValueError` for an unknown model."""
    return settings.of_model(_kind(name))


def all_settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a model, its defaults changed by those `given`; 1 becomes 1.0 where the default is a fraction.

    Raises `ValueError` for an unknown model or setting, and for what is no value of a setting.
    """
    return defaults_of(name) | settings.checked(given, settings_of(name), name)


def build(name: str, data: Dataset, settings: Mapping[str, Any], **teachers: Recommender | None) -> Recommender:
    """The model `name` with `settings`; raises `ValueError` as `all_settings` does.

    `teachers`, `teacher` and where it has two `second`, are what it learns from; one that is None is not given.
    """
    taught = {parameter: teacher for parameter, teacher in teachers.items() if teacher is not None}
    return _kind(name)(data, **all_settings(name, settings), **taught)


def teachers_of(name: str) -> dict[str, str]:
    """The models that a model learns from unless others are given, by the parameters that take them (`TEACHERS`).

    Raises `ValueError` for an unknown model.
    """
    return dict(zip(TEACHERS, _kind(name).teachers, strict=False))


def may_teach(teacher: str, name: str, usual: str) -> bool:
    """Whether a model may stand in the place of the `usual` teacher of another."""
    return _kind(name).any_teacher or base_of(teacher) == usual


def usual_fit(name: str) -> dict[str, Any]:
    """How a model is trained where nothing else is said, as far as it differs from `FitConfig`."""
    return dict(_kind(name).usual_fit)


def check_memory(name: str, settings: Mapping[str, Any], data: Dataset) -> None:
    """Raises `ValueError` when the model `name` with `settings` cannot fit into memory: see `memory.check_sizes`."""
    memory.check_sizes(settings, data, name, squares=_kind(name).squares)


def base_of(name: str) -> str:
    """The model that a variant changes; a model's own name otherwise. Raises `ValueError` for an unknown one."""
    _kind(name)
    return name.partition("+")[0]


def _kind(name: Any) -> type[Recommender]:
    if isinstance(name, str) and name in MODELS:
        return MODELS[name]
    if isinstance(name, str) and name in VARIANTS:
        return VARIANTS[name]
    raise ValueError(f"unknown model {settings.quoted(name)}; one of {sorted(MODELS)} or a variant, {sorted(VARIANTS)}")
