"""MMKD for multi-modal recommendation: models, losses, data, training and evaluation, small enough to read."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmkd_core.data import Batch, DataError, Dataset, Embeddings
    from mmkd_core.datasets import load
    from mmkd_core.evaluation import evaluate, rank
    from mmkd_core.experiment import Experiment, Record, plan
    from mmkd_core.history import History
    from mmkd_core.models import MODELS
    from mmkd_core.models.base import recommend
    from mmkd_core.runs import restore, run
    from mmkd_core.training import FitConfig, fit

__version__ = "0.1.0"
__all__ = [
    "MODELS",
    "Batch",
    "DataError",
    "Dataset",
    "Embeddings",
    "Experiment",
    "FitConfig",
    "History",
    "Record",
    "evaluate",
    "fit",
    "load",
    "plan",
    "rank",
    "recommend",
    "restore",
    "run",
]
# Each is imported when it is first asked for: torch takes seconds, and the command line's help needs none of it.
_HOMES = {
    "data": ("Batch", "DataError", "Dataset", "Embeddings"),
    "datasets": ("load",),
    "evaluation": ("evaluate", "rank"),
    "history": ("History",),
    "experiment": ("Experiment", "Record", "plan"),
    "models": ("MODELS",),
    "models.base": ("recommend",),
    "runs": ("restore", "run"),
    "training": ("FitConfig", "fit"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
